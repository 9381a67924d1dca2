"""How the odd types of Python itself are reduced, and made again on the other side.

``tests/serialize/test_by_value.py`` proves it.
"""

from __future__ import annotations

import functools
import re
import sys
import types
import typing
import weakref
from collections.abc import Callable
from itertools import islice
from typing import Any

from easyremote.serialize.memory import reduce_memoryview
from easyremote.serialize.modules import is_own, travels_by_reference

__all__ = ["ODD_TYPES", "Reducer", "set_state"]

Reducer = Callable[[Any], Any]

#: So many matches of a pattern in a text are looked at to find one again.
_SCANNED_MAX = 1000


def _reduce_property(value: property) -> Any:
    return property, (value.fget, value.fset, value.fdel, value.__doc__)


def _reduce_wrapping_method(value: Any) -> Any:
    return type(value), (value.__func__,)


def _reduce_cached_property(value: Any) -> Any:
    # Python 3.11's holds a lock.
    return make_cached_property, (value.func, value.attrname)


def _reduce_cached_function(value: Any) -> Any:
    if travels_by_reference(value):
        return value.__qualname__
    return make_cached_function, (value.__wrapped__, value.cache_parameters())


def _reduce_view(value: Any) -> Any:
    kind = type(value).__name__.rpartition("_")[2]  # dict_keys, odict_values, ...
    mapping = value.mapping
    return make_view, (dict(mapping), kind)


def _reduce_match(value: re.Match[Any]) -> Any:
    """How the match is found once more: by the method that found it, and which of several it is."""
    where = value.re, value.string, value.pos, value.endpos
    for method in ("match", "search", "fullmatch"):
        found = find_match(method, 0, *where)
        if found is not None and found.regs == value.regs:
            return find_match, (method, 0, *where)
    scanned = islice(value.re.finditer(*where[1:]), _SCANNED_MAX)
    for index, found in enumerate(scanned):
        if found.regs == value.regs:
            return find_match, ("finditer", index, *where)
    # One of very many: it is found from its own start, which is then its `pos`.
    return find_match, ("match", 0, value.re, value.string, value.start(), value.endpos)


def _reduce_weak_reference(value: weakref.ref[Any]) -> Any:
    return weakref.ref, (value(),) if value() is not None else (_Gone(),)


def _reduce_mapping_proxy(value: types.MappingProxyType[Any, Any]) -> Any:
    return types.MappingProxyType, (dict(value),)


def _reduce_builtin_method(value: Any) -> Any:
    """A builtin's bound method: by name where it can be imported (``random.random``)."""
    owner = value.__self__
    if owner is None or isinstance(owner, types.ModuleType):
        return value.__qualname__  # a function of a module
    name: str = value.__name__
    module = None if isinstance(owner, type) else sys.modules.get(type(owner).__module__)
    if module is not None and not is_own(module) and getattr(module, name, None) == value:
        return getattr, (module, name)
    return getattr, (owner, name)


def _reduce_method(value: types.MethodType) -> Any:
    """A bound method: by name where it can be imported (``random.choice``)."""
    module = sys.modules.get(getattr(value.__func__, "__module__", None) or "")
    if module is not None and not is_own(module):
        if getattr(module, value.__name__, None) == value:
            return getattr, (module, value.__name__)
    return types.MethodType, (value.__func__, value.__self__)


def _reduce_type_variable(value: Any) -> Any:
    module = sys.modules.get(value.__module__)
    name: str = value.__name__
    if module is not None and not is_own(module) and getattr(module, name, None) is value:
        return name
    variance = {"covariant": value.__covariant__, "contravariant": value.__contravariant__}
    keywords = {"bound": value.__bound__, **variance}
    constraints = getattr(value, "__constraints__", ())
    return make_type_variable, (type(value), name, constraints, keywords, value.__module__)


def _reduce_new_type(value: Any) -> Any:
    if travels_by_reference(value):
        return value.__qualname__
    return typing.NewType, (value.__name__, value.__supertype__)


class _Gone:
    """What a dead weak reference referred to: nothing keeps it, so the copy is dead at once."""


# The loading side. These names are part of the payload.


def set_state(value: Any, state: Any) -> None:
    """What pickle does for an instance without ``__setstate__``."""
    attributes, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    if attributes:
        value.__dict__.update(attributes)
    for name, content in (slots or {}).items():
        setattr(value, name, content)


def make_cached_property(func: Any, name: str | None) -> Any:
    """A `functools.cached_property` again."""
    made: Any = functools.cached_property(func)
    made.attrname = name
    return made


def make_cached_function(function: Any, parameters: dict[str, Any]) -> Any:
    """A function under `functools.lru_cache` again, with an empty cache."""
    return functools.lru_cache(**parameters)(function)


def make_view(mapping: dict[Any, Any], kind: str) -> Any:
    """The keys, values or items of a dict again."""
    return getattr(mapping, kind)()


def find_match(
    method: str, index: int, pattern: re.Pattern[Any], string: Any, pos: int, endpos: int
) -> re.Match[Any] | None:
    """A match again, found as it was the first time."""
    found: re.Match[Any] | None
    if method == "finditer":
        found = next(islice(pattern.finditer(string, pos, endpos), index, None))
    else:
        found = getattr(pattern, method)(string, pos, endpos)
    return found


def make_type_variable(
    kind: Any, name: str, constraints: tuple[Any, ...], keywords: dict[str, Any], module: str
) -> Any:
    """A TypeVar or ParamSpec again."""
    made = kind(name, *constraints, **keywords)
    made.__module__ = module
    return made


#: What pickle refuses, or would store so that the other side can not use it.
ODD_TYPES: dict[type, Reducer] = {
    memoryview: reduce_memoryview,
    property: _reduce_property,
    classmethod: _reduce_wrapping_method,
    staticmethod: _reduce_wrapping_method,
    functools.cached_property: _reduce_cached_property,
    type(functools.lru_cache(lambda: None)): _reduce_cached_function,
    type({}.keys()): _reduce_view,
    type({}.values()): _reduce_view,
    type({}.items()): _reduce_view,
    re.Match: _reduce_match,
    weakref.ReferenceType: _reduce_weak_reference,
    types.MappingProxyType: _reduce_mapping_proxy,
    types.BuiltinMethodType: _reduce_builtin_method,
    types.MethodType: _reduce_method,
    typing.TypeVar: _reduce_type_variable,
    typing.ParamSpec: _reduce_type_variable,
    typing.NewType: _reduce_new_type,
}
