"""Nodes that offer a function: full ones are set aside, and come back."""

from __future__ import annotations

from easyremote.gateway.callers import Access
from easyremote.gateway.records import Node
from easyremote.gateway.scheduling.rota import Rota


def test_a_node_that_is_set_aside_still_offers_the_function_and_comes_back() -> None:
    rota = Rota()
    nodes = [Node(name, slots=number) for number, name in enumerate("abc", start=1)]
    for node in nodes:
        rota.add(node)
    assert rota.slots == 6
    rota.set_aside(nodes[0])
    assert set(rota.ready.nodes) == set(nodes[1:])
    assert set(rota.every.nodes) == set(nodes)
    rota.put_back(nodes[0])
    rota.put_back(nodes[0])
    assert set(rota.ready.nodes) == set(nodes)
    rota.set_aside(nodes[2])
    rota.remove(nodes[2])
    rota.put_back(nodes[2])
    assert (set(rota.every.nodes), rota.slots) == (set(nodes[:2]), 3)
    rota.check_invariants(("f", Access.LINK))
