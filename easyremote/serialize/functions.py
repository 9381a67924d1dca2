"""Functions with their bodies <-> a payload.

A function travels as the recipe of its code object (bytecode for the same minor version of Python,
source text for any other: `sources`), with its defaults, its closure cells and the globals that the
code names; these travel by the same rules. Functions of one module share one namespace on the other
side, too, so ``global`` and recursion work. They never see the whole of ``__main__``. A function of
an installed module travels by reference (`modules` has the rule). Modules that a function uses
travel by reference; of the user's own modules, the parts that the function uses travel by value.
``tests/serialize/test_functions.py`` proves it.
"""

from __future__ import annotations

import dis
import importlib
import inspect
import sys
import types
from collections.abc import Collection, Iterable, Iterator
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from easyremote.guarded import attribute
from easyremote.serialize import sources
from easyremote.serialize.modules import is_own

#: IPython's names in the user's namespace, which hold the whole session or belong to its shell.
_IPYTHONS = frozenset({"In", "Out", "get_ipython", "exit", "quit", "_ih", "_oh", "_dh", "__"})
#: Names that Python puts into every module.
_MACHINERY = frozenset({"__builtins__", "__spec__", "__loader__", "__cached__"})
_NAMES_A_GLOBAL = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL", "DELETE_GLOBAL"})


class Cell:
    """Stands for a closure cell in a pickle. It is loaded empty; the function's state fills it."""

    def __init__(self, cell: types.CellType) -> None:
        self.cell = cell

    def __reduce__(self) -> Any:
        return types.CellType, ()


class Namespace:
    """Stands for a module's globals in a pickle. It is loaded as a new dict with the sent names."""

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names  # keeps the dict alive: its id is the key in Scope
        self.name = str(names.get("__name__", "__main__"))

    def __reduce__(self) -> Any:
        return make_namespace, (self.name,)


class Scope:
    """The cells and namespaces that the functions of one payload share."""

    def __init__(self, python: sources.Version | None, cells: dict[int, Cell]) -> None:
        #: The other side's version, None where it isn't known.
        self.python = python
        self.partial_modules: set[types.ModuleType] = set()
        self._cells, self._known = dict(cells), cells
        self._namespaces: dict[int, Namespace] = {}

    def cell(self, cell: types.CellType) -> Cell:
        return self._cells.setdefault(id(cell), Cell(cell))

    def has(self, cell: Cell) -> bool:
        """Whether the other side has the cell, and what is in it."""
        return id(cell.cell) in self._known

    def namespace(self, names: dict[str, Any]) -> Namespace:
        return self._namespaces.setdefault(id(names), Namespace(names))


def reduce_function(function: types.FunctionType, scope: Scope) -> Any:
    """How a pickler stores a function by value."""
    code = function.__code__
    cells = dict(zip(code.co_freevars, map(scope.cell, function.__closure__ or ()), strict=True))
    # Nothing in here refers to the function. What may refer to it is in the state, set later.
    made_from = (
        sources.recipe(code, function.__globals__, scope.python),
        scope.namespace(function.__globals__),
        function.__name__,
        cells,
    )
    return make_function, made_from, _state(function, cells, scope), None, None, fill_function


def _state(function: types.FunctionType, cells: dict[str, Cell], scope: Scope) -> dict[str, Any]:
    used = {name: function.__globals__[name] for name in globals_of(function)}
    for name, value in used.items():
        if attribute(value, "__wrapped__") is function and is_ours(value):
            used[name] = function  # it calls itself: its body, not the stub that calls the node
    new = [cell for cell in cells.values() if not scope.has(cell)]
    return {
        "globals": used,
        "modules": _module_parts(function.__code__, used.values(), scope),
        "submodules": _submodules(function.__code__, used.values()),
        "cells": [(cell, cell.cell.cell_contents) for cell in new if _filled(cell)],
        "attributes": {
            "__qualname__": function.__qualname__,
            "__module__": function.__module__,
            "__doc__": function.__doc__,
            "__defaults__": function.__defaults__,
            "__kwdefaults__": function.__kwdefaults__,
            "__annotations__": _annotations(function, scope),
        },
        "dict": dict(function.__dict__),
    }


def is_ours(value: Any) -> bool:
    """Whether a value is of a type of EasyRemote, as a function under ``@remote`` is."""
    return type(value).__module__.partition(".")[0] == "easyremote"


def _filled(cell: Cell) -> bool:
    try:
        return cell.cell.cell_contents is not cell  # reading an empty one raises
    except ValueError:
        return False


def _annotations(function: types.FunctionType, scope: Scope) -> dict[str, Any]:
    found = dict(function.__annotations__)
    if scope.python == sources.HERE:
        return found
    # Only people and inspect.signature read annotations; as text they need no types there.
    return {
        name: value if isinstance(value, str) else inspect.formatannotation(value)
        for name, value in found.items()
    }


def globals_of(function: types.FunctionType) -> list[str]:
    """The globals that travel with a function: those that its code names, and that are there."""
    known = function.__globals__
    hidden = _MACHINERY | _IPYTHONS if "get_ipython" in known else _MACHINERY
    return [name for name in global_names(function.__code__) if name in known.keys() - hidden]


@lru_cache(maxsize=4096)
def global_names(code: types.CodeType) -> tuple[str, ...]:
    """The globals that the code and the code inside it name, sorted: payloads must be the same."""
    # Not co_names: these hold attributes, too, and `x.data` must not send a global `data`.
    found = {
        instruction.argval
        for each in nested(code)
        for instruction in dis.get_instructions(each)
        if instruction.opname in _NAMES_A_GLOBAL
    }
    return tuple(sorted(found))


def nested(code: types.CodeType) -> Iterator[types.CodeType]:
    """A function's code, and the code of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from nested(constant)


def _module_parts(
    code: types.CodeType, values: Any, scope: Scope
) -> list[tuple[types.ModuleType, dict[str, Any]]]:
    """For each of the user's own modules among the values: the attributes that the code names."""
    names = {name for each in nested(code) for name in each.co_names}
    parts: list[tuple[types.ModuleType, dict[str, Any]]] = []
    waiting = [value for value in values if _is_own_module(value)]
    seen: set[types.ModuleType] = set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        scope.partial_modules.add(module)
        part = {name: vars(module)[name] for name in sorted(names & vars(module).keys())}
        parts.append((module, part))
        waiting += [value for value in part.values() if _is_own_module(value)]
    return parts


def _submodules(code: types.CodeType, values: Iterable[Any]) -> list[str]:
    """Of the packages among the values: the submodules that the code names, loaded here.

    ``import xml`` alone doesn't load ``xml.etree``. cloudpickle finds them in the same way.
    """
    words = {name for each in nested(code) for name in each.co_names}
    return submodules((value for value in values if isinstance(value, types.ModuleType)), words)


def submodules(modules: Iterable[types.ModuleType], words: Collection[str]) -> list[str]:
    """The loaded submodules of these packages of whose names each part is among the words."""
    packages = {
        f"{module.__name__}."
        for module in modules
        if "__path__" in vars(module) and not is_own(module)
    }
    return sorted(
        name
        for package in packages
        for name in list(sys.modules)
        if name.startswith(package) and set(name.removeprefix(package).split(".")) <= set(words)
    )


def _is_own_module(value: Any) -> bool:
    return isinstance(value, types.ModuleType) and value.__name__ != "__main__" and is_own(value)


#: The namespace of the shell, in a session. Functions of ``__main__`` that arrive get it as their
#: globals: they see the variables of its cells. Globals that came with them are added where the
#: shell has none of that name. None outside of a session: functions get their own namespace.
home: ContextVar[dict[str, Any] | None] = ContextVar("home", default=None)


# The loading side. Payloads hold the names of these functions.


def make_namespace(name: str) -> dict[str, Any]:
    """The shell's namespace for ``__main__``, else a new one."""
    ours = home.get()
    if name == "__main__" and ours is not None:
        return ours
    return {"__name__": name, "__builtins__": __builtins__}


def make_function(
    recipe: sources.Recipe,
    namespace: dict[str, Any],
    name: str,
    cells: dict[str, types.CellType],
) -> types.FunctionType:
    """A function without globals and closure, which `fill_function` adds: they may refer to it."""
    code = sources.code(recipe)
    closure = tuple(cells[free] for free in code.co_freevars)
    return types.FunctionType(code, namespace, name, None, closure)


def fill_function(function: types.FunctionType, state: dict[str, Any]) -> None:
    """Set a function's globals, closure, defaults and attributes."""
    if function.__globals__ is home.get():
        function.__globals__.update(state["globals"] | function.__globals__)
    else:
        function.__globals__.update(state["globals"])
    for submodule in state["submodules"]:
        importlib.import_module(submodule)
    for module, part in state["modules"]:
        vars(module).update(part)
    for cell, content in state["cells"]:
        cell.cell_contents = content
    for name, value in state["attributes"].items():
        setattr(function, name, value)
    function.__dict__.update(state["dict"])
