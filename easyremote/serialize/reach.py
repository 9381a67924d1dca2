"""What a function reaches, watched: whether what was packed of it before is what it is now.

A function is its code, its defaults, its closure and the globals that its code names; so are the
functions among these, and what small lists, dicts and sets hold. `reach` notes each of them, and
`Reach.is_unchanged` compares them by identity, which costs a microsecond. That is certain only
where nothing else can change while its identity stays: a function that reaches an object, a class
or a module of the user's has no `Reach`.
``tests/serialize/test_reach.py`` proves it.
"""

from __future__ import annotations

import dis
import re
import sys
import types
from collections.abc import Iterable, Iterator
from functools import lru_cache
from operator import is_
from typing import Any

from easyremote.guarded import attribute
from easyremote.serialize.functions import global_names, globals_of, is_ours, nested
from easyremote.serialize.modules import is_own, travels_by_reference

__all__ = ["Reach", "reach"]

#: Values of these types stay what they are.
_FIXED = (type(None), bool, int, float, complex, str, bytes, range, type(...), re.Pattern)
#: Lists, dicts and sets of more items are not looked into.
_ITEMS = 100
#: What changes something that other calls of the function reach.
_CHANGES = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL", "STORE_NAME", "DELETE_NAME"})
_CHANGES_CELLS = frozenset({"STORE_DEREF", "DELETE_DEREF"})
#: Functions that reach more than the code names.
_SEES_ALL = frozenset({"globals", "vars", "setattr", "delattr", "exec", "eval", "__dict__"})
_CONTAINERS = (list, dict, set)
_NOTHING = object()


class _Changeable(Exception):
    """Something can change while its identity stays."""


class Reach:
    """All that a function reaches, as it was.

    Attributes
    ----------
    is_fixed
        Whether no call of the function can change any of it; else each call needs its own.
    """

    def __init__(self, function: types.FunctionType) -> None:
        self.is_fixed = True
        #: Each function with its code, defaults and annotations.
        self._functions: list[tuple[types.FunctionType, tuple[Any, ...]]] = []
        #: Each name with its namespace and value, and each closure cell with its content.
        self._names: list[tuple[dict[str, Any], str, Any]] = []
        self._cells: list[tuple[types.CellType, Any]] = []
        #: Each list, dict and set with what it holds.
        self._contents: list[tuple[Any, tuple[Any, ...]]] = []
        self._seen: set[int] = set()
        self._sets_attributes = self._has_functions = False
        self._note(function)
        if self._sets_attributes and self._has_functions:
            self.is_fixed = False  # an attribute of a function may be what it sets
        #: A module that is loaded later may be one that the code names: see `functions.submodules`.
        self._modules = len(sys.modules)

    def is_unchanged(self) -> bool:
        """Whether all of it is as it was."""
        for function, parts in self._functions:
            if not all(map(is_, _parts(function), parts)):
                return False
        for names, name, value in self._names:
            if names.get(name, _NOTHING) is not value:
                return False
        for cell, value in self._cells:
            if _content(cell) is not value:
                return False
        for container, items in self._contents:
            now = _items(container)
            if len(now) != len(items) or not all(map(is_, now, items)):
                return False
        return len(sys.modules) == self._modules

    def _note(self, function: types.FunctionType) -> None:
        if id(function) in self._seen:
            return
        self._seen.add(id(function))
        code = function.__code__
        if function.__dict__ or _changes(code):
            self.is_fixed = False
        self._look_into(function.__dict__)
        self._sets_attributes |= _sets_attributes(code)
        self._functions.append((function, _parts(function)))
        for default in function.__defaults__ or ():
            self._check(default)
        parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if function.__kwdefaults__ is not None:
            for value in self._look_up(function.__kwdefaults__, parameters):
                self._check(value)
        self._look_up(function.__annotations__, (*parameters, "return"))
        reached = set(globals_of(function))
        names = global_names(code)
        for name, value in zip(names, self._look_up(function.__globals__, names), strict=True):
            if name in reached:
                self._check(value)
        for cell in function.__closure__ or ():
            content = _content(cell)
            self._cells.append((cell, content))
            self._check(content)

    def _look_up(self, names: dict[str, Any], wanted: Iterable[str]) -> list[Any]:
        """Note what these names mean, also that they mean nothing."""
        found = [(names, name, names.get(name, _NOTHING)) for name in wanted]
        self._names += found
        return [value for _, _, value in found]

    def _look_into(self, container: Any) -> None:
        """Note what a list, a dict or a set holds."""
        if id(container) in self._seen:
            return
        self._seen.add(id(container))
        items = _items(container)
        if len(items) > _ITEMS:
            raise _Changeable
        self._contents.append((container, items))
        for each in items:
            self._check(each)

    def _check(self, value: Any) -> None:
        """Note what a value reaches.

        Raises
        ------
        _Changeable
            It can change while its identity stays.
        """
        kind = type(value)
        if kind is tuple or kind is frozenset:
            for each in value:
                self._check(each)
        elif kind in _CONTAINERS:
            self.is_fixed = False
            self._look_into(value)
        elif kind is types.FunctionType and not travels_by_reference(value):
            self._has_functions = True
            self._note(value)
        elif is_ours(value) and type(attribute(value, "__wrapped__")) is types.FunctionType:
            self._check(value.__wrapped__)  # a function under @remote
        elif not _stays(value):
            raise _Changeable


def reach(function: types.FunctionType) -> Reach | None:
    """What a function reaches; None where that can change while all identities stay."""
    try:
        return Reach(function)
    except _Changeable:
        return None


def _parts(function: types.FunctionType) -> tuple[Any, ...]:
    """What a function consists of beside its globals and cells."""
    return (
        function.__code__,
        function.__defaults__,
        function.__kwdefaults__,
        function.__annotations__,
        function.__closure__,
        function.__name__,
        function.__qualname__,
        function.__doc__,
        function.__module__,
    )


def _items(container: Any) -> tuple[Any, ...]:
    if type(container) is dict:
        return (*container, *container.values())
    return tuple(container)


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return _NOTHING


def _stays(value: Any) -> bool:
    """Whether a value without parts stays what it is."""
    if type(value) in _FIXED or value is _NOTHING:
        return True
    if isinstance(value, types.ModuleType):
        return not is_own(value)  # the parts of an own one travel by value
    if isinstance(value, types.BuiltinFunctionType):
        return isinstance(value.__self__, types.ModuleType | None)
    return isinstance(value, type | types.FunctionType) and travels_by_reference(value)


@lru_cache(maxsize=4096)
def _changes(code: types.CodeType) -> bool:
    """Whether code may change globals or cells, which other calls of its function reach."""
    return any(
        instruction.opname in _CHANGES
        or (instruction.opname in _CHANGES_CELLS and instruction.argval in code.co_freevars)
        for instruction in _instructions(code)
    ) or not _SEES_ALL.isdisjoint(name for each in nested(code) for name in each.co_names)


@lru_cache(maxsize=4096)
def _sets_attributes(code: types.CodeType) -> bool:
    return any(
        instruction.opname in ("STORE_ATTR", "DELETE_ATTR") for instruction in _instructions(code)
    )


def _instructions(code: types.CodeType) -> Iterator[dis.Instruction]:
    for each in nested(code):
        yield from dis.get_instructions(each)
