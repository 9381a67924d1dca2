"""Which call runs where and when: first come, first served, for each function. Pure.

A call waits in the queue of its node, or, where any node will do, in that of its function. A node
with room takes the oldest call that it may run. ``tests/gateway/test_scheduler.py`` simulates it.
"""

from __future__ import annotations

from collections import deque

from easyremote.gateway.nodes import Nodes
from easyremote.gateway.records import GatewayCall, Node, Target
from easyremote.protocol.call import CallState


class Scheduler:
    """The queues, and who is next."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._queues: dict[Target, deque[GatewayCall]] = {}

    def targets(self) -> list[Target]:
        """What is waited for."""
        return list(self._queues)

    def waiting(self, target: Target) -> list[GatewayCall]:
        """Who waits for it, the first first."""
        return list(self._queues.get(target, ()))

    def place(self, call: GatewayCall) -> Node | None:
        """The node that can take the call now; None if it has to queue."""
        target = call.target
        if self._queues.get(target):
            return None  # others were here before
        node_id, function = target
        if node_id:
            node = self._nodes.get(node_id)
            return node if node is not None and node.has_room(function) else None
        free = [node for node in self._nodes.offering(function) if node.has_room(function)]
        return min(free, key=_load, default=None)

    def enqueue(self, call: GatewayCall) -> None:
        self._queues.setdefault(call.target, deque()).append(call)

    def remove(self, call: GatewayCall) -> None:
        """It waits no longer (cancelled, expired)."""
        queue = self._queues.get(call.target)
        if queue is not None and call in queue:
            queue.remove(call)
            if not queue:
                del self._queues[call.target]

    def next_for(self, node: Node) -> GatewayCall | None:
        """Take the oldest call that this node has room for out of its queue."""
        oldest: GatewayCall | None = None
        for (node_id, function), queue in self._queues.items():
            if node_id not in ("", node.node_id) or not node.has_room(function):
                continue
            head = queue[0]
            if oldest is None or head.number < oldest.number:
                oldest = head
        if oldest is not None:
            assert oldest.state is CallState.QUEUED, "only queued calls wait"
            queue = self._queues[oldest.target]
            queue.popleft()
            if not queue:
                del self._queues[oldest.target]
        return oldest


def _load(node: Node) -> tuple[float, float]:
    """Least loaded: how full it is, then how slow."""
    return node.busy / max(node.slots, 1), node.mean_seconds or 0.0
