"""What has to travel with a cell: the values of its names, and what those values use themselves.

A function of the notebook reads the notebook's globals when it runs, so these travel too,
transitively: through closures, decorators, methods, base classes and containers. Modules travel as
an import, never as a value. Nothing is run or serialised here.

``tests/jupyter_extension/capture/test_closure.py`` proves it.
"""

from __future__ import annotations

import dis
import functools
import re
import sys
import types
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from easyremote.guarded import attribute
from easyremote.serialize.functions import submodules

__all__ = ["Shipment", "closure", "evaluated", "named_submodules"]

#: A container with more elements than this is taken for data and not searched for functions.
_MAX_ELEMENTS = 1000
_WORD = re.compile(r"[^\W\d]\w*")
#: What makes names of texts.
_EVALUATING = frozenset({"eval", "exec", "globals", "locals", "vars"})
_EVALUATES = re.compile(rf"(?<![.\w])(?:{'|'.join(sorted(_EVALUATING))})\s*\(")
_TEXT = re.compile(r"\"([^\"\n]*)\"|'([^'\n]*)'")


@dataclass(frozen=True, slots=True)
class Shipment:
    """What a cell needs of the namespace it came from."""

    variables: dict[str, object] = field(default_factory=dict)
    #: Name to module: ``{"np": "numpy"}`` is ``import numpy as np``.
    imports: dict[str, str] = field(default_factory=dict)


def closure(
    names: Iterable[str], namespace: Mapping[str, object], *, hidden: Container[str] = ()
) -> Shipment:
    """Collect the values of `names`, and of all that these use, from a notebook's namespace.

    Names that the namespace does not have are left out, because the node may have them. The
    `hidden` names are left out too, because every shell has its own.
    """
    found = Shipment()
    pending = sorted(names)
    seen: set[int] = set()
    while pending:
        name = pending.pop()
        if name in found.variables or name in found.imports:
            continue
        if name not in namespace or name in hidden:
            continue
        value = namespace[name]
        if not isinstance(value, types.ModuleType):
            found.variables[name] = value
            pending += _needs(value, namespace, seen)
        elif value.__name__ != "__main__":
            found.imports[name] = value.__name__
    return found


def named_submodules(packages: Iterable[str], code: str) -> list[str]:
    """The submodules of these packages that a cell names and that are loaded here."""
    modules = [sys.modules[name] for name in packages if name in sys.modules]
    return submodules(modules, set(_WORD.findall(code)))


def evaluated(cell: str, values: Iterable[object]) -> set[str]:
    """The words in the texts of a cell that evaluates some, or calls a function that does.

    Parameters
    ----------
    cell
        The source.
    values
        What the cell uses.
    """
    if not (_EVALUATES.search(cell) or any(map(_evaluates, values))):
        return set()
    return {word for found in _TEXT.findall(cell) for text in found for word in _WORD.findall(text)}


def _evaluates(value: object) -> bool:
    if isinstance(value, types.FunctionType):
        return value.__module__ == "__main__" and _code_evaluates(value.__code__)
    if isinstance(value, type) and _is_of_notebook(value):
        return any(_evaluates(each) for each in vars(value).values() if each is not value)
    return False


@functools.lru_cache(maxsize=1024)
def _code_evaluates(code: types.CodeType) -> bool:
    return not _EVALUATING.isdisjoint(_global_names(code))


def _needs(value: object, namespace: Mapping[str, object], seen: set[int]) -> Iterator[str]:
    """The names of `namespace` that `value`, or its parts, read when it is used."""
    pending = [value]
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, types.FunctionType) and value.__globals__ is namespace:
            yield from _global_names(value.__code__)
            yield from _annotated(value.__annotations__)
        elif isinstance(value, type) and _is_of_notebook(value):
            yield from _annotated(vars(value).get("__annotations__"))
        pending += _parts(value)


def _parts(value: object) -> list[object]:
    """The parts of `value` that are functions, or may hold some."""
    match value:
        case types.FunctionType():
            return [
                *_cells(value),
                *(value.__defaults__ or ()),
                *(value.__kwdefaults__ or {}).values(),
            ]
        case types.MethodType() | staticmethod() | classmethod():
            return [value.__func__, getattr(value, "__self__", None)]
        case property():
            return [value.fget, value.fset, value.fdel]
        case functools.partial():
            return [value.func, *value.args, *value.keywords.values()]
        case functools.cached_property():
            return [value.func]
        case type():
            return [*vars(value).values(), *value.__bases__] if _is_of_notebook(value) else []
        case dict():
            return list(value.values()) if len(value) <= _MAX_ELEMENTS else []
        case list() | tuple() | set() | frozenset():
            return list(value) if len(value) <= _MAX_ELEMENTS else []
    own = attribute(value, "__dict__")
    attributes = own if isinstance(own, dict) else {}
    if _is_of_notebook(type(value)):
        return [type(value), *attributes.values()]
    return [attributes.get("__wrapped__")]


def _annotated(annotations: object) -> Iterator[str]:
    """The names in annotations that are texts; `typing.get_type_hints` looks them up."""
    if isinstance(annotations, dict):
        for each in annotations.values():
            if isinstance(each, str):
                yield from _WORD.findall(each)


def _is_of_notebook(cls: type) -> bool:
    return cls.__module__ == "__main__"


def _cells(function: types.FunctionType) -> Iterator[object]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # still empty: the function was taken while its maker ran
            continue


def _global_names(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in {"LOAD_GLOBAL", "LOAD_NAME"}:
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)
