"""Reads the options that somebody gave: each by its name, with what reads its value.

``tests/node/test_options.py`` and ``tests/client/test_remote_options.py`` prove it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from easyremote.errors import UsageError
from easyremote.options.seed_words import in_todays_words
from easyremote.options.spelling import check_words
from easyremote.times import check_seconds

__all__ = ["Reader", "flag", "is_whole", "priority", "read", "seconds", "text"]

#: Reads the value of an option; called with the value and what to call the option in a message.
Reader = Callable[[Any, str], Any]
#: How far a priority may be from 0.
MOST_PRIORITY = 10
_SHOWN = {"register": "register()", "remote": "@remote"}


def read(what: str, given: Mapping[str, Any], readers: Mapping[str, Reader]) -> dict[str, Any]:
    """The options of ``register`` or ``remote``, as they were understood; None says nothing.

    Raises
    ------
    UsageError
        There is no such option, or it can't have such a value.
    """
    options = in_todays_words(what, given)
    shown = _SHOWN[what]
    check_words(options, readers, f"{shown} has no option")
    return {
        name: readers[name](value, f"{shown}: {name}")
        for name, value in options.items()
        if value is not None
    }


def text(value: object, what: str) -> str:
    """A text."""
    if not isinstance(value, str):
        raise UsageError(f"{what} is a text, not {value!r}.")
    return value


def flag(value: object, what: str) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise UsageError(f"{what} is True or False, not {value!r}.")
    return value


def seconds(value: Any, what: str) -> float:
    """A time above 0."""
    check_seconds(value, what)
    return float(value)


def priority(value: Any, what: str) -> int:
    """A priority: 0 is the usual one."""
    if not is_whole(value, -MOST_PRIORITY, MOST_PRIORITY):
        raise UsageError(
            f"{what} is a whole number from -{MOST_PRIORITY} to {MOST_PRIORITY}, not {value!r}; 0 "
            "is the usual one, and above it only keys may ask that were made for it."
        )
    return int(value)


def is_whole(value: object, least: int, most: float) -> bool:
    """Whether a value is a whole number in these limits; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
