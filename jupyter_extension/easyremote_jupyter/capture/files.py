"""Which files a cell names: string literals, and paths that are joined from literals.

Nothing is run, and the file system is not looked at: the texts that are found may be paths.
``tests/jupyter_extension/capture/test_files.py`` proves it.
"""

from __future__ import annotations

import ast
import os
import posixpath
import re
import shlex
import types
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import PurePath
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager

from easyremote_jupyter.capture.local_modules import Package

__all__ = ["texts_in"]

#: What makes one path of several, by the last part of its name.
_JOINING = frozenset({"Path", "PosixPath", "PurePath", "join", "joinpath"})
#: A longer text is none of a path.
_LENGTH_MAX = 1000
#: A cell without one of these has no text in it.
_MARKS = re.compile("[\"'!%]")


def texts_in(cell: str, variables: Mapping[str, object], modules: Iterable[Package]) -> set[str]:
    """The texts that may be paths, in a cell and in what it uses.

    Parameters
    ----------
    cell
        Source as typed in a notebook, magics included.
    variables
        What the cell reads: functions, classes, and texts and paths that may be parts of a path.
    modules
        The local modules that go along.
    """
    found = _of_code(cell, variables) | _of_values(variables.values())
    for module in modules:
        found.update(*map(_of_module, module.files.values()))
    return found


def _of_code(cell: str, variables: Mapping[str, object]) -> set[str]:
    known = {
        name: os.fspath(value)
        for name, value in variables.items()
        if isinstance(value, str | PurePath)
    }
    found = {text for text in known.values() if _may_be_path(text)}
    return found | _of_tree(cell, known) if _MARKS.search(cell) else found


def _of_tree(cell: str, known: Mapping[str, str]) -> set[str]:
    transformer: Any = TransformerManager  # it has no types
    try:
        tree = ast.parse(transformer().transform_cell(cell))
    except (SyntaxError, ValueError):
        return set()  # the node says so
    return _texts(tree, known)


@lru_cache(maxsize=1024)
def _of_module(source: bytes) -> frozenset[str]:
    try:
        return frozenset(_texts(ast.parse(source), {}))
    except (SyntaxError, ValueError):
        return frozenset()  # whoever imports it says so


def _of_values(values: Iterable[object]) -> set[str]:
    found = set[str]()
    for value in values:
        if isinstance(value, types.FunctionType) and value.__module__ == "__main__":
            found.update(_constants(value.__code__))
        elif isinstance(value, staticmethod | classmethod):
            found |= _of_values([value.__func__])
        elif isinstance(value, property):
            found |= _of_values([value.fget, value.fset, value.fdel])
        elif isinstance(value, type) and value.__module__ == "__main__":
            found |= _of_values(each for each in vars(value).values() if each is not value)
    return found


def _constants(code: types.CodeType) -> Iterator[str]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _constants(constant)
        elif isinstance(constant, str) and _may_be_path(constant):
            yield constant


def _may_be_path(text: str) -> bool:
    return 0 < len(text) <= _LENGTH_MAX and text.isprintable()


def _texts(tree: ast.AST, known: Mapping[str, str]) -> set[str]:
    finder = _Finder(known)
    finder.visit(tree)
    return {text for text in finder.found if _may_be_path(text)}


class _Finder(ast.NodeVisitor):
    def __init__(self, known: Mapping[str, str]) -> None:
        self.found = set[str]()
        self._known = dict(known)

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.expr) and (text := self._text(node)) is not None:
            self.found.add(text)
        super().visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        text = self._text(node.value)
        for target in node.targets:
            if isinstance(target, ast.Name) and text is not None:
                self._known[target.id] = text

    def visit_Call(self, node: ast.Call) -> None:
        if ast.unparse(node.func).startswith("get_ipython()."):
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    self.found.update(_words(argument.value))
                    self.found |= _of_code(argument.value, self._known)
        self.generic_visit(node)

    def _text(self, node: ast.expr) -> str | None:
        """What an expression stands for, if it is a text or a path that can be told."""
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.Name(id=name):
                return self._known.get(name)
            case ast.JoinedStr(values=parts):
                return _together("".join, map(self._text, parts))
            case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
                return self._text(value)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return _together("".join, map(self._text, (left, right)))
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return _together(_joined, map(self._text, (left, right)))
            case ast.Call(func=function, args=[_, *_] as args, keywords=[]):
                return self._joined(function, args)
        return None

    def _joined(self, function: ast.expr, args: list[ast.expr]) -> str | None:
        name = function.attr if isinstance(function, ast.Attribute) else ""
        name = function.id if isinstance(function, ast.Name) else name
        if name not in _JOINING:
            return None
        if name == "joinpath" and isinstance(function, ast.Attribute):
            args = [function.value, *args]
        return _together(_joined, map(self._text, args))


def _joined(parts: list[str]) -> str:
    return posixpath.join(*parts)


def _together(join: Any, parts: Iterable[str | None]) -> str | None:
    texts = list(parts)
    return join(texts) if None not in texts else None


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # quotes of another language
        return command.split()
