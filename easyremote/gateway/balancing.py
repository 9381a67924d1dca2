"""Which node gets a call where a function, or its caller, asks for a strategy. Pure.

The default, the least loaded node, is the scheduler's own (``scheduling/scheduler.py``).
``tests/gateway/test_balancing.py`` proves it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from easyremote.gateway.records import Node


class Balancer:
    """Chooses a node; it remembers what the weighted strategy owes to whom."""

    def __init__(self) -> None:
        #: By function: what each node is owed, in slots.
        self._owed: dict[str, dict[Node, int]] = {}

    def choose(self, strategy: str, function: str, nodes: Iterable[Node]) -> Node | None:
        """The node that gets the next call of a function; None where there is none.

        Parameters
        ----------
        strategy
            ``round_robin``: the nodes take turns. ``latency``: the node that answers quickest.
            ``weighted``: each node gets calls in proportion to its slots, whatever runs there.
        function
            Its name.
        nodes
            Those with room, in turn.
        """
        if strategy == "latency":
            return min(nodes, key=_latency, default=None)
        if strategy == "weighted":
            return self._weighted(function, list(nodes))
        return next(iter(nodes), None)

    def _weighted(self, function: str, nodes: list[Node]) -> Node | None:
        """Smooth weighted round-robin, as nginx has it: a large node gets no burst of calls."""
        if not nodes:
            return None
        before = self._owed.get(function, {})
        owed = {node: before.get(node, 0) + max(node.slots, 1) for node in nodes}
        chosen = max(nodes, key=owed.__getitem__)
        owed[chosen] -= sum(max(node.slots, 1) for node in nodes)
        self._owed[function] = before | owed
        return chosen


def _latency(node: Node) -> tuple[float, float]:
    """Seconds that the node takes to answer, then how full it is; an unknown time comes last."""
    latency = node.link.latency if node.link is not None else None
    return math.inf if latency is None else latency, node.busy / max(node.slots, 1)
