"""What is a stub: a function that only says how a registered one is called.

It never runs anything; ``tests/client/test_stubs.py`` proves it.
"""

from __future__ import annotations

import ast
import dis
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

#: What ``pass`` and ``raise NotImplementedError("...")`` are made of, in all our Python versions.
_IDLE = frozenset(
    {"RESUME", "NOP", "CACHE", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE"}
    | {"LOAD_GLOBAL", "PUSH_NULL", "PRECALL", "CALL", "RAISE_VARARGS"}
)


def is_stub(function: Callable[..., Any]) -> bool:
    """Whether a function has no body of its own: ``pass``, ``...``, a docstring, or a
    ``raise NotImplementedError``; a lone ``yield`` beside these says that it is a generator.

    Where the source can't be had, the bytecode tells whether it does anything.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return _does_nothing(function)
    if not tree.body:  # what getsource() found was something else
        return _does_nothing(function)
    body = getattr(tree.body[0], "body", [tree.body[0]])
    return isinstance(body, list) and all(_says_nothing(statement) for statement in body)


def _does_nothing(function: Callable[..., Any]) -> bool:
    code = getattr(function, "__code__", None)
    if code is None:
        return False  # a builtin
    operations = {instruction.opname for instruction in dis.get_instructions(code)}
    returns_nothing = set(code.co_consts) <= {None, function.__doc__} and not code.co_names
    is_refusal = code.co_names == ("NotImplementedError",)
    return operations <= _IDLE and (returns_nothing or is_refusal)


def _says_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass):
        return True
    if isinstance(statement, ast.Expr):
        value = statement.value
        is_bare_yield = isinstance(value, ast.Yield) and (
            value.value is None or isinstance(value.value, ast.Constant)
        )
        return isinstance(value, ast.Constant) or is_bare_yield
    if isinstance(statement, ast.Raise):
        raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
        return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
    return False
