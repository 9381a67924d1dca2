"""Knows which variables a session's process has already, so that they are not sent again.

A variable is sent when the process does not have it, or when it has changed here since it was sent:
it is another object, or its serialised form has another hash. A variable that only a cell there has
changed is not sent: two remote cells that append to one list append twice.
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
    #: Returns the object, or None where it is gone.
    found: Callable[[], Any]
    #: The hash of its serialised form; empty where it can't travel.
    digest: bytes

    def is_same(self, other: _Entry) -> bool:
        """Whether a value is the same object with the same contents."""
        return bool(self.digest) and self.digest == other.digest and self.has(other.found())

    def has(self, value: object) -> bool:
        return self.found() is value


class Held:
    """The variables of one session, as this notebook knows them."""

    def __init__(self) -> None:
        #: The name of the process that has them; None before the first cell.
        self.process: str | None = None
        self._entries: dict[str, _Entry] = {}
        #: The state of a cell's variables when they were sent, until `note` takes it.
        self._fresh: dict[str, _Entry] = {}

    def missing(self, variables: Mapping[str, object]) -> dict[str, object]:
        """The variables that have to be sent."""
        self._fresh = {name: self._entry(value) for name, value in variables.items()}
        return {
            name: value
            for name, value in variables.items()
            if name not in self._entries or not self._fresh[name].is_same(self._entries[name])
        }

    def note(self, names: Iterable[str], namespace: Mapping[str, object]) -> None:
        """Note that the process has `names`; they are sent again only after a change here.

        The state that counts is the one that `missing` has seen, else the one noted before.
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
        """Note that the process does not have these."""
        for name in names:
            self._entries.pop(name, None)

    def forget(self) -> None:
        """Note that the process is gone, or may be gone."""
        self._entries.clear()
        self._fresh.clear()
        self.process = None

    def _entry(self, value: object) -> _Entry:
        try:
            # A reference that is not weak would keep a large array that the user deletes.
            known: Callable[[], Any] = weakref.ref(value)
        except TypeError:
            known = lambda: value  # noqa: E731 - there are no weak references to it
        if isinstance(value, RemoteRef):
            is_there = value.where.process == self.process
            return _Entry(known, b"a reference" if is_there else b"")
        try:
            return _Entry(known, pack({"": value}).digest)
        except CannotShip:
            return _Entry(known, b"")
