"""Two sides of a graph, in one process: what one tells, the other hears."""

from __future__ import annotations

from typing import Any

from easyremote.serialize.blobs import Wire
from easyremote.serialize.graph.graph import Graph, Heard
from easyremote.serialize.values import dump, load


class Side:
    """One side: its variables and its end of the graph."""

    def __init__(self, graph: Graph) -> None:
        self.space: dict[str, Any] = {}
        self.graph = graph
        #: The bytes of the last message.
        self.size = 0

    def sync(self, other: Side, *names: str, gone: tuple[str, ...] = ()) -> Heard:
        """Tell the other side of the changes in these variables; all, where none is named."""
        look = self.graph.look({name: self.space[name] for name in names or self.space}, gone)
        told = self.graph.tell(look, look.names(), gone)
        self.size = told.packed.size
        self.graph = told.after
        heard = other.graph.hear(travel(told.packed.wire()), told.beside)
        other.space.update(heard.bound)
        return heard


def travel(wire: Wire) -> Wire:
    arrived: Wire = load(bytearray(b"".join(dump(wire).parts)))
    return arrived


def sides() -> tuple[Side, Side]:
    here = Side(Graph())
    return here, Side(Graph(here.graph.key))
