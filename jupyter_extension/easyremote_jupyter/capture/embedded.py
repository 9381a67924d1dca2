"""Code inside strings, where IPython looks for it: ``{expressions}`` and ``$names`` of commands.

``tests/jupyter_extension/capture/test_names.py`` proves it.
"""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator

__all__ = ["CODE_CELL_MAGICS", "CODE_LINE_MAGICS", "expressions", "without_options"]

#: Magics whose line, or cell, is code that they run.
CODE_LINE_MAGICS = frozenset({"lprun", "memit", "mprun", "prun", "time", "timeit"})
CODE_CELL_MAGICS = frozenset({"capture", "prun", "time", "timeit"})

_OPTIONS = re.compile(r"^(\s*-[a-zA-Z]+(\s*\d+(?=\s))?)*\s*")
_DOLLAR_NAME = re.compile(r"\$(\$?)([^\W\d]\w*)")


def without_options(line: str) -> str:
    """The code on the line of ``%timeit -n 10 f(x)``."""
    return _OPTIONS.sub("", line)


def expressions(command: str) -> Iterator[ast.AST]:
    """What IPython computes to expand a command line."""
    try:
        pieces = list(string.Formatter().parse(command))
    except ValueError:  # single braces: IPython then leaves the line alone
        return
    for literal, expression, *_ in pieces:
        for escaped, name in _DOLLAR_NAME.findall(literal):
            if not escaped:
                yield ast.Name(name, ast.Load())
        try:
            yield ast.parse(expression or "()", mode="eval")
        except SyntaxError:
            continue  # awk's braces, say
