"""Which objects two sides share: those that have an identity, and can change.

``tests/serialize/graph/test_graph.py`` proves it.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import pathlib
import pickle
import re
import sys
import types
import uuid
import weakref
from collections.abc import Iterator
from typing import Any

from easyremote.serialize.by_value import Known
from easyremote.serialize.files import File
from easyremote.serialize.functions import Cell
from easyremote.serialize.graph.changes import ATOMS
from easyremote.serialize.graph.pickles import Pickled
from easyremote.serialize.memory import Memories
from easyremote.serialize.modules import travels_by_reference
from easyremote.serialize.refs import Elsewhere

__all__ = ["known", "thing", "to_share"]

#: Values that never change. Those that are equal may be one object or two.
_CONSTANT = ATOMS | {
    *(tuple, frozenset, range, slice, types.CodeType, types.ModuleType),
    *(types.BuiltinFunctionType, types.GenericAlias, types.UnionType, pickle.PickleBuffer),
    *(datetime.date, datetime.time, datetime.datetime, datetime.timedelta, datetime.timezone),
    *(decimal.Decimal, fractions.Fraction, uuid.UUID, re.Pattern),
    *(pathlib.PosixPath, pathlib.PurePosixPath),
    # These are made anew whenever somebody asks for one.
    *(types.BuiltinMethodType, types.MethodType, types.MappingProxyType, weakref.ref, memoryview),
    *(type({}.keys()), type({}.values()), type({}.items())),
}
_APART = (Elsewhere, enum.Enum)


def thing(value: Any) -> Any:
    """The object that an object in a pickler's memo stands for."""
    return value.cell if type(value) is Cell else value


def known(objects: list[Any], numbers: dict[int, int], memories: Memories) -> Known:
    """The memo that a pickler starts with.

    Parameters
    ----------
    objects
        The shared objects.
    numbers
        The number of each, by id. Where two are one object here, it has the first's number.
    memories
        Those of the arrays among them.
    """
    memo = dict(zip(map(id, objects), enumerate(objects), strict=True))
    cells = {
        id(value): Cell(value)
        for value in map(objects.__getitem__, numbers.values())
        if type(value) is types.CellType
    }
    for key, cell in cells.items():
        memo[id(cell)] = memo.pop(key)[0], cell
    if len(memo) < len(objects):
        for number, value in enumerate(objects):
            if numbers[id(value)] != number:
                stand_in = object()  # for the number, which nothing refers to
                memo[id(stand_in)] = number, stand_in
            elif id(value) not in cells:
                memo[id(value)] = number, value
    return Known(memo, cells, memories)


def to_share(pickled: Pickled, start: int) -> list[tuple[int, Any]]:
    """Of what a pickler has met: the new objects to share, with their numbers in its memo."""
    new = [each for each in pickled.memo().values() if each[0] >= start]
    pickled.pickler.clear_memo()
    items = list(_candidates(new))
    del new
    _drop_temporary(items)
    return sorted(items, key=lambda item: item[0])


def _candidates(new: list[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    inner = {id(own) for _, value in new if (own := own_attributes(value)) is not None}
    verdicts: dict[type, bool] = {}
    for number, value in new:
        kind = type(value)
        if kind not in verdicts:
            verdicts[kind] = _can_be_shared(kind)
        if not verdicts[kind] or id(value) in inner:
            continue
        if kind is types.FunctionType or issubclass(kind, type):
            if travels_by_reference(value):
                continue
        yield number, thing(value)


def _can_be_shared(kind: type) -> bool:
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(kind, (numpy.generic, numpy.dtype)):
        return False
    if kind.__module__.startswith("easyremote.serialize."):
        return kind in (Cell, File)  # others stand for something
    return kind not in _CONSTANT and not issubclass(kind, _APART)


def _drop_temporary(items: list[tuple[int, Any]]) -> None:
    """Drop the containers that a `__reduce__` has made: nobody else refers to them."""
    count = -1
    while count != len(items):  # one that is gone held others
        count = len(items)
        items[:] = [item for item in items if _references(item) > _ALONE]


def _references(item: tuple[int, Any]) -> int:
    return sys.getrefcount(item[1]) if type(item[1]) in _CONTAINERS else sys.maxsize


_CONTAINERS = (dict, list, set)
#: What is counted of an object that only the item refers to.
_ALONE = _references((0, []))


def own_attributes(value: Any) -> Any:
    """The dict of an instance's attributes, which pickle meets, but the other side merges."""
    if type(value).__dictoffset__ == 0 or isinstance(value, type):
        return None
    try:
        return object.__getattribute__(value, "__dict__")
    except AttributeError:
        return None
