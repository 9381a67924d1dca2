"""What differs when a cell runs on a node, and why: the one table of known differences.

A case that is marked with a row of it differs in that way and in no other; the test of the case
fails as soon as it does not differ any more.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["DIFFERENCES", "Difference", "table"]


class Difference(NamedTuple):
    #: What a person sees.
    what: str
    #: Why it can't be as it is here.
    why: str
    #: What to do instead.
    instead: str
    #: Finds the difference among those of a case (`tests.as_if.oracle.difference`).
    pattern: str
    #: Whether the cell says so when it happens.
    is_said: bool = True

    def fits(self, difference: str) -> bool:
        return re.search(self.pattern, difference, re.S) is not None


DIFFERENCES: dict[str, Difference] = {
    "stays": Difference(
        what="A thread, a lock, a process, a connection or an open file that a remote cell makes "
        "stays on the node: here its name is a RemoteRef.",
        why="It is part of the process that made it, and pickle refuses it.",
        instead="Use it in later cells on the same node, or `name.eval(...)` from here.",
        pattern=r"^type\([^)]*\): class easyremote.client.refs.RemoteRef on the node",
        is_said=False,  # not of a name in a with block; the reference says so where it is used
    ),
    "is over": Difference(
        what="A pool or a file that a remote cell has opened and closed with `with` stays on the "
        "node: here its name is a RemoteRef, and no line says so.",
        why="It is part of the process that made it; and it is closed, so nobody needs it.",
        instead="Use what the block has made.",
        pattern=r"^type\([^)]*\): class easyremote.client.refs.RemoteRef on the node",
        is_said=False,
    ),
    "cannot go": Difference(
        what="A lock, a connection, an open file, a generator or a ufunc of `np.frompyfunc` that "
        "is made here can't be used by a cell on a node: the cell is refused before it runs, and "
        "the error names the variable.",
        why="It is part of this process.",
        instead="Make it in a cell on the node.",
        pattern=r"CannotShip",
    ),
    "is an Exception": Difference(
        what="What a remote cell or function raises is a RemoteError too, so `except Exception` "
        "catches also a SystemExit, a GeneratorExit or a CancelledError of the node.",
        why="The node's traceback belongs to it; the class is made of the one that was raised.",
        instead="Catch the class that you mean.",
        pattern=r"caught by: str 'BaseException Exception ",
        is_said=False,
    ),
    "modules": Difference(
        what="What a cell sets inside a module (options of pandas, matplotlib's `rcParams` and "
        "`plt.ioff()`, the level of a logger, something in `builtins`, the state of a module of "
        "your own) holds on its own side only.",
        why="Modules travel as imports: each side has its own.",
        instead="Set it on both sides, or in the cell that needs it.",
        pattern=r"<Logger \w+ \(|'n': 0|101 102|\d rows x|my_global|\.uuid|<Figure size 640x480",
        is_said=False,
    ),
    "copies": Difference(
        what="A tuple in a tuple, or memory that a value does not say that it shares, can be one "
        "object here and two equal ones after the way; what a class leaves out of its pickle is "
        "gone.",
        why="The value is copied as pickle copies it; only what can change is told apart.",
        instead="Compare such values with `==`.",
        pattern=r"is shared with others in another way|encoder",
        is_said=False,
    ),
    "large arrays": Difference(
        what="An array that has travelled, and of which one message brought more than 64 MB, "
        "lies in the memory of that message: it has a `base` and can't be resized in place.",
        why="Its bytes would be in memory twice for a moment.",
        instead="`a = np.resize(a, shape)`, or `a = a.copy()` before.",
        pattern=r"False False",
        is_said=False,
    ),
    "iterators": Difference(
        what="An iterator over the keys of a dict is one over a list of them after the way.",
        why="Pickle stores it so.",
        instead="Iterate over the dict.",
        pattern=r"_keyiterator|state: ",
        is_said=False,
    ),
    "outputs": Difference(
        what="A session has a folder `outputs/`, also where none is here.",
        why="What a long job leaves there can be fetched later, from any notebook.",
        instead="Make the folder here, too, where both should have it.",
        pattern=r"outputs/",
        is_said=False,
    ),
    "bars": Difference(
        what="A progress bar is drawn by this side: in a notebook as HTML, in a terminal as text.",
        why="It has to move while the cell runs, over any connection, and to be whole in the file.",
        instead="Nothing: `.container` is the widget, where one is wanted.",
        pattern=r"widget-view\+json|it/s|TIME\]",
        is_said=False,
    ),
    "input": Difference(
        what="Where a notebook runs without a user, `input()` in a remote cell fails as it does "
        "here, with a longer message.",
        why="The question would have to be asked here.",
        instead="Ask in a cell here, and use the answer in the remote one.",
        pattern=r"can't ask for input|error context: NoneType None on the node",
    ),
    "the shell": Difference(
        what="`get_ipython()` in a remote cell is the node's own shell: another class, without "
        "this notebook's history and kernel.",
        why="A remote cell runs in a real IPython there.",
        instead="Ask `get_ipython()` in a cell here.",
        pattern=r"NodeShell|^Out\[\d+\]: .*ExecutionResult|^ip: ",
        is_said=False,
    ),
}


def table() -> str:
    """The differences for people: the last part of ``notebooks/06-as-if.ipynb``."""
    rows = [f"| {each.what} | {each.why} | {each.instead} |" for each in DIFFERENCES.values()]
    return "\n".join(["| what differs | why | instead |", "|---|---|---|", *rows])
