"""What a session's process holds of this notebook's variables, so that they are not sent again.

A variable is sent when it isn't there, or when it has changed here since: another object, or the
same one with other contents (its serialised form has another hash). What has not changed here but
there, by a cell, stands: so two cells that append to one list append twice.
``tests/jupyter_extension/test_held.py`` proves it.
"""

from __future__ import annotations

import hashlib
import types
from collections.abc import Iterable, Mapping

from easyremote.errors import CannotShip
from easyremote.serialize.values import dump

__all__ = ["Held"]

_Entry = tuple[object, bytes]


class Held:
    """The variables of one session, as far as this notebook knows."""

    def __init__(self) -> None:
        #: The process that has them, in its own words; None before the first cell.
        self.process: str | None = None
        self._entries: dict[str, _Entry] = {}
        #: What `missing` hashed, until `note` uses it.
        self._fresh: dict[str, _Entry] = {}

    def missing(self, variables: Mapping[str, object]) -> dict[str, object]:
        """Those of `variables` that have to be sent."""
        self._fresh = {
            name: (value, _digest(value))
            for name, value in variables.items()
            if name in self._entries and self._entries[name][0] is value
        }
        return {
            name: value
            for name, value in variables.items()
            if name not in self._fresh or not _same(self._fresh[name], self._entries[name])
        }

    def note(self, names: Iterable[str], namespace: Mapping[str, object]) -> None:
        """The process has `names`, and its values stand as long as these here don't change."""
        for name in names:
            if name in namespace and not isinstance(namespace[name], types.ModuleType):
                value, fresh = namespace[name], self._fresh.get(name)
                # Large values are hashed once a cell: nothing changes here while it runs there.
                known = fresh if fresh is not None and fresh[0] is value else None
                self._entries[name] = known or (value, _digest(value))
        self._fresh = {}

    def forget(self) -> None:
        """The process is gone, or nobody knows what became of it."""
        self._entries.clear()
        self._fresh.clear()
        self.process = None


def _same(one: _Entry, other: _Entry) -> bool:
    return bool(one[1]) and one[1] == other[1]


def _digest(value: object) -> bytes:
    """A hash of the serialised value; empty where it can't travel."""
    try:
        parts = dump(value).parts
    except CannotShip:
        return b""
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        found.update(part)
    return found.digest()
