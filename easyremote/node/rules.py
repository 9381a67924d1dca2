"""The rules of a node's owner: when the machine is lent, and how much of it. Pure.

People write them on the command line, or in a file with the same words; `in_force.py` keeps them
up to date. ``tests/node/test_rules.py`` proves it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from enum import Enum
from typing import Any, Final, NamedTuple, Self

from easyremote.errors import UsageError
from easyremote.options.requirements import parse_size
from easyremote.options.spelling import check_words

__all__ = ["Hours", "MachineState", "OwnersRules", "WhenBusy"]

_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_HOURS = re.compile(r"(\d\d?)(?::(\d\d))?\s*-\s*(\d\d?)(?::(\d\d))?")


class Hours(NamedTuple):
    """A part of each day, on the clock of the machine; over midnight if it ends before it starts.

    The clock decides: where daylight saving skips or repeats an hour, this part is shorter or
    longer on that day.
    """

    start: time
    end: time

    def has(self, now: time) -> bool:
        """Whether this time of the day is in it."""
        if self.start < self.end:
            return self.start <= now < self.end
        return now >= self.start or now < self.end


class WhenBusy(Enum):
    """What becomes of what runs when its owner wants the machine back, as people write it."""

    GO_ON = "go-on"
    STAND_STILL = "pause"
    BREAK_OFF = "cancel"


class MachineState(NamedTuple):
    """What the rules have to know of the machine."""

    #: False where it is not known.
    on_battery: bool = False
    #: Whether its owner, or anybody but the node, works on it.
    is_in_use: bool = False


@dataclass(frozen=True, slots=True)
class OwnersRules:
    """What the owner of a node lends, and when.

    Parameters
    ----------
    max_cpu
        The share of the cores, above 0 and up to 1.
    max_memory
        Bytes of memory; 0 for no limit.
    only_when_idle
        Nothing new starts while somebody works on the machine.
    hours
        Something new starts in these hours only; None for always.
    on_battery
        Whether something new starts while the machine runs on battery.
    when_busy
        What becomes of what runs in processes when nothing new may start: it goes on, it is paused
        until something may start again, or it is cancelled.
    """

    max_cpu: float = 1.0
    max_memory: int = 0
    only_when_idle: bool = False
    hours: Hours | None = None
    on_battery: bool = True
    when_busy: WhenBusy = WhenBusy.GO_ON

    @classmethod
    def read(cls, given: Mapping[str, object]) -> Self:
        """Read what somebody wrote.

        Raises
        ------
        UsageError
            There is no such rule, or it is written in another way.

        Examples
        --------
        >>> OwnersRules.read({"max_cpu": "50%", "hours": "22-7"}).share_of(8)
        4
        """
        words = {name.replace("-", "_"): value for name, value in given.items()}
        check_words(words, _READERS, "The owner's rules have no")
        return cls(**{name: _READERS[name](each) for name, each in words.items()})

    @classmethod
    def wrong(cls, changes: Mapping[str, object]) -> dict[str, str]:
        """What is wrong with changes of rules, by name; None as a value lifts a rule.

        Examples
        --------
        >>> OwnersRules.wrong({"hours": None, "on_battery": "maybe"})
        {'on_battery': "on_battery is yes or no (in a file: true or false), not 'maybe'."}
        """
        wrong = {}
        for name, value in changes.items():
            try:
                check_words([name.replace("-", "_")], _READERS, "The owner's rules have no")
                if value is not None:
                    cls.read({name: value})
            except UsageError as error:
                wrong[name] = error.message
        return wrong

    def why_closed(self, now: datetime, state: MachineState) -> str:
        """Why nothing new may start, in words; empty where something may.

        Parameters
        ----------
        now
            The local time of the machine.
        state
            How the machine is.

        Examples
        --------
        >>> rules = OwnersRules.read({"hours": "22-7"})
        >>> rules.why_closed(datetime(2026, 11, 28, 12), MachineState())
        'its owner lends it from 22:00'
        """
        if self.hours is not None and not self.hours.has(now.time()):
            return f"its owner lends it from {self.hours.start:%H:%M}"
        if state.on_battery and not self.on_battery:
            return "it runs on battery"
        if state.is_in_use and self.only_when_idle:
            return "its owner works on it"
        return ""

    def share_of(self, count: int) -> int:
        """How many of so many cores, or of what is counted by cores, are lent; at least one."""
        return max(int(count * self.max_cpu), 1)

    def memory_of(self, total: int) -> int:
        """How many of so many bytes of memory are lent."""
        return min(total, self.max_memory or total)


def _share(value: object) -> float:
    match = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    share = float(match[1]) / 100 if match is not None else 0.0
    if not 0 < share <= 1:
        raise UsageError(
            f"max_cpu is a share of the cores above 0% and up to 100%, as '50%', not {value!r}."
        )
    return share


def _memory(value: object) -> int:
    try:
        size = parse_size(value) if isinstance(value, str) and not value.isdecimal() else 0
    except ValueError:
        size = 0
    if size < 1:
        raise UsageError(f"max_memory is a size with its unit, as '16GB', not {value!r}.")
    return int(size)


def _hours(value: object) -> Hours:
    match = _HOURS.fullmatch(value.strip()) if isinstance(value, str) else None
    try:
        start, end = (_time(match[1], match[2]), _time(match[3], match[4])) if match else (0, 0)
    except ValueError:
        start = end = 0
    if isinstance(start, int) or isinstance(end, int) or start == end:
        raise UsageError(
            "hours are two different times of the day, as '22-7' or '22:30-7:00', not "
            f"{value!r}. Leave them out for the whole day."
        )
    return Hours(start, end)


def _time(hour: str, minute: str | None) -> time:
    at = int(hour), int(minute or 0)
    return time() if at == (24, 0) else time(*at)


def _yes(name: str) -> Callable[[object], bool]:
    def read(value: object) -> bool:
        is_yes = {"yes": True, "no": False}.get(value, value) if isinstance(value, str) else value
        if not isinstance(is_yes, bool):
            raise UsageError(f"{name} is yes or no (in a file: true or false), not {value!r}.")
        return is_yes

    return read


def _when_busy(value: object) -> WhenBusy:
    try:
        return WhenBusy(value)
    except ValueError:
        words = ", ".join(each.value for each in WhenBusy)
        raise UsageError(f"when_busy is one of {words}, not {value!r}.") from None


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "max_cpu": _share,
    "max_memory": _memory,
    "only_when_idle": _yes("only_when_idle"),
    "hours": _hours,
    "on_battery": _yes("on_battery"),
    "when_busy": _when_busy,
}
