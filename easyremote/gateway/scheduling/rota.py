"""The nodes that offer one function; those that had no room for it are kept apart. Pure.

A call is compared with nodes that may have room only, so that the cost of a decision does not
depend on how many nodes are full. ``tests/gateway/scheduling/test_rota.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Iterator

from easyremote.gateway.callers import Access
from easyremote.gateway.records import Node

__all__ = ["Bag", "Rota"]


class Bag:
    """Nodes in no order. To add one or remove one takes the same time, however many there are."""

    __slots__ = ("_places", "nodes")

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._places: dict[Node, int] = {}

    def __contains__(self, node: Node) -> bool:
        return node in self._places

    def __len__(self) -> int:
        return len(self.nodes)

    def add(self, node: Node) -> None:
        """Add a node that is not there."""
        self._places[node] = len(self.nodes)
        self.nodes.append(node)

    def remove(self, node: Node) -> None:
        """Remove a node: the last one takes its place."""
        place = self._places.pop(node)
        last = self.nodes.pop()
        if last is not node:
            self.nodes[place] = last
            self._places[last] = place


class Rota:
    """The nodes that offer one function to one kind of caller."""

    __slots__ = ("_next", "every", "ready", "slots")

    def __init__(self) -> None:
        self.every = Bag()
        #: Those that may have room.
        self.ready = Bag()
        #: How many slots all of them have.
        self.slots = 0
        self._next = 0

    def add(self, node: Node) -> None:
        """A node offers the function from now on."""
        self.every.add(node)
        self.ready.add(node)
        self.slots += node.slots

    def remove(self, node: Node) -> None:
        """A node does not offer it any more; it still has the slots that it had."""
        self.every.remove(node)
        if node in self.ready:
            self.ready.remove(node)
        self.slots -= node.slots

    def in_turn(self) -> Iterator[Node]:
        """Yield each node once; start behind the node at which the last caller stopped."""
        start, count = self._next, len(self.every)
        for place in range(start, start + count):
            self._next = (place + 1) % count
            yield self.every.nodes[place % count]

    def set_aside(self, node: Node) -> None:
        """The node has no room: compare it no more until `put_back`."""
        self.ready.remove(node)

    def put_back(self, node: Node) -> None:
        """The node may have room again. Safe to repeat."""
        if node in self.every and node not in self.ready:
            self.ready.add(node)

    def check_invariants(self, key: tuple[str, Access]) -> None:
        """Raise AssertionError where it is not what its nodes say; for tests."""
        assert self.slots == sum(node.slots for node in self.every.nodes)
        for node in self.every.nodes:
            assert (node in self.ready) == (key not in node.aside), node.node_id
        assert set(self.ready.nodes) <= set(self.every.nodes)
