"""`Tally`: counts what each call has used, when it ends; a listener of the call table. Pure.

A call is counted once, at its first end: a node that comes back may tell of the end again. What
EasyRemote asks of nodes itself (``$keep``) is no call of anybody's, but its bytes are counted.
``tests/gateway/usage/test_tally.py`` proves it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from easyremote.gateway.records import GatewayCall
from easyremote.protocol.builtins import BUILTINS
from easyremote.protocol.call import CallEvent
from easyremote.protocol.usage import OUTCOMES, By, UsageRequest, UsageRow

#: How many functions are counted by their names; the others together as `OTHER`.
NAMES = 1000
OTHER = "other"
#: The function of a call that came back with its node after a restart of the gateway.
_UNKNOWN = "unknown"
#: Byte-seconds in a gigabyte-hour.
_GB_HOUR = 1e9 * 3600.0
#: Seconds up to which calls are counted together, for a histogram.
RAN_FOR = (0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0)
#: How people call the builtins that are work, as in the list of jobs.
TITLES = {row.name: row.job for row in BUILTINS.values() if row.job}
_QUESTIONS = frozenset(row.name for row in BUILTINS.values() if not row.job)
#: The outcome for the code of an error; for others it is an error.
_OF_CODES = {"": "values", "cancelled": "cancelled", "timeout": "timed_out", "lost": "lost"}


@dataclass(slots=True)
class Counts:
    """What some calls have used; the fields are those of `UsageRow`.

    It is not a Struct itself: setting a field of one takes three times as long.
    """

    values: int = 0
    errors: int = 0
    cancelled: int = 0
    timed_out: int = 0
    lost: int = 0
    refused: int = 0
    run_seconds: float = 0.0
    gpu_seconds: float = 0.0
    gpu_gb_hours: float = 0.0
    argument_bytes: int = 0
    result_bytes: int = 0
    #: How many calls ended without having run; and how many ran longer than each bound of
    #: `RAN_FOR`, and not longer than the next. Quick calls are what is left: they cost least.
    unrun: int = 0
    longer: list[int] = field(default_factory=lambda: [0] * len(RAN_FOR))

    def add(self, other: Counts) -> None:
        """Count what another one has counted as well."""
        for name in (*COUNTED, "unrun"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.longer = [mine + its for mine, its in zip(self.longer, other.longer, strict=True)]

    def ran_for(self) -> Iterator[tuple[float, int]]:
        """How many calls ran for up to so many seconds; at last, how many ran at all."""
        ran = sum(getattr(self, name) for name in OUTCOMES) - self.unrun
        left = sum(self.longer)
        for bound, longer in zip(RAN_FOR, self.longer, strict=True):
            yield bound, ran - left
            left -= longer
        yield math.inf, ran

    def row(self, name: str) -> UsageRow:
        """The same as a row of an answer."""
        return UsageRow(name, **{name: getattr(self, name) for name in COUNTED})


#: What is counted, and kept in the file.
COUNTED = tuple(each.name for each in fields(Counts) if each.name not in ("unrun", "longer"))
#: Where something is counted: by the key's id, the node's id and the function.
Place = tuple[str, str, str]
Counted = dict[Place, Counts]
#: The part of a place that a row is for.
PARTS: dict[By, int] = {"key": 0, "node": 1, "function": 2}


class Tally:
    """What has been used since it was last taken."""

    def __init__(self) -> None:
        self._fresh: Counted = {}
        #: Since the beginning, without what is fresh.
        self._taken: Counted = {}
        #: The functions that are counted by their names.
        self._names: set[str] = set()

    def note(self, call: GatewayCall, event: CallEvent, now: float) -> None:
        """Hear that a call is over; a listener of the call table."""
        if not call.owner:
            return  # its node alone has spoken of it: it says so again when the client is back
        node, function = call.node, call.target[1]
        place = call.owner, node.node_id if node is not None else "", function
        counts = self._fresh.get(place) or self._open(*place, event)
        counts.result_bytes += call.result_bytes
        call.result_bytes = 0
        if call.is_counted:
            return
        call.is_counted = True
        counts.argument_bytes += call.argument_bytes
        if call.is_code and function in _QUESTIONS:
            return
        seconds = call.seconds
        if not call.code:
            counts.values += 1
        else:
            is_refused = event is CallEvent.REJECTED
            outcome = "refused" if is_refused else _OF_CODES.get(call.code, "errors")
            setattr(counts, outcome, getattr(counts, outcome) + 1)
            if not seconds:
                counts.unrun += 1
                return
        counts.run_seconds += seconds
        if seconds > RAN_FOR[0]:
            counts.longer[bisect_left(RAN_FOR, seconds) - 1] += 1
        if node is not None and node.held.calls:
            gpus, memory = node.held.gpus_of(call, node.said)
            counts.gpu_seconds += seconds * gpus
            counts.gpu_gb_hours += seconds * memory / _GB_HOUR

    def _open(self, key: str, node: str, function: str, event: CallEvent) -> Counts:
        """Where something is counted for the first time since it was taken.

        A call that was refused may name a function that does not exist.
        """
        function = function or _UNKNOWN
        if function not in self._names:
            if event is CallEvent.REJECTED or len(self._names) >= NAMES:
                function = OTHER
            else:
                self._names.add(function)
        return self._fresh.setdefault((key, node, function), Counts())

    def know(self, functions: set[str]) -> None:
        """Take note of functions that were counted before: they keep their names."""
        self._names |= functions

    def take(self) -> Counted:
        """What is fresh; from now on it is not."""
        fresh, self._fresh = self._fresh, {}
        add_to(self._taken, fresh)
        return fresh

    def sums(self, by: By, key: str | None = None, node: str = "") -> dict[str, Counts]:
        """What has been used since the beginning, in the order in which it was first counted.

        Parameters
        ----------
        by
            What each sum is for.
        key
            Whose calls; None for everybody's.
        node
            Where; empty for everywhere.
        """
        sums: dict[str, Counts] = {}
        for place, counts in (*self._taken.items(), *self._fresh.items()):
            if key in (None, place[0]) and node in ("", place[1]):
                sums.setdefault(place[PARTS[by]], Counts()).add(counts)
        return sums

    def rows(self, request: UsageRequest, key: str | None) -> list[UsageRow]:
        """The sums since the beginning, the most used first.

        Parameters
        ----------
        request
            What each row is for. ``since`` is not looked at: nothing here is old.
        key
            Whose calls; None for everybody's.
        """
        rows = [
            counts.row(name) for name, counts in self.sums(request.by, key, request.node).items()
        ]
        return sorted(rows, key=lambda row: row.run_seconds, reverse=True)


def add_to(sums: Counted, counted: Counted) -> None:
    """Add what was counted to these sums."""
    for place, counts in counted.items():
        sums.setdefault(place, Counts()).add(counts)
