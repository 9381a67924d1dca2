"""The last five minutes of every node: what the sparklines show as soon as the panel opens.

Each snapshot of the gateway gives one sample, so there is about one a second. Samples are whole
percents; those of the network are kB a second, because the network has no known maximum. All series
end at the newest sample; the series of a node that came later is shorter. This module knows nothing
of browsers.
``tests/panel/test_history.py`` proves it.
"""

from __future__ import annotations

from collections import deque

from easyremote.panel.messages import NodeRow, Series

#: Five minutes at a sample a second.
LENGTH = 300


class History:
    """A ring of samples for each meter of each node."""

    def __init__(self) -> None:
        #: How many samples there have been: a number for each moment.
        self.sample = 0
        self._rings: dict[str, list[deque[int | None]]] = {}

    def add(self, nodes: list[NodeRow]) -> None:
        """Take the next sample; forget nodes that the gateway has forgotten."""
        self.sample += 1
        self._rings = {node.node_id: self._extended(node) for node in nodes}

    def skip(self) -> None:
        """Add a gap to every series, for a second without a snapshot."""
        self.sample += 1
        for rings in self._rings.values():
            for ring in rings:
                ring.append(None)

    def series(self, after: int = 0) -> dict[str, list[Series]]:
        """The samples after this one, each series in the order of `meters`."""
        count = min(self.sample - after, LENGTH)
        return {
            node_id: [list(ring)[-count:] if count > 0 else [] for ring in rings]
            for node_id, rings in self._rings.items()
        }

    def _extended(self, node: NodeRow) -> list[deque[int | None]]:
        values = meters(node)
        rings = self._rings.get(node.node_id, [])
        rings = rings[: len(values)] + _new_rings(len(values) - len(rings))
        for ring, value in zip(rings, values, strict=True):
            ring.append(value)
        return rings


def meters(node: NodeRow) -> list[int | None]:
    """CPU and RAM of a node, what it receives and sends, then use and memory of each GPU."""
    if node.state == "offline":
        return [None for _ in range(4 + 2 * len(node.gpus))]
    values = [
        *(_percent(node.cpu, 1), _percent(node.memory_used, node.memory_total)),
        *(_kilo(node.received), _kilo(node.sent)),
    ]
    for gpu in node.gpus:
        values += [_percent(gpu.use, 1), _percent(gpu.memory_used, gpu.memory_total)]
    return values


def _percent(value: float | None, whole: float | None) -> int | None:
    if value is None or not whole:
        return None
    return min(max(int(100 * value / whole + 0.5), 0), 100)


def _kilo(rate: float | None) -> int | None:
    return None if rate is None else round(rate / 1000)


def _new_rings(count: int) -> list[deque[int | None]]:
    return [deque(maxlen=LENGTH) for _ in range(count)]
