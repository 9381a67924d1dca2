"""The words of the seed, the package ``easyremote`` 2.x: accepted, and put into the words of today.

Programs that were written for it change nothing but their keys. Today's words are the documented
ones; this module is the only place that knows the others. ``tests/options/test_seed_words.py``
proves it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from easyremote.errors import UsageError

__all__ = ["GATEWAY_VARIABLE", "SeedNodeOptions", "gateway_of_environment", "in_todays_words"]
__all__ += ["tags_of"]

#: The variable beside ``EASYREMOTE_GATEWAY`` that names the gateway.
GATEWAY_VARIABLE = "EASYREMOTE_GATEWAY_ADDRESS"


class SeedNodeOptions(TypedDict, total=False):
    """The options of the seed's ``ComputeNode`` that have another name today."""

    gateway_address: str
    node_capabilities: Iterable[str]


#: Option of the seed: option of today.
_TODAY = {
    "ComputeNode": {"gateway_address": "gateway", "node_capabilities": "labels"},
    "register": {"timeout_seconds": "timeout", "max_concurrent": "max_concurrency"},
    "remote": {"gateway_address": "gateway"},
}


def in_todays_words(what: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of ``ComputeNode``, ``register`` or ``remote`` in the words of today.

    Raises
    ------
    UsageError
        An option was given in both words.
    """
    words = _TODAY[what]
    said = {}
    for name, value in options.items():
        today = words.get(name, name)
        if today in said:
            raise UsageError(f"{what}: two options mean {today}. Give one of them.")
        said[today] = value
    return said


def tags_of(given: object) -> object:
    """Tags as a dict (``{"team": "vision"}``) or a set become a list of words, in one order."""
    if isinstance(given, Mapping):
        return [f"{name}={value}" for name, value in given.items()]
    return sorted(given) if isinstance(given, set | frozenset) else given


def gateway_of_environment() -> str | None:
    """The gateway that the seed's variable names."""
    return os.environ.get(GATEWAY_VARIABLE)
