"""Which objects the shared objects refer to, so that another one of equal content is a change.

A digest of a variable is the same when one list in it was replaced by another list of the same
items. Python's collector of garbage tells which objects an object refers to, for all at once and
fast, so that this is looked at before each cell. ``tests/serialize/graph/test_graph.py`` proves it.
"""

from __future__ import annotations

import gc
from array import array
from collections.abc import Collection, Iterable
from typing import Any

from easyremote.serialize.graph.shared import own_attributes

__all__ = ["Links"]


class Links:
    """The objects that each shared object referred to when both sides agreed, by their ids."""

    def __init__(self) -> None:
        #: By the id of the shared object: itself, and the dict of its attributes.
        self._holders: dict[int, tuple[Any, ...]] = {}
        self._agreed: dict[int, bytes] = {}
        #: All holders, and what they all referred to; None where one has changed since.
        self._all: tuple[list[Any], bytes] | None = None

    def copy(self) -> Links:
        made = Links()
        made._holders, made._agreed = dict(self._holders), dict(self._agreed)
        made._all = self._all
        return made

    def agree(self, values: Iterable[Any]) -> None:
        """Note that both sides have these in their present state."""
        for value in values:
            own = own_attributes(value)
            holders = self._holders[id(value)] = (value,) if own is None else (value, own)
            self._agreed[id(value)] = _referred(holders)
            self._all = None

    def keep(self, ids: Collection[int]) -> None:
        """Forget all others."""
        for key in self._holders.keys() - ids:
            del self._holders[key], self._agreed[key]
            self._all = None

    def moved(self) -> frozenset[int]:
        """The ids of the shared objects that refer to others than when both sides agreed."""
        if self._all is None:
            holders = [each for held in self._holders.values() for each in held]
            self._all = holders, b"".join(self._agreed.values())
        if _referred(self._all[0]) == self._all[1]:
            return frozenset()
        agreed = self._agreed
        return frozenset(k for k, each in self._holders.items() if _referred(each) != agreed[k])


def _referred(holders: Collection[Any]) -> bytes:
    return array("Q", map(id, gc.get_referents(*holders))).tobytes()
