"""The picklers for what the other side can't import: ``__main__`` and the user's own modules.

`ByValuePickler` is pickle's own pickler, written in C. It asks us for functions (`functions`), so
that their code can travel as source and they share their globals, for classes (`classes`), so that
a class that comes back is the class that left, and for a few odd types. dill is asked for single
objects that are odder still (a code object, a weak proxy), and only after pickle has failed. What
dill would make anew on the other side, although it must not travel (an open file, a lock), is
refused. Loading needs nothing of this: plain pickle does it.
``tests/serialize/test_by_value.py`` proves it.
"""

from __future__ import annotations

import copyreg
import functools
import importlib
import io
import pickle
import re
import sys
import threading
import types
import typing
import weakref
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from easyremote.serialize.memory import (
    Memories,
    is_array,
    make_array_view,
    place_in,
    reduce_memoryview,
)
from easyremote.serialize.modules import is_own, travels_by_reference

#: Types that belong to this process. dill would open a file again by its path, and make a new lock.
_STAYS_HERE = (
    io.FileIO,
    io.TextIOWrapper,
    io.BufferedReader,
    io.BufferedWriter,
    io.BufferedRandom,
    type(threading.Lock()),
    type(threading.RLock()),
    threading.Thread,
    types.GeneratorType,
    types.CoroutineType,
    types.AsyncGeneratorType,
    types.FrameType,
    types.TracebackType,
)

#: So many matches of a pattern in a text are looked at to find one again.
_SCANNED_MAX = 1000

if TYPE_CHECKING:
    from easyremote.serialize.functions import Cell, Scope
    from easyremote.serialize.sources import Version


class Known(NamedTuple):
    """The objects that both sides have, each with a number: 0, 1, 2 and so on."""

    #: By id: the number and the object. The pickler's memo starts with it.
    memo: dict[int, tuple[int, Any]]
    #: Closure cells among them, by id: what stands for each in the memo.
    cells: dict[int, Cell]
    #: The memories of the arrays among them; arrays on these are sent as views.
    memories: Memories


BufferCallback = Callable[[pickle.PickleBuffer], Any]
Reducer = Callable[[Any], Any]


def dumps(
    value: Any,
    buffer_callback: BufferCallback,
    python: Version | None,
    *,
    with_dill: bool = False,
    known: Known | None = None,
) -> tuple[bytes, ByValuePickler]:
    """Pickle a value; the pickler has the memo of what it has met.

    Parameters
    ----------
    value, python
        As for `values.dump`.
    buffer_callback
        As for `pickle.dumps`.
    with_dill
        Whether to leave to dill what only dill knows; try it without first.
    known
        The objects that the other side has, which are referred to.

    Raises
    ------
    Exception
        Whatever pickle, or the value's own ``__reduce__``, raises.
    """
    file = io.BytesIO()
    more = _odd_to_pickle() if with_dill else {}
    pickler = ByValuePickler(file, buffer_callback, python, more, known)
    pickler.dump(value)
    return file.getvalue(), pickler


@functools.cache
def _odd_to_pickle() -> dict[type, Reducer]:
    """The types that dill knows and nobody else does."""
    import dill  # it takes its time, and is hardly ever needed

    odd = {kind for kind, save in dill.Pickler.dispatch.items() if save.__module__ == "dill._dill"}
    odd -= {*_ODD_TYPES, types.ModuleType, types.FunctionType, type, dict}
    return {kind: _by_dill for kind in odd if not issubclass(kind, _STAYS_HERE)}


def _by_dill(value: Any) -> Any:
    import dill

    return dill.loads, (dill.dumps(value),)


class ByValuePickler(pickle.Pickler):
    """See the module."""

    def __init__(
        self,
        file: io.BytesIO,
        callback: BufferCallback,
        python: Version | None,
        more: dict[type, Reducer],
        known: Known | None = None,
    ) -> None:
        super().__init__(file, protocol=5, buffer_callback=callback)
        if known is not None and known.memo:
            self.memo = known.memo
        self.dispatch_table = {**_table(), **more} if more else _table()
        self._python = python
        self._scope: Scope | None = None
        self._cells = {} if known is None else known.cells
        self._memories = None if known is None else known.memories.copy()
        #: Types whose instances need nothing of us: each of them is looked at once.
        self._usual: set[type] = set()

    def reducer_override(self, value: Any) -> Any:
        kind = type(value)
        if kind in self._usual:
            return NotImplemented
        if self._memories is not None and is_array(value):
            return _reduce_array(value, self._memories)
        if kind is types.FunctionType:
            return self._reduce_function(value)
        if kind is types.ModuleType:
            return self._reduce_module(value)
        if issubclass(kind, type):
            return _reduce_class(value)
        if _may_reduce_to_a_name(kind):
            return _reduced(value)
        if _answers_for_any_attribute(kind):
            return _reduced_with_setter(value)
        self._usual.add(kind)
        return NotImplemented

    def _reduce_function(self, function: types.FunctionType) -> Any:
        if travels_by_reference(function):
            return NotImplemented
        # With it come `inspect` and `dis`: most payloads have no function of the user's.
        from easyremote.serialize.functions import Scope, reduce_function

        if self._scope is None:
            self._scope = Scope(self._python, self._cells)
        return reduce_function(function, self._scope)

    def _reduce_module(self, module: types.ModuleType) -> Any:
        if self._scope is not None and module in self._scope.partial_modules:
            return types.ModuleType, (module.__name__,)
        return importlib.import_module, (module.__name__,)


def _reduce_array(array: Any, memories: Memories) -> Any:
    memories.add(array)
    whole = memories.whole(array)
    return NotImplemented if whole is None else (make_array_view, (whole, *place_in(whole, array)))


_merged: dict[type, Reducer] = {}
_registered = -1


def _table() -> dict[type, Reducer]:
    """How odd types are reduced; a plain dict, in which the C pickler looks without our help."""
    global _registered
    if _registered != len(copyreg.dispatch_table):  # another module has registered a type
        _registered = len(copyreg.dispatch_table)
        _merged.update({**copyreg.dispatch_table, **_ODD_TYPES})
    return _merged


def reducer_of(kind: type) -> Reducer | None:
    """How instances of a type are reduced; None for what they say themselves."""
    return _table().get(kind)


def _reduce_class(cls: Any) -> Any:
    if cls.__module__ == "builtins":
        name = _NAMES_IN_TYPES.get(cls)
        return NotImplemented if name is None else (getattr, (types, name))
    if travels_by_reference(cls):
        return NotImplemented
    from easyremote.serialize.classes import reduce_class  # as above

    return reduce_class(cls)


def _may_reduce_to_a_name(kind: type) -> bool:
    """Whether instances of this type of the user's may say that they are known by a name."""
    root: type = object
    has_own = kind.__reduce__ is not root.__reduce__ or kind.__reduce_ex__ is not root.__reduce_ex__
    module = sys.modules.get(kind.__module__)
    return has_own and (module is None or is_own(module))


def _reduced(value: Any) -> Any:
    reduced = value.__reduce_ex__(5)
    if isinstance(reduced, str):
        module = sys.modules.get(getattr(value, "__module__", None) or "__main__")
        if module is None or is_own(module):
            # There is nothing of that name on the other side.
            raise TypeError(f"{reduced} is known by its name only, and only here")
    return reduced


def _answers_for_any_attribute(kind: type) -> bool:
    """Whether pickle, when it asks a half made instance for ``__setstate__``, may get anything."""
    return hasattr(kind, "__getattr__") and not hasattr(kind, "__setstate__")


def _reduced_with_setter(value: Any) -> Any:
    """Without that question: a proxy that isn't filled yet would answer it for ever."""
    reduced = value.__reduce_ex__(5)
    if isinstance(reduced, str) or len(reduced) < 3 or reduced[2] is None:
        return reduced
    return (*reduced, None, None)[:5] + (set_state,)


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
    return make_type_variable, (type(value), name, constraints, keywords)


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
    kind: Any, name: str, constraints: tuple[Any, ...], keywords: dict[str, Any]
) -> Any:
    """A TypeVar or ParamSpec again."""
    return kind(name, *constraints, **keywords)


#: Builtin types that are not in `builtins` under their name, but in `types`.
_NAMES_IN_TYPES = {
    getattr(types, name): name
    for name in types.__all__
    if isinstance(getattr(types, name), type) and getattr(types, name).__module__ == "builtins"
}
_ODD_TYPES: dict[type, Reducer] = {
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
