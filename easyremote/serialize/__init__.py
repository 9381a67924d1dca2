"""Values and functions <-> one byte payload; for clients and nodes, never for the gateway.

`values` dumps and loads values, `functions` ships functions with their bodies; the rest serves
these two: `by_value` (the pickler for what the other side can't import), `classes`, `sources`
(code objects as source text), `modules` (which modules the other side is taken to have) and
`culprits` (the error that names what can't travel).
"""
