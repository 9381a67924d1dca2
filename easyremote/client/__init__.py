"""The client: a connection to a gateway, and everything that a program asks through it.

`client` and `executor` are what people call, `remote` is the decorator, `run` and `remote_session`
run code. A call goes from `executor` through `connection` to the I/O thread (`io_thread`); a `job`
or `stream` waits for it, and `outcome` opens what comes back. `session` asks for one session,
`roster` knows the nodes, `shipping` and `files` send functions and files ahead.
"""
