"""Code objects as recipes that travel: bytecode for the same Python version, source for others.

Where the other side's version is not known, both are sent, and the other side takes what it can
run.

The source of a function is cut from the file or notebook cell that defined it, found again in its
syntax tree by name and line (a lambda by its columns). On the other side it is compiled, never
executed. Decorators, defaults and annotations are cut away, because their values travel by
themselves. A scope is put around the function, so that closures, ``super()`` and private names
compile to the same code. The text is always sent, for tracebacks.
``tests/serialize/test_sources.py`` proves it on every Python that it finds.
"""

from __future__ import annotations
import __future__

import ast
import inspect
import linecache
import marshal
import os
import sys
import threading
import tokenize
import weakref
from collections.abc import Iterator
from functools import lru_cache, reduce
from operator import or_
from types import CodeType
from typing import Any, NamedTuple

from easyremote.errors import CannotShip, VersionMismatch

_FUTURE_FLAGS = reduce(
    or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)
Version = tuple[int, int]
HERE: Version = sys.version_info[:2]
#: The marshal format without references among the parts of the code. References depend on who else
#: holds the parts, and the same code must give the same bytes, else it is sent again. (Python 3.14
#: needs a newer format.)
_MARSHAL = 2 if HERE < (3, 14) else marshal.version
_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Recipe(NamedTuple):
    """What a code object is made from on the other side."""

    name: str
    qualname: str
    filename: str
    #: The lines that the function is on, from line `line`; "" where the source is not known: then
    #: there is bytecode.
    line: int
    text: str
    #: Bytecode for the version `python`; None where the code is made from the text.
    bytecode: bytes | None
    python: Version
    #: Where the function starts in the first line and ends in the last, in bytes of UTF-8; None
    #: where the text is for tracebacks only.
    columns: tuple[int, int] | None = None
    freevars: tuple[str, ...] = ()
    #: The class around the function, for private names.
    owner: str | None = None
    flags: int = 0
    #: The lines after `text`, up to the next one with code: `inspect` reads a function up to there.
    after: str = ""


#: What `_after` found, by code, each with the lines of its file and the line where it began.
_afters: weakref.WeakKeyDictionary[CodeType, tuple[list[str], int, str]] = (
    weakref.WeakKeyDictionary()
)
#: Recipes of code that came from another side, so that it can be sent on: its file is not here.
_came: weakref.WeakKeyDictionary[CodeType, Recipe] = weakref.WeakKeyDictionary()
#: Recipes that were made here, by their code, each with the lines of its file: linecache returns
#: the same list again for as long as the file is the same.
_made: weakref.WeakKeyDictionary[CodeType, tuple[list[str], Recipe]] = weakref.WeakKeyDictionary()


class _Found(NamedTuple):
    node: _Function
    owner: str | None


def recipe(code: CodeType, module_globals: dict[str, Any], python: Version | None) -> Recipe:
    """The recipe of a function's code for a side with this version of Python (None: any version).

    Raises
    ------
    CannotShip
        Its source is needed, and is not there, or has changed since the function was defined.
    """
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename, module_globals)
    if python == HERE:
        return _as_bytecode(code, lines)
    try:
        made = _came.get(code) or _of_here(code, lines)
    except CannotShip:
        if python is not None:
            raise
        return _as_bytecode(code, lines)
    return made._replace(bytecode=marshal.dumps(code, _MARSHAL) if python is None else None)


def _of_here(code: CodeType, lines: list[str]) -> Recipe:
    known = _made.get(code)
    if known is None or known[0] is not lines:
        known = _made[code] = lines, _from_source(code, lines)
    return known[1]


def _as_bytecode(code: CodeType, lines: list[str]) -> Recipe:
    last = max((line for *_, line in code.co_lines() if line), default=code.co_firstlineno)
    return Recipe(
        code.co_name,
        code.co_qualname,
        code.co_filename,
        code.co_firstlineno,
        "".join(lines[code.co_firstlineno - 1 : last]),
        marshal.dumps(code, _MARSHAL),
        HERE,
        after=_after(code, lines, last),
    )


def _after(code: CodeType, lines: list[str], last: int) -> str:
    known = _afters.get(code)
    if known is None or known[0] is not lines or known[1] != last:
        known = _afters[code] = lines, last, _lines_after(code.co_firstlineno - 1, lines, last)
    return known[2]


def _lines_after(first: int, lines: list[str], last: int) -> str:
    """The rest of a block behind its line `last`, and the code that ends it."""
    try:
        end = max(first + len(inspect.getblock(lines[first:])), last)
    except (SyntaxError, tokenize.TokenError):  # the text is no longer that of the function
        return ""
    codes = (n for n in range(end, len(lines)) if lines[n].strip(" \t\r\n\f")[:1] not in ("", "#"))
    return "".join(lines[last : next(codes, end - 1) + 1])


def _from_source(code: CodeType, lines: list[str]) -> Recipe:
    text = "".join(lines)
    if not text:
        raise _no_source(code, "there is none (it was made by exec, or typed at a plain prompt)")
    try:
        candidates = _functions_in(text)
    except SyntaxError as error:
        raise _no_source(code, f"the file can no longer be parsed: {error}") from None
    found = _pick(code, candidates)
    if found is None:
        raise _no_source(code, f"the function is no longer in line {code.co_firstlineno}")
    node = found.node
    made = Recipe(
        code.co_name,
        code.co_qualname,
        code.co_filename,
        code.co_firstlineno,
        "".join(lines[code.co_firstlineno - 1 : node.end_lineno]),
        None,
        HERE,
        (node.col_offset, node.end_col_offset or 0),
        tuple(name for name in code.co_freevars if name.isidentifier()),
        found.owner,
        code.co_flags & _FUTURE_FLAGS,
        _after(code, lines, node.end_lineno or code.co_firstlineno),
    )
    # The file may have changed since it was imported: an error here is better than another function
    # there. More names are fine: pytest and others rewrite the modules that they import.
    again = _compiled(made)
    if again.co_freevars != code.co_freevars or not set(again.co_names) <= set(code.co_names):
        raise _no_source(code, "it was changed since it was run")
    return made


def _no_source(code: CodeType, why: str) -> CannotShip:
    return CannotShip(
        f"the source of {code.co_qualname}() in {code.co_filename} can't be had: {why}. The other "
        f"side runs another version of Python than this one ({HERE[0]}.{HERE[1]}), so functions "
        "go there as source. Define it in a notebook cell or a file and run that again, or use a "
        "node with this Python version."
    )


#: One thread at a time: CPython 3.11 counts the depth of a syntax tree for all threads together. It
#: raises a SystemError where another thread parses meanwhile (issue 106905 of CPython).
_parsing = threading.Lock()


@lru_cache(maxsize=64)
def _functions_in(text: str) -> dict[tuple[str, int], list[_Found]]:
    found: dict[tuple[str, int], list[_Found]] = {}
    with _parsing:
        tree = ast.parse(text)
    for node, owner in _walk(tree, None):
        if isinstance(node, ast.Lambda):
            found.setdefault(("<lambda>", node.lineno), []).append(_Found(node, owner))
        else:
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            found.setdefault((node.name, first), []).append(_Found(node, owner))
    return found


def _walk(tree: ast.AST, owner: str | None) -> Iterator[tuple[_Function, str | None]]:
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, _Function):
            yield child, owner
        yield from _walk(child, child.name if isinstance(child, ast.ClassDef) else owner)


def _pick(code: CodeType, candidates: dict[tuple[str, int], list[_Found]]) -> _Found | None:
    fitting = [
        found
        for found in candidates.get((code.co_name, code.co_firstlineno), ())
        if _parameters(found) == _code_parameters(code)
    ]
    if (
        len(fitting) > 1
    ):  # several lambdas on one line: take the innermost one that holds all of the code
        fitting = [found for found in fitting if _holds(found.node, code)]
        fitting.sort(key=lambda found: (found.node.lineno, found.node.col_offset), reverse=True)
    return fitting[0] if fitting else None


def _parameters(found: _Found) -> list[str]:
    args = found.node.args
    each = [*args.posonlyargs, *args.args, *args.kwonlyargs]
    each += [rest for rest in (args.vararg, args.kwarg) if rest]
    return [_mangled(parameter.arg, found.owner or "") for parameter in each]


def _mangled(name: str, owner: str) -> str:
    private = name.startswith("__") and not name.endswith("__") and owner.strip("_")
    return f"_{owner.lstrip('_')}{name}" if private else name


def _code_parameters(code: CodeType) -> list[str]:
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return list(code.co_varnames[:count])


def _holds(node: _Function, code: CodeType) -> bool:
    """Whether all columns of the code lie within the body."""
    body = node.body if isinstance(node, ast.Lambda) else node
    start, end = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
    places = [
        ((line, column), (end_line, end_column))
        for line, end_line, column, end_column in code.co_positions()
        if line is not None and column is not None and end_column
    ]
    return bool(places) and all(start <= first and last <= end for first, last in places)


# The loading side.


def code(made_from: Recipe) -> CodeType:
    """The code object of a recipe.

    Raises
    ------
    VersionMismatch
        It is bytecode of another version of Python.
    """
    made_from = made_from._replace(filename=_remember_lines(made_from))
    if made_from.bytecode is not None and tuple(made_from.python) == HERE:
        made = _renamed(marshal.loads(made_from.bytecode), made_from.filename)
    elif made_from.columns is not None:
        made = _compiled(made_from)
    else:
        here, there = (".".join(map(str, version)) for version in (HERE, made_from.python))
        raise VersionMismatch(
            f"{made_from.qualname}() came as bytecode of Python {there}; this is Python {here}. "
            "Define it in a notebook cell or a file, so that its source can travel, or use a "
            "node with the same version."
        )
    if made_from.columns is not None:
        _came[made] = made_from._replace(python=HERE)
    return made


def _renamed(code: CodeType, filename: str) -> CodeType:
    if code.co_filename == filename:
        return code
    constants = [
        _renamed(each, filename) if isinstance(each, CodeType) else each for each in code.co_consts
    ]
    return code.replace(co_filename=filename, co_consts=tuple(constants))


def _compiled(made_from: Recipe) -> CodeType:
    """Compile a function's text within the scopes it needs; nothing of it is executed."""
    with _parsing:
        tree, innermost = _scopes(made_from)
        innermost[-1] = _bare(made_from)
        compiled = compile(
            ast.fix_missing_locations(tree),
            made_from.filename,
            "exec",
            flags=made_from.flags,
            dont_inherit=True,
        )
    # Each scope holds one code object: module, factory, class (if any), function.
    for _ in range(3 if made_from.owner else 2):
        compiled = next(each for each in compiled.co_consts if isinstance(each, CodeType))
    named: CodeType = compiled.replace(co_qualname=made_from.qualname)
    return named


def _scopes(made_from: Recipe) -> tuple[ast.Module, list[ast.stmt]]:
    # Parsed, not built: the attributes that a syntax node needs differ between Python versions.
    tree: Any = ast.parse(f"def scope({', '.join(made_from.freevars)}):\n pass")
    scope: list[ast.stmt] = tree.body[0].body
    body = scope
    if made_from.owner:
        scope[:] = ast.parse(f"class {made_from.owner}:\n pass").body
        body = scope[0].body  # type: ignore[attr-defined]  # it is that class
    name = made_from.owner or made_from.name
    if name.isidentifier() and name not in made_from.freevars:
        # Inside the function its name is a global, as before, and no variable of this scope.
        scope.insert(0, ast.Global([name]))
    return tree, body


def _bare(made_from: Recipe) -> ast.stmt:
    """The function's statement at its line, without decorators, defaults and annotations."""
    parsed: Any
    node: Any
    if made_from.name == "<lambda>":
        node = ast.parse(_lambda_text(made_from), mode="eval").body
        ast.increment_lineno(node, made_from.line - 1)
        parsed = ast.Expr(node)  # not an assignment, whose name the body may use as a global
    else:
        indented = _columns(made_from)[0] > 0  # dedenting would change strings of several lines
        parsed = ast.parse("if 1:\n" + made_from.text if indented else made_from.text).body[0]
        node = parsed = parsed.body[0] if indented else parsed
        ast.increment_lineno(node, made_from.line - 1 - indented)
        node.decorator_list, node.returns = [], None
        if hasattr(node, "type_params"):  # Python 3.12
            node.type_params = []
    _strip(node.args)
    return parsed  # type: ignore[no-any-return]  # a statement, in both branches


def _lambda_text(made_from: Recipe) -> str:
    start, end = _columns(made_from)
    lines = made_from.text.encode().splitlines(keepends=True)
    lines[-1] = lines[-1][:end]
    # Parentheses let the text span lines; the spaces keep its columns.
    lines[0] = b"(" + b" " * (start - 1) + lines[0][start:]
    return b"".join(lines).decode() + ")"


def _columns(made_from: Recipe) -> tuple[int, int]:
    assert made_from.columns is not None, "only a recipe with source is compiled"
    return made_from.columns


def _strip(arguments: ast.arguments) -> None:
    for each in ast.walk(arguments):
        if isinstance(each, ast.arg):
            each.annotation = None
    nothing = ast.Constant(value=None)
    arguments.defaults = [nothing for _ in arguments.defaults]
    arguments.kw_defaults = [each and nothing for each in arguments.kw_defaults]


def _remember_lines(made_from: Recipe) -> str:
    """Let tracebacks and inspect find the lines; their file name, a new one if it is taken."""
    filename = made_from.filename
    ours = made_from.text.splitlines(keepends=True)
    after = made_from.after.splitlines(keepends=True)
    start, end = made_from.line - 1, made_from.line - 1 + len(ours)
    lines = list(linecache.getlines(filename))
    if lines[start : end + len(after)] == [*ours, *after]:
        return filename
    if lines and lines[start:end] != ours and os.path.exists(filename):
        filename = f"<{filename}>"
        lines = list(linecache.getlines(filename))
    lines += ["\n"] * (end + len(after) - len(lines))
    lines[start:end] = ours
    for number, line in enumerate(after, end):
        if not lines[number].strip():  # else it is another function's
            lines[number] = line
    # Without a modification time linecache does not look for a file.
    linecache.cache[filename] = sum(map(len, lines)), None, lines, filename
    return filename
