"""Rewrites the source of a cell before IPython reads it, so that it runs in the right place.

`CellTransformer` is one of IPython's input transformers: it sends plain cells to the node that is
attached with ``--auto``, keeps cells with ``%%local`` here, and makes an empty ``%%remote`` cell
valid. It runs nothing. ``tests/jupyter_extension/magics/test_cells.py`` proves it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager, leading_indent

from easyremote.errors import UsageError

__all__ = ["ATTACHED_MAGIC", "CellTransformer", "dedented", "is_empty", "refuse_nested"]

#: The cell magic that runs a cell on the attached node. People don't type it.
ATTACHED_MAGIC = "remote_attached"

_REMOTE = re.compile(r"%%remote(?![\w?])")
_AS_MAGIC = re.compile(r"get_ipython\(\)\.run_(?:line_magic\('%remote'|cell_magic\('remote')")
_LOCAL = re.compile(r"%%local\s*")
#: Magics of EasyRemote that make sense only in this kernel.
_COMPANION = re.compile(r"\s*%(?:remote_\w+|(?:re|un)?load_ext\s+easyremote)", re.MULTILINE)


class CellTransformer:
    """See the module.

    Parameters
    ----------
    is_auto
        Whether plain cells run on the attached node now.
    """

    #: IPython does not call it where it only checks whether a cell is complete.
    has_side_effects = True

    def __init__(self, is_auto: Callable[[], bool]) -> None:
        self._is_auto = is_auto

    def __call__(self, lines: list[str]) -> list[str]:
        if not lines:
            return lines
        if _LOCAL.fullmatch(lines[0]):
            is_magic = any(line.strip() for line in lines[1:2]) and lines[1].startswith("%%")
            return lines[1:] if is_magic else ["# %%local\n", *lines[1:]]
        if _REMOTE.match(lines[0]):
            # IPython refuses a cell magic without a body, so it gets an empty line as its body.
            return lines if len(lines) > 1 else [lines[0].rstrip("\n") + "\n", "\n"]
        source = "".join(lines)
        if not self._is_auto() or source.startswith("%%") or is_empty(source):
            return lines
        if _COMPANION.search(source):
            return lines
        return [f"%%{ATTACHED_MAGIC}\n", *lines]


def dedented(source: str) -> str:
    """A cell without the indentation of its first line, which IPython removes from plain cells.

    The numbers of its lines stay as they are.
    """
    lines = source.splitlines(keepends=True)
    first = next((n for n, line in enumerate(lines) if line.strip()), 0)
    untyped: Any = leading_indent
    return "".join([*lines[:first], *untyped(lines[first:])])


def is_empty(source: str) -> bool:
    """Whether there is nothing to run: blank lines and comments."""
    stripped = (line.strip() for line in source.splitlines())
    return all(not line or line.startswith("#") for line in stripped)


def refuse_nested(source: str, *, first_line: int) -> None:
    """Refuse a cell that has a ``%%remote`` of its own.

    Parameters
    ----------
    source
        The cell's body.
    first_line
        The number that its first line has in the notebook.

    Raises
    ------
    UsageError
        It has one; the message names the line.
    """
    lines = source.splitlines()
    found = next((n for n, line in enumerate(lines) if _REMOTE.match(line)), None)
    if found is None:
        return
    transformer: Any = TransformerManager  # it has no types
    # IPython reads it as a magic: it is no line of a string.
    if _AS_MAGIC.search(transformer().transform_cell(source)):
        raise UsageError(
            f"Line {first_line + found}: a cell that runs on a node can't have a %%remote of its "
            "own. Make it two cells."
        )
