"""Times that people give: seconds that can be waited.

NaN compares false with everything, so a time that is not checked here passes a check for its
range. ``tests/test_times.py`` proves it.
"""

from __future__ import annotations

import math
from numbers import Real

from easyremote.errors import UsageError

#: The longest time that can be asked for, in seconds: a hundred years.
LONGEST = 100 * 366 * 86400.0


def is_time(value: object) -> bool:
    """Whether a value is a number of seconds that can be waited: finite, and not negative."""
    if not isinstance(value, Real) or isinstance(value, bool):
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
