"""Values and functions <-> payloads; for clients and nodes, never for the gateway.

`values` dumps and loads values, `functions` sends functions with their bodies. The other modules
serve these two: `by_value` (the pickler for what the other side can't import), `classes`, `sources`
(code objects as source text), `modules` (which modules are installed on the other side) and
`culprits` (the error that names what can't travel).
"""
