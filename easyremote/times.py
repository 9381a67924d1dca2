"""Times that people give: seconds that can be waited.

NaN compares false with everything, so a time that is not checked here passes a check for its
range. ``tests/test_times.py`` proves it.
"""

from __future__ import annotations

import math
import re
from numbers import Real

from easyremote.errors import UsageError

#: The longest time that can be asked for, in seconds: a hundred years.
LONGEST = 100 * 366 * 86400.0

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)")


def is_time(value: object) -> bool:
    """Whether a value is a number of seconds that can be waited: finite, and not negative."""
    if type(value) is not float and (not isinstance(value, Real) or isinstance(value, bool)):
        return False
    return math.isfinite(value) and 0 <= float(value) <= LONGEST


def check_seconds(value: object, name: str, *, zero: bool = False) -> None:
    """Check a time that somebody gave.

    Parameters
    ----------
    value
        The number of seconds.
    name
        What the time is, for the message.
    zero
        Whether 0 is a time here.

    Raises
    ------
    UsageError
        It is no number, not finite, negative, or longer than a hundred years.
    """
    if not is_time(value) or not (value or zero):
        least = "0 or more" if zero else "above 0"
        most = (
            " It is at most a hundred years."
            if isinstance(value, int | float) and value > LONGEST
            else ""
        )
        raise UsageError(f"{name} is in seconds and {least}, not {value!r}.{most}")


def in_seconds(limit: float | None, name: str) -> float:
    """Check a time that somebody gave, as it travels: 0 for None; NumPy's numbers become plain.

    Raises
    ------
    UsageError
        As of `check_seconds`.
    """
    if limit is None:
        return 0.0
    check_seconds(limit, name)
    return float(limit)


def deadline_of(timeout: float | None, now: float) -> float | None:
    """When so many seconds from now are over; None for never.

    Raises
    ------
    UsageError
        As of `check_seconds`; 0 is a time here.
    """
    if timeout is None:
        return None
    check_seconds(timeout, "timeout", zero=True)
    return now + float(timeout)


def read_seconds(given: float | str, name: str) -> float:
    """Read a length of time, a number of seconds or a text as ``90s``, ``30m``, ``12h``, ``7d``.

    Raises
    ------
    UsageError
        It is no such text, or no time (see `check_seconds`).

    Examples
    --------
    >>> read_seconds("7d", "since")
    604800.0
    """
    if not isinstance(given, str):
        return in_seconds(given, name)
    match = _LENGTH.fullmatch(given.strip())
    if match is None:
        raise UsageError(f"{name} is a number with its unit (s, m, h, d, w), as 7d, not {given!r}.")
    return in_seconds(float(match[1]) * _UNITS[match[2]], name)
