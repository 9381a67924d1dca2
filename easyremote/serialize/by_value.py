"""The pickler for what the other side can't import: ``__main__`` and the user's own modules.

It is dill's pickler, which knows unusual types (properties, descriptors, mapping proxies, caches).
Three things differ. Functions (`functions`): their code can travel as source, and functions of one
module share their globals. Classes (`classes`): a class that comes back is the class that left.
Open files, locks and the like are refused, where dill would make new ones on the other side.
This module is imported only when it is needed, because dill is slow to import. Loading needs only
pickle. ``tests/serialize/test_by_value.py`` proves it.
"""

from __future__ import annotations

import functools
import importlib
import io
import pickle
import sys
import threading
import types
import typing
from collections.abc import Callable
from typing import Any

import dill

from easyremote.serialize import classes, functions
from easyremote.serialize.memory import reduce_memoryview
from easyremote.serialize.modules import is_own, travels_by_reference
from easyremote.serialize.sources import Version

_StockPickler: Any = pickle._Pickler  # dill's base: the pickler written in Python

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


def dumps(
    value: Any,
    buffer_callback: Callable[[pickle.PickleBuffer], Any],
    python: Version | None,
) -> bytes:
    """Pickle a value; `python` as for `values.dump`."""
    file = io.BytesIO()
    ByValuePickler(file, buffer_callback, python).dump(value)
    return file.getvalue()


class ByValuePickler(dill.Pickler):  # type: ignore[misc]  # dill has no types
    """See the module."""

    dispatch = type(dill.Pickler.dispatch)(dill.Pickler.dispatch)
    # dill compares every dict with __main__'s, and arrays inside may refuse to be compared.
    dispatch[dict] = _StockPickler.save_dict

    def __init__(self, file: io.BytesIO, buffer_callback: Any, python: Version | None) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffer_callback, recurse=True)
        self._stays_in_band = buffer_callback
        self._scope = functions.Scope(python)

    def reducer_override(self, value: Any) -> Any:
        reduce = _REDUCERS.get(type(value))
        if reduce is not None:
            return reduce(value, self._scope)
        if isinstance(value, type):
            if travels_by_reference(value):
                return value.__qualname__  # dill would make a named tuple's class anew
            if value.__module__ == "builtins":
                return NotImplemented  # dill handles those that have no importable name
            return classes.reduce_class(value)
        if isinstance(value, _STAYS_HERE):
            kind = type(value)
            raise TypeError(f"cannot pickle '{kind.__module__}.{kind.__qualname__}' object")
        if _is_array(type(value)):
            return value.__reduce_ex__(5)  # dill's own way for subclasses copies the memory
        return NotImplemented

    def save_buffer(self, buffer: pickle.PickleBuffer) -> None:
        # The stock one fails on two empty read-only buffers: b"" is one object, memoized twice.
        raw = buffer.raw()
        if self._stays_in_band(buffer):
            self.save(raw.tobytes() if raw.readonly else bytearray(raw))
        else:
            self.write(pickle.NEXT_BUFFER + (pickle.READONLY_BUFFER if raw.readonly else b""))

    dispatch[pickle.PickleBuffer] = save_buffer

    def save_global(self, value: Any, name: str | None = None) -> None:
        module = sys.modules.get(getattr(value, "__module__", None) or "__main__")
        if not isinstance(value, type) and (module is None or is_own(module)):
            # Its __reduce__ returned a name, and the other side has nothing of that name.
            raise TypeError(f"{name or value} is known by its name only, and only here")
        super().save_global(value, name)


def _is_array(kind: type) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and issubclass(kind, numpy.ndarray)


def _reduce_module(module: types.ModuleType, scope: functions.Scope) -> Any:
    if module in scope.partial_modules:
        return types.ModuleType, (module.__name__,)
    return importlib.import_module, (module.__name__,)


def _reduce_cached_property(value: Any, scope: functions.Scope) -> Any:
    # Python 3.11's holds a lock.
    return make_cached_property, (value.func, value.attrname)


def make_cached_property(func: Any, name: str | None) -> Any:
    """Make a cached property again. Payloads hold this function's name."""
    made: Any = functools.cached_property(func)
    made.attrname = name
    return made


def _reduce_type_variable(value: Any, scope: functions.Scope) -> Any:
    module = sys.modules.get(value.__module__)
    if module and not is_own(module) and getattr(module, value.__name__, None) is value:
        return NotImplemented
    variance = {"covariant": value.__covariant__, "contravariant": value.__contravariant__}
    keywords = {"bound": value.__bound__, **variance}
    constraints = getattr(value, "__constraints__", ())
    return make_type_variable, (type(value), value.__name__, constraints, keywords)


def make_type_variable(
    kind: Any, name: str, constraints: tuple[Any, ...], keywords: dict[str, Any]
) -> Any:
    """Make a TypeVar or ParamSpec again. Payloads hold this function's name."""
    return kind(name, *constraints, **keywords)


def _reduce_new_type(value: Any, scope: functions.Scope) -> Any:
    if travels_by_reference(value):
        return NotImplemented
    return typing.NewType, (value.__name__, value.__supertype__)


_REDUCERS: dict[type, Callable[[Any, functions.Scope], Any]] = {
    types.FunctionType: functions.reduce_function,
    functions.Cell: lambda cell, scope: (types.CellType, ()),
    functions.Namespace: lambda namespace, scope: (functions.make_namespace, (namespace.name,)),
    types.ModuleType: _reduce_module,
    memoryview: lambda view, scope: reduce_memoryview(view),
    functools.cached_property: _reduce_cached_property,
    typing.TypeVar: _reduce_type_variable,
    typing.ParamSpec: _reduce_type_variable,
    typing.NewType: _reduce_new_type,
}
