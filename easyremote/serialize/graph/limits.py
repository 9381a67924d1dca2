"""What a message takes along, and what stays because it is too large or can't travel.

``tests/node/worker/test_variables.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from easyremote.errors import CannotShip
from easyremote.guarded import attribute
from easyremote.serialize.graph.graph import Graph, Look, Told

__all__ = ["Limits", "tell_within"]


class Limits(NamedTuple):
    """The most bytes of one value, and of all values of a cell, that go back unasked."""

    value: float = 16_000_000
    cell: float = 64_000_000


def tell_within(
    graph: Graph, look: Look, limits: Limits, gone: Collection[str], musts: Collection[str]
) -> tuple[Told, dict[str, int]]:
    """Tell of all changes that are within the limits.

    Parameters
    ----------
    graph, look
        What has changed, and in what.
    gone
        As for `Graph.tell`.
    musts
        The variables that may not stay.

    Returns
    -------
    tuple
        The message, and the size of each variable that stays; 0 for what can't travel.

    Raises
    ------
    CannotShip
        One of the `musts` can't travel.
    """
    names = look.names()
    stay = {name: size for name in names if (size := _nbytes(look.values[name])) > limits.value}
    try:
        told = graph.tell(look, [name for name in names if name not in stay], {*gone, *stay})
        if told.packed.size <= min(limits):
            return told, stay
    except CannotShip:
        pass  # one of them can't travel, not all
    left = limits.cell
    for name in names:
        if name in stay:
            continue
        size = _size(graph, look, name, musts)
        if 0 < size <= min(limits.value, left):
            left -= size
        else:
            stay[name] = size
    return graph.tell(look, [name for name in names if name not in stay], {*gone, *stay}), stay


def _nbytes(value: object) -> int:
    size = attribute(value, "nbytes", 0)  # an array says it by itself
    return size if isinstance(size, int) else 0


def _size(graph: Graph, look: Look, name: str, musts: Collection[str]) -> int:
    try:
        return graph.tell(look, [name]).packed.size - len(name.encode())  # the value's alone
    except CannotShip:
        if name in musts:
            raise
        return 0
