"""Does to an object what was done to its copy on the other side.

``tests/serialize/graph/test_graph.py`` proves it.
"""

from __future__ import annotations

import abc
import array
import collections
import sys
import types
from collections.abc import Callable
from functools import partial
from typing import Any

from easyremote.errors import CannotShip
from easyremote.serialize.graph.changes import Change
from easyremote.serialize.graph.snapshots import in_cell, slots_of
from easyremote.serialize.memory import is_array

__all__ = ["apply"]


def apply(value: Any, change: Change) -> None:
    """Do to an object what was done to its copy on the other side.

    Raises
    ------
    CannotShip
        A ``__setstate__`` of the user's fails.
    """
    own, attributes = change
    try:
        if own is not None:
            _apply_own(value, own)
        if attributes is not None:
            _set_attributes(value, attributes)
    except Exception as error:
        raise CannotShip(
            f"a change of a {type(value).__name__} came across, but can't be made on this side: "
            f"{type(error).__name__}: {error}"
        ) from error


def _apply_own(value: Any, own: Any) -> None:
    for kind, change in _OWN:
        if isinstance(value, kind):
            change(value, own)
            return
    if is_array(value):
        _fill_array(value, own)
    else:
        _set_state(value, *own)


def _change_list(value: list[Any], own: Any) -> None:
    list.__setitem__(value, slice(own[0], None), own[1])


def _change_deque(value: collections.deque[Any], own: Any) -> None:
    value.clear()
    value.extend(own[1])


def _change_dict(value: Any, own: Any) -> None:
    kind = collections.OrderedDict if isinstance(value, collections.OrderedDict) else dict
    _set_pairs(
        own, lambda: kind.clear(value), partial(kind.pop, value), partial(kind.__setitem__, value)
    )


def _change_set(value: set[Any], own: Any) -> None:
    set.clear(value)
    set.update(value, own)


def _change_bytes(value: Any, own: bytes) -> None:
    value[:] = own if isinstance(value, bytearray) else array.array(value.typecode, own)


def _change_function(function: types.FunctionType, own: Any) -> None:
    for name, each in own[1]:
        setattr(function, name, each)


def _set_pairs(
    own: Any,
    clear: Callable[[], Any],
    remove: Callable[[Any, None], Any],
    put: Callable[[Any, Any], Any],
) -> None:
    removed, pairs = own
    if removed is None:
        clear()
    for key in removed or ():
        remove(key, None)
    for key, each in pairs:
        put(key, each)


def _fill_cell(cell: types.CellType, own: tuple[tuple[Any, ...]]) -> None:
    if own[0]:
        cell.cell_contents = own[0][0]
    elif in_cell(cell):
        del cell.cell_contents


def _change_class(cls: type, own: Any) -> None:
    removed, pairs = own
    for name in removed or ():
        if name in vars(cls):
            type.__delattr__(cls, name)
    for name, each in pairs:
        # `type.__setattr__`, because a metaclass of the user's may forbid it or react to it.
        type.__setattr__(cls, name, each)
    abc.update_abstractmethods(cls)


def _fill_array(value: Any, own: Any) -> None:
    import numpy  # it is loaded: `value` is an array

    shape, data, *flag = own
    is_writable = flag[0] if flag else value.flags.writeable
    if not value.flags.writeable:
        value.flags.writeable = True  # the owner of its memory allows it, or the change is refused
    if value.shape != shape:
        value.resize(shape, refcheck=False)  # of the same size: its memory stays
    if isinstance(data, tuple):
        for place, each in enumerate(data):
            value.flat[place] = each
    elif data is not None and value.size:
        value[...] = numpy.frombuffer(data, value.dtype).reshape(shape)
    value.flags.writeable = is_writable


def _set_attributes(value: Any, change: Any) -> None:
    removed, pairs = change
    slots = frozenset(slots_of(type(value)))
    own = getattr(value, "__dict__", {})
    if removed is None:
        own.clear()
        for name in slots:
            if hasattr(value, name):
                object.__delattr__(value, name)
    for name in removed or ():
        if name in slots:
            object.__delattr__(value, name)
        else:
            own.pop(name, None)
    for name, each in pairs:
        if name in slots:
            object.__setattr__(value, name, each)
        else:
            own[name] = each


def _set_state(value: Any, state: Any, items: Any, pairs: Any, setter: Any) -> None:
    if setter is not None:
        setter(value, state)
    elif hasattr(type(value), "__setstate__"):
        _give_mask(value)
        value.__setstate__(state)
    else:
        attributes, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
        _set_attributes(value, (None, tuple({**(attributes or {}), **(slots or {})}.items())))
    if items:
        value.clear()
        value.extend(items)
    if pairs:
        value.clear()
        for key, each in pairs:
            value[key] = each


def _give_mask(value: Any) -> None:
    """A masked array without a mask has nothing to put the other's mask into."""
    masked = sys.modules.get("numpy.ma")
    if masked is not None and isinstance(value, masked.MaskedArray) and value.mask is masked.nomask:
        value.mask = False


_OWN: tuple[tuple[Any, Callable[[Any, Any], None]], ...] = (
    (list, _change_list),
    (collections.deque, _change_deque),
    (dict, _change_dict),
    (set, _change_set),
    (types.CellType, _fill_cell),
    (types.FunctionType, _change_function),
    (type, _change_class),
    ((bytearray, array.array), _change_bytes),
)
