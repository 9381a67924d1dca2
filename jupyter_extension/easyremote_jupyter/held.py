"""What a session's process holds of this notebook's variables, so that they are not sent again.

A variable is sent when it isn't there, or when it has changed here since: another object, or the
same one with other contents (its serialised form has another hash). What has not changed here but
there, by a cell, stands: so two cells that append to one list append twice.
``tests/jupyter_extension/test_held.py`` proves it.
"""

from __future__ import annotations

import hashlib
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

    def missing(self, variables: Mapping[str, object]) -> dict[str, object]:
        """Those of `variables` that have to be sent."""
        return {name: value for name, value in variables.items() if not self._has(name, value)}

    def note(self, names: Iterable[str], namespace: Mapping[str, object]) -> None:
        """The process has `names`, and its values stand as long as these here don't change."""
        for name in names:
            if name in namespace:
                self._entries[name] = (namespace[name], _digest(namespace[name]))

    def forget(self) -> None:
        """The process is gone, or nobody knows what became of it."""
        self._entries.clear()
        self.process = None

    def _has(self, name: str, value: object) -> bool:
        known, digest = self._entries.get(name, (None, b""))
        return known is value and bool(digest) and _digest(value) == digest


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
