"""Splits the line of ``%remote``: a target, options, and the expression. Pure.

``tests/jupyter_extension/magics/test_options.py`` proves it.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from easyremote.errors import UsageError
from easyremote_jupyter.magics.options import PARSER

__all__ = ["split"]

_WORD = re.compile(r"\s*(\$?[\w./-]+)\s+")


def _option_pattern() -> re.Pattern[str]:
    """One option at the start of a line, with its value."""
    flags: list[str] = []
    valued: list[str] = []
    for action in PARSER._actions:
        (flags if action.nargs == 0 else valued).extend(map(re.escape, action.option_strings))
    value = r"(?:\s+|=)(?:'[^']*'|\"[^\"]*\"|\S+)"
    return re.compile(rf"\s*(?:(?:{'|'.join(flags)})(?=\s|$)|(?:{'|'.join(valued)}){value})\s*")


_OPTION = _option_pattern()


def split(line: str, nodes: Collection[str]) -> tuple[str, str]:
    """Split ``[TARGET] [options] EXPRESSION``; the first word is a target only if it is known.

    Raises
    ------
    UsageError
        There is no expression.
    """
    position, has_node = 0, False
    while True:
        match = _OPTION.match(line, position)
        if match is None and not has_node:
            match = _WORD.match(line, position)
            # `$name` is no Python, so it is a target, which is expanded later.
            has_node = match is not None and (
                match[1].startswith("$") or match[1].partition("/")[0] in nodes
            )
            match = match if has_node else None
        if match is None:
            break
        position = match.end()
    if not line[position:].strip():
        raise UsageError("%remote needs an expression, as in: y = %remote gpu-node f(x)")
    return line[:position], line[position:]
