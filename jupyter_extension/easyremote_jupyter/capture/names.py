"""Which names a cell reads and writes. Pure: nothing is run, nothing is looked up.

A cell is read as IPython would read it (magics and ``!cmd`` included). Its top level is followed
in order of execution, so that a name which is surely assigned before it is used is not asked for;
what runs later (functions, lambdas, comprehensions) is left to `symtable`, the compiler's own
rules of scope. In doubt a name counts as read: one too many costs a transfer, one too few makes
the cell fail. `closure` finds what the values of those names need themselves.

``tests/jupyter_extension/capture/test_names.py`` runs each of its snippets in a namespace of
exactly the names that were found.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from easyremote_jupyter.capture.flow import Flow

__all__ = ["OF_EVERY_SHELL", "Names", "names"]

#: What every IPython shell has by itself, here and on the node.
OF_EVERY_SHELL = frozenset(dir(builtins)) | {
    *("__builtins__", "__class__", "__file__", "__module__", "__qualname__"),
    *("In", "Out", "display", "exit", "get_ipython", "open", "quit"),
}
#: ``_``, ``__``, ``_i2``, ``_7``: each shell's own history.
_HISTORY = re.compile(r"_{1,3}|_i{1,3}|_i?\d+|_[iods]h")


@dataclass(frozen=True, slots=True)
class Names:
    """The global names of a cell."""

    #: Read before the cell has surely assigned them, without builtins.
    reads: frozenset[str] = frozenset()
    #: Bound (or deleted) at top level, imports and definitions included.
    writes: frozenset[str] = frozenset()
    #: Changed in place by ``x[...] = y``, ``x.a = y`` and their kin; in ``reads`` too.
    mutates: frozenset[str] = frozenset()
    #: Those of ``reads`` that the cell assigns itself on some path, so it can run without them.
    optional: frozenset[str] = frozenset()
    #: Names that ``with`` binds: of use inside their block.
    blocks: frozenset[str] = frozenset()
    #: Module, attribute ("" for the module itself, "*" for all) and name that is bound to it.
    imports: tuple[tuple[str, str, str], ...] = ()


def names(cell: str, *, shadowed: Collection[str] = ()) -> Names:
    """Find the global names that `cell` reads and writes.

    Parameters
    ----------
    cell
        Source as typed in a notebook, magics included.
    shadowed
        Names of builtins that the namespace has given another value; they count as names.

    Raises
    ------
    SyntaxError
        When IPython's own transformation of the cell isn't Python.
    """
    flow = Flow()
    flow.code(cell)
    reads = frozenset(n for n in _ours(flow.reads) if n not in OF_EVERY_SHELL or n in shadowed)
    writes = _ours(flow.writes)
    optional = (reads & writes) - flow.needed
    blocks, imports = frozenset(flow.blocks), tuple(flow.imports)
    return Names(reads, writes, reads & flow.mutates, optional, blocks, imports)


def _ours(found: Iterable[str]) -> frozenset[str]:
    return frozenset(name for name in found if not _HISTORY.fullmatch(name))
