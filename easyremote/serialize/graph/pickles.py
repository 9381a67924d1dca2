"""Pickles in which objects that both sides have are references.

Pickler and unpickler number the objects that they meet in the same order. So both start with the
known objects, and after a pickle each has the new ones under the same numbers as the other.
``tests/serialize/graph/test_graph.py`` proves it.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from easyremote.serialize.by_value import ByValuePickler, Known
from easyremote.serialize.memory import Owners
from easyremote.serialize.values import (
    Buffer,
    Version,
    pickle_with,
    rebuilt,
    shielded_names,
)

__all__ = ["Pickled", "pickle_graph", "unpickle_graph"]

#: A pickle that loads None, and before it fills the memo with what `persistent_load` returns.
_PROTOCOL = pickle.PROTO + b"\x05"
_REFERENCE = pickle.NONE + pickle.BINPERSID + pickle.MEMOIZE + pickle.POP
_END = pickle.NONE + pickle.STOP

#: Bytes of arrays that are copied out of one payload, so that they own their memory.
COPIED_MOST = 64 * 1024 * 1024


class Pickled(NamedTuple):
    """A pickle that `pickle_graph` has made."""

    data: bytes
    buffers: list[memoryview]
    #: Its memo holds all objects that the pickle refers to; the copy of `unpickle_graph` has the
    #: same numbers.
    pickler: ByValuePickler

    def pieces(self) -> list[memoryview]:
        """The pickle and its buffers, as they are sent."""
        return [memoryview(self.data), *(buffer.cast("B") for buffer in self.buffers)]

    def memo(self) -> dict[int, tuple[int, Any]]:
        """By id: the number and the object."""
        found: dict[int, tuple[int, Any]] = self.pickler.memo.copy()
        return found


def pickle_graph(
    variables: Mapping[str, object],
    beside: object,
    known: Known | None = None,
    *,
    python: Version | None = None,
) -> Pickled:
    """Pickle variables and something beside them; what is `known` is referred to, not copied.

    `unpickle_graph` gives the dict of variables and the other thing back.

    Raises
    ------
    CannotShip
        A variable can't travel; the message names it.
    """
    with shielded_names(variables, python) as values:
        return Pickled(*pickle_with((values, beside), python, known))


def unpickle_graph(
    body: Buffer, buffers: Sequence[Buffer], known: Sequence[object]
) -> tuple[Any, dict[int, Any]]:
    """What `pickle_graph` was given, and all objects that it refers to, by their numbers.

    Parameters
    ----------
    known
        The objects of this side, in the order of their numbers.
    """
    # The loader's memo can't be set; it is filled by a pickle of references to these objects.
    start = _PROTOCOL + _REFERENCE * len(known) + _END
    unpickler = _Loader(io.BytesIO(b"".join((start, body))), buffers=buffers)
    unpickler.following, unpickler.owners = iter(known), Owners(COPIED_MOST)
    unpickler.load()
    return rebuilt(unpickler.load), unpickler.memo.copy()


class _Loader(pickle.Unpickler):
    """Loads the known objects first; arrays own their memory, if they did at the source."""

    following: Iterator[object]
    #: Not the loader itself: with what it has met, that would be a cycle, and live on.
    owners: Owners

    def persistent_load(self, _: object) -> object:
        return next(self.following)

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        # In NumPy 1 it is in `numpy.core.numeric`, in NumPy 2 in `numpy._core.numeric`.
        is_of_array = name == "_frombuffer" and module.startswith("numpy.")
        return partial(self.owners.make, found) if is_of_array else found
