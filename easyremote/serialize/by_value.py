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
import sys
import threading
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from easyremote.serialize.memory import (
    Memories,
    as_no_owner,
    is_array,
    make_array_view,
    place_in,
)
from easyremote.serialize.modules import is_own, travels_by_reference
from easyremote.serialize.odd_types import ODD_TYPES, Reducer, set_state

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
    odd -= {*ODD_TYPES, types.ModuleType, types.FunctionType, type, dict}
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

    def torn(self) -> dict[int, Any]:
        """As `Memories.torn`, of all arrays that it has met."""
        return {} if self._memories is None else self._memories.torn()

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
        if _makes_itself_otherwise(kind):
            return tuple.__new__, (kind, tuple(value)), getattr(value, "__dict__", None) or None
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
    if whole is not None:
        return make_array_view, (whole, *place_in(whole, array))
    return NotImplemented if array.base is None else as_no_owner(array.__reduce_ex__(5))


_merged: dict[type, Reducer] = {}
_registered = -1


def _table() -> dict[type, Reducer]:
    """How odd types are reduced; a plain dict, in which the C pickler looks without our help."""
    global _registered
    if _registered != len(copyreg.dispatch_table):  # another module has registered a type
        _registered = len(copyreg.dispatch_table)
        _merged.update({**copyreg.dispatch_table, **ODD_TYPES})
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


def _makes_itself_otherwise(kind: type) -> bool:
    """Whether it is a named tuple of the user's whose ``__new__`` may not take the fields."""
    if not issubclass(kind, tuple) or not hasattr(kind, "_fields") or travels_by_reference(kind):
        return False

    def is_generated(name: str) -> bool:
        return "_fields" in next(vars(cls) for cls in kind.__mro__ if name in vars(cls))

    return not is_generated("__new__") and is_generated("__getnewargs__")


def _answers_for_any_attribute(kind: type) -> bool:
    """Whether pickle, when it asks a half made instance for ``__setstate__``, may get anything."""
    return hasattr(kind, "__getattr__") and not hasattr(kind, "__setstate__")


def _reduced_with_setter(value: Any) -> Any:
    """Without that question: a proxy that isn't filled yet would answer it for ever."""
    reduced = value.__reduce_ex__(5)
    if isinstance(reduced, str) or len(reduced) < 3 or reduced[2] is None:
        return reduced
    return (*reduced, None, None)[:5] + (set_state,)


#: Builtin types that are not in `builtins` under their name, but in `types`.
_NAMES_IN_TYPES = {
    getattr(types, name): name
    for name in types.__all__
    if isinstance(getattr(types, name), type) and getattr(types, name).__module__ == "builtins"
}
