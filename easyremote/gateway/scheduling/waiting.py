"""The calls that wait: by place, by key, and by what they want. Pure.

A *place* is a node, or "" for any node. In one place each key has a `Line` of its calls. A line has
a lane for each thing that its calls want; calls of one lane find room on a node or find none
together. ``tests/gateway/scheduling/test_waiting.py`` proves it.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterator

from easyremote.gateway.callers import Target, Wanted
from easyremote.gateway.records import GatewayCall
from easyremote.protocol.builtins import CELL, is_builtin

__all__ = ["Line", "Waiting", "wanted"]


def wanted(call: GatewayCall) -> Wanted:
    """What a call waits for.

    Calls whose arguments are still to come must not block the others. But the cells of a session
    keep their order, whatever each of them carries and needs.
    """
    node_id, function, access = call.target
    if function == CELL:
        return node_id, function, access, False, call.session
    return node_id, function, access, call.arguments is not None, call.needs


class Line:
    """The calls of one key that wait in one place."""

    __slots__ = ("_heads", "lanes", "oldest", "size")

    def __init__(self, call: GatewayCall) -> None:
        self.lanes: dict[Wanted, OrderedDict[int, GatewayCall]] = {}
        self.size = 0
        self.oldest = call
        #: (number, lane) of the first call of each lane, as a heap; some are there no more.
        self._heads: list[tuple[int, Wanted]] = []

    def add(self, call: GatewayCall, want: Wanted) -> None:
        """Add the newest call of this key."""
        lane = self.lanes.get(want)
        if lane is None:
            lane = self.lanes[want] = OrderedDict()
            heapq.heappush(self._heads, (call.number, want))
        lane[call.number] = call
        self.size += 1

    def remove(self, call: GatewayCall, want: Wanted) -> None:
        """Take a call out."""
        lane, heads = self.lanes[want], self._heads
        was_first = next(iter(lane)) == call.number
        del lane[call.number]
        self.size -= 1
        if was_first and lane:
            head = (next(iter(lane)), want)
            (heapq.heapreplace if heads[0][0] == call.number else heapq.heappush)(heads, head)
        elif not lane:
            del self.lanes[want]
        if call is self.oldest and self.size:
            while not self._is_head(*heads[0]):
                heapq.heappop(heads)
            number, want = heads[0]
            self.oldest = self.lanes[want][number]

    def first(self, fits: Callable[[GatewayCall, Wanted], bool]) -> GatewayCall | None:
        """The oldest call that fits. The first calls of the lanes are asked, the oldest first."""
        passed: list[tuple[int, Wanted]] = []
        found: GatewayCall | None = None
        while self._heads and found is None:
            number, want = head = heapq.heappop(self._heads)
            if self._is_head(number, want):
                passed.append(head)
                call = self.lanes[want][number]
                found = call if fits(call, want) else None
        for head in passed:
            heapq.heappush(self._heads, head)
        return found

    def in_order(self) -> Iterator[GatewayCall]:
        """Yield all calls, the oldest first."""
        lanes = [lane.values() for lane in self.lanes.values()]
        return heapq.merge(*lanes, key=lambda call: call.number)

    def check_invariants(self) -> None:
        """Raise AssertionError where a lane, or what is known of it, is wrong; for tests."""
        assert self.lanes
        assert self.size == sum(map(len, self.lanes.values()))
        numbers = [number for lane in self.lanes.values() for number in lane]
        assert self.oldest.number == min(numbers)
        for want, lane in self.lanes.items():
            assert list(lane) == sorted(lane)
            assert (next(iter(lane)), want) in self._heads
            for number, call in lane.items():
                assert (number, want) == (call.number, call.want)

    def _is_head(self, number: int, want: Wanted) -> bool:
        lane = self.lanes.get(want)
        return lane is not None and next(iter(lane)) == number


class Waiting:
    """All calls that wait."""

    def __init__(self) -> None:
        #: By place, then by key: calls that take a slot, and calls of builtins, which take none.
        self.in_slots: dict[str, dict[str, Line]] = {}
        self.beside: dict[str, dict[str, Line]] = {}
        #: How many calls want the same.
        self.counts: dict[Wanted, int] = {}

    def lines(self, node_id: str, *, code: bool) -> dict[str, Line]:
        """The lines of a place, by key; of builtins' calls, or of all others."""
        return (self.beside if code else self.in_slots).get(node_id, _NOBODY)

    def add(self, call: GatewayCall) -> None:
        """Put a call at the end of its key's line."""
        call.want = want = wanted(call)
        places = self.beside if call.is_code else self.in_slots
        lines = places.get(want[0])
        if lines is None:
            lines = places[want[0]] = {}
        line = lines.get(call.owner)
        if line is None:
            line = lines[call.owner] = Line(call)
        line.add(call, want)
        self.counts[want] = self.counts.get(want, 0) + 1

    def remove(self, call: GatewayCall) -> None:
        """Take a call out, if it is there."""
        want, call.want = call.want, None
        if want is None:
            return
        places = self.beside if call.is_code else self.in_slots
        lines = places[want[0]]
        line = lines[call.owner]
        line.remove(call, want)
        if not line.size:
            del lines[call.owner]
            if not lines:
                del places[want[0]]
        count = self.counts[want] - 1
        if count:
            self.counts[want] = count
        else:
            del self.counts[want]

    def targets(self) -> list[Target]:
        """The targets for which calls wait."""
        return list(dict.fromkeys(want[:3] for want in self.counts))

    def calls(self, target: Target) -> list[GatewayCall]:
        """The calls that wait for a target, the oldest first."""
        lines = self.lines(target[0], code=is_builtin(target[1]))
        lanes = [
            lane.values()
            for line in lines.values()
            for want, lane in line.lanes.items()
            if want[:3] == target
        ]
        return list(heapq.merge(*lanes, key=lambda call: call.number))

    def check_invariants(self) -> None:
        """Raise AssertionError where a line or a count is not what it says; for tests."""
        counts: dict[Wanted, int] = {}
        for is_code, places in ((False, self.in_slots), (True, self.beside)):
            for place, lines in places.items():
                assert lines
                for key, line in lines.items():
                    line.check_invariants()
                    for want, lane in line.lanes.items():
                        counts[want] = counts.get(want, 0) + len(lane)
                        for call in lane.values():
                            assert (call.owner, call.is_code, want[0]) == (key, is_code, place)
        assert counts == self.counts


_NOBODY: dict[str, Line] = {}
