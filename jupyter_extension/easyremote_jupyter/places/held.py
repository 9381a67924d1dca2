"""What a session's process holds of this notebook's variables, so that they are not sent again.

A variable is sent when it isn't there, or when it has changed here since: another object, or the
same one with other contents (its serialised form has another hash). What has not changed here but
there, by a cell, stands: so two cells that append to one list append twice.
``tests/jupyter_extension/places/test_held.py`` proves it.
"""

from __future__ import annotations

import types
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from easyremote.client.refs import RemoteRef
from easyremote.errors import CannotShip
from easyremote.serialize.blobs import pack

__all__ = ["Held"]


class _Entry(NamedTuple):
    #: Gives the object, or None where it is gone.
    found: Callable[[], Any]
    #: A hash of its serialised form; empty where it can't travel.
    digest: bytes

    def is_same(self, other: _Entry) -> bool:
        """Whether it is the same object with the same contents."""
        return bool(self.digest) and self.digest == other.digest and self.has(other.found())

    def has(self, value: object) -> bool:
        return self.found() is value


class Held:
    """The variables of one session, as far as this notebook knows."""

    def __init__(self) -> None:
        #: The process that has them, in its own words; None before the first cell.
        self.process: str | None = None
        self._entries: dict[str, _Entry] = {}
        #: How the variables of a cell were when it was sent, until `note` uses it.
        self._fresh: dict[str, _Entry] = {}

    def missing(self, variables: Mapping[str, object]) -> dict[str, object]:
        """Those of `variables` that have to be sent."""
        self._fresh = {name: self._entry(value) for name, value in variables.items()}
        return {
            name: value
            for name, value in variables.items()
            if name not in self._entries or not self._fresh[name].is_same(self._entries[name])
        }

    def note(self, names: Iterable[str], namespace: Mapping[str, object]) -> None:
        """The process has `names`, and its values stand as long as these here don't change.

        What `missing` looked at counts as it was then; what was noted before, as it was before.
        """
        fresh, self._fresh = self._fresh, {}
        for name in names:
            if name not in namespace or isinstance(namespace[name], types.ModuleType):
                continue
            value = namespace[name]
            known = fresh.get(name) or self._entries.get(name)
            if known is None or not known.has(value):
                known = self._entry(value)
            self._entries[name] = known

    def drop(self, names: Iterable[str]) -> None:
        """The process has not got these."""
        for name in names:
            self._entries.pop(name, None)

    def forget(self) -> None:
        """The process is gone, or nobody knows what became of it."""
        self._entries.clear()
        self._fresh.clear()
        self.process = None

    def _entry(self, value: object) -> _Entry:
        try:
            # Whoever deletes a large array here wants its memory back.
            known: Callable[[], Any] = weakref.ref(value)
        except TypeError:
            known = lambda: value  # noqa: E731 - what can't be referred to weakly
        if isinstance(value, RemoteRef):
            is_there = value.where.process == self.process
            return _Entry(known, b"a reference" if is_there else b"")
        try:
            return _Entry(known, pack({"": value}).digest)
        except CannotShip:
            return _Entry(known, b"")
