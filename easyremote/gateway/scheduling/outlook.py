"""Looks ahead: in which order waiting calls will probably be taken, and when. Pure.

It looks only when somebody asks, and at `LOOKED_AT` calls at the most. ``explain.py`` makes
sentences of what it finds. ``tests/gateway/scheduling/test_outlook.py`` proves it.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from easyremote.gateway.records import GatewayCall, Node
from easyremote.gateway.scheduling.scheduler import Scheduler
from easyremote.protocol.builtins import CALL, CELL, is_builtin

__all__ = ["LOOKED_AT", "NAMED", "Turn", "named", "turns"]

#: How many calls are looked at before a place is said to be "after more than so many".
LOOKED_AT = 1000
#: How many groups of other calls are named.
NAMED = 3


@dataclass(slots=True, frozen=True)
class Turn:
    """How a waiting call stands in its queue."""

    #: From 1; 0 where more than `LOOKED_AT` calls are before it.
    position: int
    #: How many calls wait in the same queue.
    of: int
    #: Seconds until its turn, about; None where a function before it has never been over.
    seconds: float | None
    #: What runs and waits before it, in words; what there is most of comes first.
    before: tuple[str, ...]


def turns(queues: Scheduler, calls: Collection[GatewayCall], now: float) -> dict[int, Turn]:
    """How these calls stand, by their numbers. All of them wait."""
    found: dict[int, Turn] = {}
    queued: dict[tuple[str, bool], list[GatewayCall]] = {}
    for call in calls:
        queued.setdefault((call.target[0], call.is_code), []).append(call)
    for group in queued.values():
        found |= _Queue(queues, group[0], now).turns({call.number for call in group})
    return found


class _Queue:
    """The calls that a node, or any node, will take in their turn."""

    def __init__(self, queues: Scheduler, call: GatewayCall, now: float) -> None:
        self._queues, self._now = queues, now
        self._node_id = call.target[0]
        self._is_code = call.is_code
        #: The nodes that may take them; the first one's shares decide on the order.
        self._nodes = _takers(queues, call)

    def turns(self, wanted: set[int]) -> dict[int, Turn]:
        """The turns of these calls, by number."""
        before = Counter(named(call) for node in self._nodes for call in self._running(node))
        of = self._size()
        slots = max(sum(node.slots for node in self._nodes), 1)
        seconds = self._seconds_left()
        found: dict[int, Turn] = {}
        for position, call in enumerate(islice(self._in_order(), LOOKED_AT), start=1):
            if call.number in wanted:
                left = None if seconds is None else seconds / slots
                found[call.number] = Turn(position, of, left, _told(before))
                if len(found) == len(wanted):
                    return found
            before[named(call)] += 1
            seconds = self._and(seconds, call)
        late = Turn(0, of, None, _told(before))
        return dict.fromkeys(wanted, late) | found

    def _in_order(self) -> Iterator[GatewayCall]:
        """Yield the calls in the order in which they will probably be taken."""
        waiting = self._lanes()
        starts = self._starts(waiting)
        heap: list[tuple[int, float, int, GatewayCall, Iterator[GatewayCall]]] = []
        for (priority, key), lanes in waiting.items():
            calls: Iterator[GatewayCall] = heapq.merge(*lanes, key=lambda call: call.turn)
            for first in islice(calls, 1):
                start = starts[priority, key]
                heapq.heappush(heap, (-priority, start, first.turn, first, calls))
        while heap:
            rank, start, _, call, calls = heapq.heappop(heap)
            yield call
            start += self._expected(call) / self._queues.weights.get(call.owner, 1.0)
            for following in islice(calls, 1):
                heapq.heappush(heap, (rank, start, following.turn, following, calls))

    def _starts(self, waiting: Iterable[tuple[int, str]]) -> defaultdict[tuple[int, str], float]:
        """The start tags of the keys, by priority and key, when what runs now is charged."""
        later: defaultdict[tuple[int, str], float] = defaultdict(float)
        if self._nodes:
            node = self._nodes[0]
            for call in self._running(node):
                if not call.charged:  # its key is charged at its end
                    weight = self._queues.weights.get(call.owner, 1.0)
                    later[call.priority, call.owner] += call.expected / weight
            for priority, key in waiting:
                later[priority, key] += node.shares[priority].start(key)
        return later

    def _lanes(self) -> dict[tuple[int, str], list[Iterable[GatewayCall]]]:
        """The calls that wait here, by priority and key."""
        found: defaultdict[tuple[int, str], list[Iterable[GatewayCall]]] = defaultdict(list)
        for place in {self._node_id, "" if self._nodes else self._node_id}:
            for want, queue in self._queues.waiting.at(place, code=self._is_code).items():
                if self._offers(want[1]):
                    for key, lane in queue.lanes.items():
                        found[queue.priority, key].append(lane.calls.values())
        return found

    def _size(self) -> int:
        return sum(
            queue.size
            for (place, function, *_), queue in self._queues.waiting.queues.items()
            if place in ("", self._node_id)
            and is_builtin(function) == self._is_code
            and self._offers(function)
        )

    def _offers(self, function: str) -> bool:
        return not self._nodes or function in self._nodes[0].functions

    def _running(self, node: Node) -> Iterator[GatewayCall]:
        calls = islice(node.calls.values(), LOOKED_AT)
        return (call for call in calls if call.occupies and call.is_code == self._is_code)

    def _expected(self, call: GatewayCall) -> float:
        known = self._nodes[0].runs.get(call.function) if self._nodes else None
        return self._queues.estimates.of(call.function) if known is None else known

    def _seconds_left(self) -> float | None:
        """The run-seconds that are left of what runs."""
        seconds: float | None = None if self._is_code or not self._nodes else 0.0
        for node in self._nodes:
            for call in self._running(node):
                ran = self._now - call.began if call.began else 0.0
                seconds = self._and(seconds, call, ran)
        return seconds

    def _and(self, seconds: float | None, call: GatewayCall, ran: float = 0.0) -> float | None:
        if seconds is None or not self._queues.estimates.is_known(call.function):
            return None
        return seconds + max(self._expected(call) - ran, 0.0)


def _takers(queues: Scheduler, call: GatewayCall) -> list[Node]:
    """Some nodes that may take a call; the first one has the least to do."""
    takers = list(queues.takers(call))
    willing = [node for node in takers if node not in queues.declined and not node.closed] or takers
    return sorted(willing, key=lambda node: node.owed / max(node.slots, 1))


def named(call: GatewayCall) -> str:
    """A call of somebody, for others: ``train() of key lab-1``."""
    special = {"": "a call", CELL: "a cell", CALL: "a shipped function"}
    what = special.get(call.function, f"{call.function}()")
    whose = call.client.principal.name if call.client is not None else call.owner
    return f"{what} of key {whose}" if whose else what


def _told(before: Counter[str]) -> tuple[str, ...]:
    return tuple(
        name if count == 1 else f"{count} x {name}" for name, count in before.most_common(NAMED)
    )
