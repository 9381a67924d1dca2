"""A snapshot of what one object holds itself.

A snapshot is shallow: it names the objects that are held, and doesn't look into those that are
shared with the other side, because they have snapshots of their own.
``tests/serialize/graph/test_graph.py`` proves it.
"""

from __future__ import annotations

import array
import collections
import copyreg
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from easyremote.serialize.blobs import hash_of
from easyremote.serialize.by_value import reducer_of
from easyremote.serialize.files import File
from easyremote.serialize.memory import block_of, is_array, place_in
from easyremote.serialize.modules import travels_by_reference

__all__ = ["Content", "Inner", "Way", "attributes_of", "inner_of", "slots_of", "take", "take_view"]

#: Arrays of more bytes are compared by their hash.
KEPT_MAX = 64
#: Functions' attributes that can be set.
_OF_A_FUNCTION = ("__defaults__", "__kwdefaults__", "__name__", "__qualname__", "__doc__")
#: A class's attributes that Python makes, and keeps.
_OF_A_CLASS = frozenset(
    "__dict__ __weakref__ __static_attributes__ __firstlineno__ __abstractmethods__ _abc_impl "
    "__annotations__ __annotate_func__ __annotations_cache__ __slots__ __orig_bases__".split()
)


_CONTAINERS = (list, dict, set, collections.deque)


class Content(NamedTuple):
    """A snapshot of one object."""

    kind: str
    #: What no change in place can change.
    fixed: Any
    own: Any
    #: The attributes of an instance, those in slots too; None where there are none.
    attributes: dict[str, Any] | None


class Inner(NamedTuple):
    """A list or dict that an object was made of, and may have kept: its content can change."""

    value: Any
    content: tuple[Any, ...]


#: So deep are lists in lists looked into, and only into those of so many items at the most.
_INNER_LEVELS, _INNER_ITEMS = 4, 1000

#: What is not compared: it can't change, or nobody can tell.
CONSTANT = Content("constant", None, None, None)


#: How to take a snapshot of the instances of a type.
Way = Callable[[Any], Content]


def take(value: Any, ways: dict[type, Way] | None = None) -> Content:
    """Take a snapshot.

    Parameters
    ----------
    ways
        Found for other objects in the same moment: a class can change.
    """
    kind = type(value)
    way = None if ways is None else ways.get(kind)
    if way is None:
        way = _way(value, kind)
        if ways is not None:
            ways[kind] = way
    try:
        return way(value)
    except Exception:  # the user's __reduce__: it can't travel any more
        return CONSTANT


def _way(value: Any, kind: type) -> Way:
    if kind in _WAYS:
        return _WAYS[kind]
    if isinstance(value, type):
        return _of_class
    if isinstance(value, _CONTAINERS):
        return _of_container
    if is_array(value):
        return _of_array
    return _of_instance if _is_plain(kind) else _reduced


def _of_container(value: Any) -> Content:
    attributes = None if type(value) in _CONTAINERS else attributes_of(value)
    if isinstance(value, dict):
        return Content("pairs", getattr(value, "default_factory", None), dict(value), attributes)
    if isinstance(value, set):
        return Content("members", None, frozenset(value), attributes)
    return Content("items", getattr(value, "maxlen", None), tuple(value), attributes)


def _of_function(value: types.FunctionType) -> Content:
    made_from = value.__code__, tuple(map(id, value.__closure__ or ()))
    own = {name: getattr(value, name) for name in _OF_A_FUNCTION}
    return Content("function", made_from, own, dict(value.__dict__))


def _of_cell(cell: types.CellType) -> Content:
    return Content("cell", None, in_cell(cell), None)


def _of_bytes(value: bytearray) -> Content:
    return Content("data", None, bytes(value), None)


def _of_numbers(value: array.array[Any]) -> Content:
    return Content("data", value.typecode, value.tobytes(), None)


def _of_instance(value: Any) -> Content:
    return Content("instance", None, None, attributes_of(value))


def _of_file(file: File) -> Content:
    return Content("constant", file.content, None, None)


_WAYS: dict[type, Way] = {
    File: _of_file,
    types.FunctionType: _of_function,
    types.CellType: _of_cell,
    bytearray: _of_bytes,
    array.array: _of_numbers,
}


def attributes_of(value: Any) -> dict[str, Any]:
    """A copy of an instance's attributes."""
    found = dict(getattr(value, "__dict__", ()))
    for name in slots_of(type(value)):
        try:
            found[name] = getattr(value, name)
        except AttributeError:  # not set
            continue
    return found


def slots_of(kind: type) -> list[str]:
    """The names of the slots of a class's instances."""
    names: list[str] = copyreg._slotnames(kind)  # type: ignore[attr-defined]  # as pickle does
    return names


def _is_plain(kind: Any) -> bool:
    """Whether pickle takes the attributes of such instances, and nothing else."""
    root: Any = object
    return (
        kind.__reduce_ex__ is root.__reduce_ex__
        and kind.__reduce__ is root.__reduce__
        and kind.__getstate__ is root.__getstate__
        and not hasattr(kind, "__setstate__")
        and not hasattr(kind, "__getnewargs__")
        and not hasattr(kind, "__getnewargs_ex__")
        and kind not in copyreg.dispatch_table
    )


def in_cell(cell: types.CellType) -> tuple[Any, ...]:
    """The content of a closure cell, and nothing for an empty one."""
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _of_class(cls: type) -> Content:
    if travels_by_reference(cls):
        return CONSTANT
    descriptors = types.MemberDescriptorType | types.GetSetDescriptorType
    own = {
        name: value
        for name, value in vars(cls).items()
        if name not in _OF_A_CLASS and not isinstance(value, descriptors)
    }
    return Content("class", None, own, None)


def _of_array(value: Any) -> Content:
    size = value.dtype, value.size
    data = tuple(value.flat) if value.dtype.hasobject else _token(value)
    return Content("array", size, (value.shape, data, value.flags.writeable), None)


def take_view(value: Any, whole: Any) -> Content:
    """Take a snapshot of an array on the memory of another array, whose snapshot has the data."""
    return Content("constant", place_in(whole, value), None, None)


def _token(value: Any) -> bytes:
    raw = block_of(value)
    return bytes(raw) if raw.nbytes <= KEPT_MAX else hash_of(raw)


def _reduced(value: Any) -> Content:
    reduced = _reduction(value)
    if not isinstance(reduced, tuple):
        return CONSTANT
    func, args, state, items, pairs, setter = (*reduced, None, None, None, None)[:6]
    own = (_copied(state), tuple(items or ()), tuple(pairs or ()), setter)
    return Content("state", (func, _with_content(args)), own, None)


def _with_content(value: Any, levels: int = _INNER_LEVELS) -> Any:
    kind = type(value)
    if not levels or kind not in (tuple, list, dict):
        return value
    content = tuple(value.items() if kind is dict else value)
    if len(content) <= _INNER_ITEMS:
        content = tuple([_with_content(each, levels - 1) for each in content])
    return content if kind is tuple else Inner(value, content)


def inner_of(value: Any) -> Iterator[Any]:
    """The lists, dicts and sets that an object hands to what would make it again."""
    if _way(value, type(value)) is _reduced and (content := take(value)).kind == "state":
        yield from _containers((content.fixed[1], content.own[0]))


def _containers(value: Any, levels: int = _INNER_LEVELS) -> Iterator[Any]:
    kind = type(value)
    if kind is Inner:
        yield value.value
        value = value.content
    elif kind in (list, dict, set):
        yield value
    elif kind is not tuple:
        return
    if levels and kind is not set and len(value) <= _INNER_ITEMS:
        for each in value.values() if kind is dict else value:
            yield from _containers(each, levels - 1)


def _reduction(value: Any) -> Any:
    reducer = reducer_of(type(value))
    # Protocol 4: no PickleBuffer, which must not be kept.
    return value.__reduce_ex__(4) if reducer is None else reducer(value)


def _copied(state: Any) -> Any:
    if isinstance(state, dict):
        return dict(state)
    if type(state) is tuple:
        return tuple([_copied(each) for each in state])
    return state
