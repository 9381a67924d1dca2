"""Reads the values of the options of ``%%remote``: each function is the ``type`` of one. Pure.

``tests/jupyter_extension/magics/test_options.py`` proves it.
"""

from __future__ import annotations

import argparse
import math
import re
from typing import Literal

from easyremote.client.executor import KEEP
from easyremote.errors import UsageError
from easyremote.options.reading import priority as read_priority
from easyremote.times import is_time, read_seconds

__all__ = [
    "DISCONNECT_LIMIT",
    "PULL",
    "Outputs",
    "files",
    "hold",
    "inputs",
    "is_length",
    "keep",
    "outputs",
    "priority",
    "pull",
    "seconds",
]

Outputs = dict[str, str] | Literal["auto", "none", "*"]

#: Seconds that a cell in the foreground goes on when its kernel is gone.
DISCONNECT_LIMIT = 120.0
#: Bytes of one value, and of all values of a cell, that come back where nothing else is said.
PULL = (16e6, 64e6)


def name(text: str) -> str:
    """The name of a variable."""
    if not text.strip().isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a variable")
    return text.strip()


def inputs(text: str) -> list[str]:
    """Names of variables."""
    return [name(each) for each in text.split(",") if each.strip()]


def files(text: str) -> list[str]:
    """Paths of files."""
    return [path.strip() for path in text.split(",") if path.strip()]


def outputs(text: str) -> Outputs:
    """The variables that come back: their names there, and their names here."""
    if text == "*":
        return "*"
    pairs = [item.partition("=") for item in text.split(",") if item.strip()]
    # In `-o here=there` the name here comes first, as in an assignment.
    return {name(there or here): name(here) for here, _, there in pairs}


def pull(text: str) -> tuple[float, float]:
    """Bytes of one value, and of all values of a cell, that come back without being named."""
    words = {"auto": PULL, "always": (math.inf, math.inf), "never": (0.0, 0.0)}
    if text in words:
        return words[text]
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B?", text, re.IGNORECASE)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not auto, always, never or a size as 100M")
    size = float(match[1]) * 1000.0 ** " KMGT".index(match[2].upper() or " ")
    return size, max(size, PULL[1])


def seconds(text: str) -> float:
    """A time as typed: the ``type`` of an option of argparse."""
    try:
        read = float(text)
    except ValueError:
        read = 0.0
    if not read or not is_time(read):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return read


def is_length(text: str) -> bool:
    """Whether a word after ``--keep`` is a length of time, and not a target."""
    return text[:1].isdigit()


def keep(text: str) -> float:
    """How long an outcome is kept: ``24h``, ``7d``."""
    return read_seconds(text, "--keep")


def hold(text: str) -> float:
    """Seconds that a job goes on without its client; `KEEP` for ``keep``."""
    what, _, limit = text.partition(":")
    if text == "keep":
        return KEEP
    if what == "cancel":
        return seconds(limit) if limit else DISCONNECT_LIMIT
    raise argparse.ArgumentTypeError(f"{text!r} is neither keep nor cancel nor cancel:SECONDS")


def priority(text: str) -> int:
    """A priority as typed."""
    try:
        return read_priority(int(text) if text.lstrip("-").isdecimal() else text, "it")
    except UsageError as error:
        raise argparse.ArgumentTypeError(error.message.rstrip(".")) from None
