"""Which files a cell names: string literals, and paths that are joined from literals.

Nothing is run, and the file system is not looked at: the texts that are found may be paths.
``tests/jupyter_extension/capture/test_files.py`` proves it.
"""

from __future__ import annotations

import ast
import glob
import os
import posixpath
import re
import shlex
import types
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import PurePath
from typing import Any, NamedTuple

from easyremote_jupyter.capture.local_modules import Package
from easyremote_jupyter.capture.parsed import parsed

__all__ = ["Paths", "paths_in"]

#: What makes one path of several, by the last part of its name.
_JOINING = frozenset({"Path", "PosixPath", "PurePath", "join", "joinpath"})
#: A longer text is none of a path.
_LENGTH_MAX = 1000
#: What lists a folder, and the pattern below it that it looks for.
_LISTING = {"listdir": "*", "scandir": "*", "iterdir": "*", "walk": "**", "rglob": "**"}
_GLOBBING = frozenset({"glob", "iglob"})
#: A cell without one of these names no path: a text, a line of the shell, a magic, a listing.
_MARKS = re.compile("[\"'!]|(?:^|=)[ \\t]*%|listdir|scandir", re.MULTILINE)


class Paths(NamedTuple):
    """What may be paths."""

    texts: frozenset[str] = frozenset()
    #: What a listing of a folder would find, as for `glob.glob`.
    patterns: frozenset[str] = frozenset()

    def __or__(self, other: object) -> Paths:
        assert isinstance(other, Paths)
        return Paths(self.texts | other.texts, self.patterns | other.patterns)


def paths_in(cell: str, variables: Mapping[str, object], modules: Iterable[Package]) -> Paths:
    """What may be paths, in a cell and in what it uses.

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
        for source in module.files.values():
            found |= _of_module(source)
    return found


def _of_code(cell: str, variables: Mapping[str, object]) -> Paths:
    known = {
        name: os.fspath(value)
        for name, value in variables.items()
        if isinstance(value, str | PurePath)
    }
    found = Paths(frozenset(text for text in known.values() if _may_be_path(text)))
    return found | _of_tree(cell, known) if _MARKS.search(cell) else found


def _of_tree(cell: str, known: Mapping[str, str]) -> Paths:
    try:
        return _of_ast(parsed(cell), known)
    except (SyntaxError, ValueError):
        return Paths()  # the node says so


@lru_cache(maxsize=1024)
def _of_module(source: bytes) -> Paths:
    try:
        return _of_ast(ast.parse(source), {})
    except (SyntaxError, ValueError):
        return Paths()  # whoever imports it says so


def _of_values(values: Iterable[object]) -> Paths:
    found = Paths()
    for value in values:
        if isinstance(value, types.FunctionType) and value.__module__ == "__main__":
            found |= _of_bytecode(value.__code__)
        elif isinstance(value, staticmethod | classmethod):
            found |= _of_values([value.__func__])
        elif isinstance(value, property):
            found |= _of_values([value.fget, value.fset, value.fdel])
        elif isinstance(value, type) and value.__module__ == "__main__":
            found |= _of_values(each for each in vars(value).values() if each is not value)
    return found


def _of_bytecode(code: types.CodeType) -> Paths:
    """The texts in a function; each may be a folder where the function lists one."""
    consts = [text for text in code.co_consts if isinstance(text, str) and _may_be_path(text)]
    rests = {_LISTING[name] for name in code.co_names if name in _LISTING}
    patterns = {posixpath.join(text, rest) for text in consts for rest in rests}
    if not _GLOBBING.isdisjoint(code.co_names):
        patterns |= {text for text in consts if glob.has_magic(text)}
    found = Paths(frozenset(consts), frozenset(patterns))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _of_bytecode(constant)
    return found


def _may_be_path(text: str) -> bool:
    return 0 < len(text) <= _LENGTH_MAX and text.isprintable()


def _of_ast(tree: ast.AST, known: Mapping[str, str]) -> Paths:
    finder = _Finder(known)
    finder.visit(tree)
    found, patterns = filter(_may_be_path, finder.found), filter(_may_be_path, finder.patterns)
    return Paths(frozenset(found), frozenset(patterns))


class _Finder(ast.NodeVisitor):
    def __init__(self, known: Mapping[str, str]) -> None:
        self.found, self.patterns = set[str](), set[str]()
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
                    inside = _of_code(argument.value, self._known)
                    self.found |= inside.texts
                    self.patterns |= inside.patterns
        if (pattern := self._pattern(node)) is not None:
            self.patterns.add(pattern)
        self.generic_visit(node)

    def _pattern(self, node: ast.Call) -> str | None:
        """What a call that lists a folder looks for."""
        function, args = node.func, [self._text(argument) for argument in node.args]
        name = _last_name(function)
        if name not in _LISTING and name not in _GLOBBING:
            return None
        base = self._text(function.value) if isinstance(function, ast.Attribute) else None
        if name in _GLOBBING:
            parts = [base, *args[:1]] if base is not None else args[:1]
        elif base is not None:  # of a Path
            parts = [base, _LISTING[name], *(args[:1] if name == "rglob" else ())]
        else:
            parts = [*(args[:1] if node.args else ["."]), _LISTING[name]]
        return _together(_joined, parts) if parts else None

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
        name = _last_name(function)
        if name not in _JOINING:
            return None
        if name == "joinpath" and isinstance(function, ast.Attribute):
            args = [function.value, *args]
        return _together(_joined, map(self._text, args))


def _last_name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


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
