"""Whose turn it is among the keys that wait for one thing on one node. Pure.

Nodes share the calls that any node may take, and each node has an order of its own among their
keys. So each node keeps that order for itself, and reads what has changed since it last looked. To
find the next key takes logarithmic time in the keys that wait, on average over many decisions.
``tests/gateway/scheduling/test_turns.py`` proves it.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from itertools import takewhile
from typing import TYPE_CHECKING

from easyremote.gateway.scheduling.fairness import FairShare

if TYPE_CHECKING:  # a record of a node has its shares
    from easyremote.gateway.records import GatewayCall

__all__ = ["Lane", "Turns"]

#: Entries that may be out of date before an order is made anew, besides one for each key.
SPARE = 32


class Lane:
    """The calls of one key that wait for one thing, the oldest first."""

    __slots__ = ("began", "calls", "newest")

    def __init__(self) -> None:
        #: By their place in line.
        self.calls: OrderedDict[int, GatewayCall] = OrderedDict()
        #: Rises from lane to lane: when the key began to wait, or a call came back to it.
        self.began = 0
        #: The highest place that was ever taken.
        self.newest = -1

    @property
    def first(self) -> GatewayCall:
        """The oldest call."""
        return next(iter(self.calls.values()))

    def add(self, call: GatewayCall) -> None:
        """Add a call; one that has waited before gets its place again."""
        calls, turn = self.calls, call.turn
        calls[turn] = call
        if turn > self.newest:
            self.newest = turn
            return
        older = list(takewhile(lambda each: each < turn, calls))
        for each in (turn, *reversed(older)):
            calls.move_to_end(each, last=False)


class Turns:
    """The order of the keys on one node.

    Parameters
    ----------
    lanes
        The calls that wait, by key. A lane that is new, or to which a call came back, is the last.
    share
        How far each key is on this node.
    """

    __slots__ = ("_ahead", "_lanes", "_newest", "_read", "_ready", "_renewed", "_share")

    def __init__(self, lanes: dict[str, Lane], share: FairShare) -> None:
        self._lanes, self._share = lanes, share
        #: Two heaps: the keys that start at the present time, by their oldest calls, and those that
        #: are ahead, by their start tags. An entry may be out of date, but never too late in order.
        self._ready: list[tuple[int, str]] = []
        self._ahead: list[tuple[float, int, str]] = []
        #: What was read: lanes up to this one, so many of the lowered tags, this edition of tags.
        self._newest = self._read = 0
        self._renewed = -1

    def first(self) -> tuple[float, GatewayCall]:
        """The start tag of the key whose turn it is, and its oldest call."""
        self._look()
        lanes, share, ready, ahead = self._lanes, self._share, self._ready, self._ahead
        present = share.present
        while True:
            if ahead and ahead[0][0] <= present:
                key = heapq.heappop(ahead)[2]
            elif ready:
                turn, key = ready[0]
                lane = lanes.get(key)
                if lane is not None and lane.first.turn == turn and share.start(key) <= present:
                    return present, lane.first
                heapq.heappop(ready)
            else:
                start, turn, key = ahead[0]
                lane = lanes.get(key)
                if lane is not None and lane.first.turn == turn and share.start(key) == start:
                    return start, lane.first
                heapq.heappop(ahead)
            self._put(key)

    def _look(self) -> None:
        """Read what has changed since the last time."""
        lanes, share = self._lanes, self._share
        entries = len(self._ready) + len(self._ahead)
        if self._renewed != share.renewed or entries > 2 * len(lanes) + SPARE:
            self._ready.clear()
            self._ahead.clear()
            self._newest, self._renewed = 0, share.renewed
        else:
            for key in share.lowered[self._read :]:
                self._put(key)
        self._read = len(share.lowered)
        newest = self._newest
        for key in reversed(lanes):
            began = lanes[key].began
            if began <= newest:
                break
            self._newest = max(self._newest, began)
            self._put(key)

    def _put(self, key: str) -> None:
        """Put a key where it belongs now, if it waits."""
        lane = self._lanes.get(key)
        if lane is None:
            return
        start, turn = self._share.start(key), lane.first.turn
        if start > self._share.present:
            heapq.heappush(self._ahead, (start, turn, key))
        else:
            heapq.heappush(self._ready, (turn, key))
