"""What has changed in an object: two snapshots of it are compared.

What `__reduce__` makes anew each time is compared by its structure, as no one else refers to it.
``tests/serialize/graph/test_graph.py`` proves it.
"""

from __future__ import annotations

import collections
import types
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from easyremote.serialize.blobs import Beside
from easyremote.serialize.graph.snapshots import Content, Inner, take
from easyremote.serialize.memory import block_of

__all__ = ["ATOMS", "Change", "NotInPlace", "Same", "change_of", "comparison"]

#: Values that never change, and are compared by value.
ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, type(...)})
#: Those of which equal ones can differ: 0.0 and -0.0.
_NUMBERS = frozenset({float, complex})
#: More levels of what is made anew each time are taken for different.
_LEVELS = 40

#: Tells whether two parts of a snapshot are the same.
Same = Callable[[Any, Any], bool]


class NotInPlace(Exception):
    """The object has changed in a way that can't be done to its copy."""


class Change(NamedTuple):
    """What has to be done to an object: its own content, and its attributes. In plain types."""

    own: Any
    attributes: Any


def comparison(shared: Collection[int], replaced: Collection[int]) -> Same:
    """How parts of snapshots are compared.

    Parameters
    ----------
    shared
        The ids of the objects that the other side has: another object is another value.
    replaced
        The ids of those that are to be sent anew: what holds them isn't the same.
    """
    return _Comparison(shared, replaced).same


class _Comparison:
    def __init__(self, shared: Collection[int], replaced: Collection[int]) -> None:
        self._shared, self._replaced = shared, replaced

    def same(self, old: Any, new: Any, levels: int = _LEVELS) -> bool:
        kind = type(new)
        if type(old) is not kind:
            return False
        if kind in ATOMS:
            return old is new or (repr(old) == repr(new) if kind in _NUMBERS else bool(old == new))
        if kind is tuple:
            return self._all_same(old, new, levels)
        if kind is Inner:
            if id(new.value) in self._shared or id(old.value) in self._shared:
                return self.same(old.value, new.value, levels)
            return self._all_same(old.content, new.content, levels)
        if id(new) in self._replaced:
            return False
        if old is new:
            return True
        if id(new) in self._shared or id(old) in self._shared or not levels:
            return False
        return self._same_structure(old, new, kind, levels - 1)

    def _all_same(self, old: Any, new: Any, levels: int) -> bool:
        if old is new and not self._replaced:
            return True
        pairs = zip(old, new, strict=False)
        return len(old) == len(new) and all(self.same(a, b, levels) for a, b in pairs)

    def _same_structure(self, old: Any, new: Any, kind: Any, levels: int) -> bool:
        if kind is list:
            return self._all_same(old, new, levels)
        if kind is dict:
            return self._all_same(tuple(old.items()), tuple(new.items()), levels)
        if kind in (set, frozenset):
            return bool(old == new)
        if kind is types.MethodType:
            return old.__func__ is new.__func__ and old.__self__ is new.__self__
        if issubclass(kind, type | types.ModuleType | types.FunctionType):
            return False
        first, second = take(old), take(new)
        return first.kind != "constant" and self._all_same(tuple(first), tuple(second), levels)


def change_of(value: Any, old: Content, new: Content, same: Same) -> Change | None:
    """What has changed between two snapshots of an object; None for nothing.

    Raises
    ------
    NotInPlace
        The other side can't change its object so.
    """
    if old.kind != new.kind or not same(old.fixed, new.fixed):
        raise NotInPlace
    attributes = None
    if new.attributes is not None:
        attributes = _of_pairs(old.attributes or {}, new.attributes, same)
    own = _OWN[new.kind](value, old.own, new.own, same)
    return None if own is None and attributes is None else Change(own, attributes)


def _of_items(value: Any, old: Any, new: Any, same: Same) -> Any:
    start = next(
        (i for i, (a, b) in enumerate(zip(old, new, strict=False)) if not same(a, b)),
        min(len(old), len(new)),
    )
    if start == len(old) == len(new):
        return None
    if isinstance(value, collections.deque):
        start = 0
    return start, new[start:]


def _of_pairs(old: dict[Any, Any], new: dict[Any, Any], same: Same) -> Any:
    """The removed keys (None: all) and the pairs to set."""
    if len(old) == len(new) and all(map(same, old, new)):
        keys = [key for key in new if not same(old[key], new[key])]
        return ((), tuple([(key, new[key]) for key in keys])) if keys else None
    removed = tuple([key for key in old if key not in new])
    gone = set(removed)
    kept = [key for key in old if key not in gone]
    if all(map(same, kept, new)):  # their order is the same
        pairs = [(k, v) for k, v in new.items() if k not in old or not same(old[k], v)]
        return removed, tuple(pairs)
    return None, tuple(new.items())


def _of_members(value: Any, old: Any, new: Any, same: Same) -> Any:
    if old == new and {id(each) for each in old} == {id(each) for each in new}:
        if all(same(each, each) for each in new):
            return None
    if old == new and all(type(each) in ATOMS for each in new):
        return None
    return tuple(new)


def _of_data(value: Any, old: Any, new: Any, same: Same) -> Any:
    return None if same(old, new) else new


def _of_array(value: Any, old: Any, new: Any, same: Same) -> Any:
    if same(old, new):
        return None
    shape, data, is_writable = new
    flag = () if old[2] == is_writable else (is_writable,)
    if flag and same(old[:2], new[:2]):
        return shape, None, *flag
    return shape, data if isinstance(data, tuple) else Beside(block_of(value)), *flag


def _of_state(value: Any, old: Any, new: Any, same: Same) -> Any:
    if same(old, new):
        return None
    if new[0] is None and old[0] is not None:  # an iterator that has come to its end
        raise NotInPlace
    return None if _is_of_reading(old, new, take(value).own, same) else new


def _is_of_reading(old: Any, new: Any, again: Any, same: Same) -> bool:
    """Whether a state changes by being read, and not otherwise.

    A `CallbackRegistry` of matplotlib counts on whenever somebody asks it for its state.
    """
    if type(old) is type(new) is type(again) in (tuple, dict) and len(old) == len(new):
        if type(new) is tuple:
            return len(again) == len(new) and all(
                _is_of_reading(*parts, same) for parts in zip(old, new, again, strict=True)
            )
        if old.keys() == new.keys() == again.keys():
            return all(_is_of_reading(old[k], new[k], again[k], same) for k in new)
    return same(old, new) or (type(new) in ATOMS and not same(new, again))


def _of_whole(value: Any, old: Any, new: Any, same: Same) -> Any:
    return None if same(old, new) else (new,)


def _of_constant(value: Any, old: Any, new: Any, same: Same) -> Any:
    return None


_OWN: dict[str, Callable[[Any, Any, Any, Same], Any]] = {
    "items": _of_items,
    "pairs": lambda value, old, new, same: _of_pairs(old, new, same),
    "members": _of_members,
    "data": _of_data,
    "array": _of_array,
    "function": lambda value, old, new, same: _of_pairs(old, new, same),
    "class": lambda value, old, new, same: _of_pairs(old, new, same),
    "cell": _of_whole,
    "state": _of_state,
    "instance": _of_constant,
    "constant": _of_constant,
}
