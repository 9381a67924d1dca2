"""The protocol, sans-I/O: messages, frames, the Link, and the three cores that keep calls.

Nothing in this package opens a socket, reads a clock, starts a thread or unpickles.
"""
