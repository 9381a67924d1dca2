"""Which call runs where and when: first come, first served, for each function. Pure.

A call waits in the queue of its node, or, where any node will do, in that of its function. A node
with room takes the oldest call that it may run. ``tests/gateway/test_scheduler.py`` simulates it.
"""

from __future__ import annotations

from collections import OrderedDict

from easyremote.gateway.balancing import Balancer
from easyremote.gateway.nodes import Nodes
from easyremote.gateway.records import Access, GatewayCall, Node, Target

#: How many nodes with room are compared for one call; the next call goes on behind them. To compare
#: all of 2,000 nodes took a millisecond a call.
COMPARED = 8

#: Calls that wait for the same, by number, the oldest first.
Queue = OrderedDict[int, GatewayCall]
#: What they wait for on their node: a function, who asks, and whether arguments are still to come.
#: Calls whose arguments are still to come have queues of their own: they must not block the others.
Wanted = tuple[str, Access, bool]


class Scheduler:
    """The queues, and who is next."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        #: Chooses where a function, or its caller, has another strategy than the default.
        self._balancer = Balancer()
        #: By node id ("" for any node), so that a node looks only at what it may take.
        self._queues: dict[str, dict[Wanted, Queue]] = {}

    def targets(self) -> list[Target]:
        """The targets for which calls wait."""
        wanted = [(node_id, *want[:2]) for node_id, each in self._queues.items() for want in each]
        return list(dict.fromkeys(wanted))

    def waiting(self, target: Target) -> list[GatewayCall]:
        """The calls that wait for a target, the oldest first."""
        node_id, function, access = target
        queues = self._queues.get(node_id, {})
        calls = [
            call
            for is_coming in (False, True)
            for call in queues.get((function, access, is_coming), OrderedDict()).values()
        ]
        return sorted(calls, key=lambda call: call.number)

    def place(self, call: GatewayCall) -> Node | None:
        """The node that can take the call now; None if it has to queue."""
        node_id, function, access = call.target
        if self._queues and _wanted(call) in self._queues.get(node_id, ()):
            return None  # older calls wait for the same
        if node_id:
            node = self._nodes.get(node_id)
            return node if node is not None and node.has_room(call) else None
        strategy = call.balancing or self._nodes.strategies.get(function, "")
        if strategy:
            nodes = self._nodes.in_turn(function, access)
            with_room = (node for node in nodes if node.has_room(call))
            return self._balancer.choose(strategy, function, with_room)
        best: Node | None = None
        compared = 0
        for node in self._nodes.in_turn(function, access):
            if node.has_room(call):
                compared += 1
                if best is None or _load(node) < _load(best):
                    best = node
                if compared == COMPARED:
                    break
        return best

    def enqueue(self, call: GatewayCall) -> None:
        queues = self._queues.setdefault(call.target[0], {})
        queues.setdefault(_wanted(call), OrderedDict())[call.number] = call

    def remove(self, call: GatewayCall) -> None:
        """Take a call out of its queue. Safe to repeat."""
        self._take_out(call, call.target[0], _wanted(call))

    def _take_out(self, call: GatewayCall, node_id: str, wanted: Wanted) -> None:
        queues = self._queues.get(node_id, {})
        queue = queues.get(wanted)
        if queue is not None and queue.pop(call.number, None) is not None and not queue:
            del queues[wanted]
            if not queues:
                del self._queues[node_id]

    def next_for(self, node: Node) -> GatewayCall | None:
        """Take the oldest call for which this node has room out of its queue."""
        if not self._queues:
            return None
        oldest: GatewayCall | None = None
        place: tuple[str, Wanted] | None = None
        for node_id in (node.node_id, ""):
            queues = self._queues.get(node_id)
            if queues is None:
                continue
            for wanted, queue in queues.items():
                head = next(iter(queue.values()))
                if (oldest is None or head.number < oldest.number) and node.has_room(head):
                    oldest, place = head, (node_id, wanted)
        if oldest is not None and place is not None:
            self._take_out(oldest, *place)
        return oldest

    def check_invariants(self) -> None:
        """Raise AssertionError where a queue is not what it says; for tests."""
        for node_id, queues in self._queues.items():
            assert queues
            for wanted, queue in queues.items():
                assert queue
                assert list(queue) == sorted(call.number for call in queue.values())
                for call in queue.values():
                    assert (call.target[0], _wanted(call)) == (node_id, wanted), call


def _wanted(call: GatewayCall) -> Wanted:
    _, function, access = call.target
    return function, access, call.arguments is not None


def _load(node: Node) -> tuple[float, float]:
    """Least loaded: how full it is, then how slow."""
    return node.busy / max(node.slots, 1), node.mean_seconds or 0.0
