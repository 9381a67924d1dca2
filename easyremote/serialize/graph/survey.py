"""What one value consists of, when it is compared with what the other side has.

``tests/serialize/graph/test_graph.py`` proves it.
"""

from __future__ import annotations

from easyremote.errors import CannotShip
from easyremote.serialize.blobs import Packed
from easyremote.serialize.by_value import Known
from easyremote.serialize.graph.pickles import Pickled, pickle_graph
from easyremote.serialize.graph.shared import thing
from easyremote.serialize.graph.table import Table
from easyremote.serialize.values import Version

__all__ = ["Survey"]


class Survey:
    """A value with all that it refers to.

    Parameters
    ----------
    value
        It may be one that can't travel.
    table
        The objects that both sides have.
    python
        The other side's Python, as for `values.dump`.

    Attributes
    ----------
    digest
        Of the whole value; None where it can't travel.
    """

    def __init__(self, value: object, table: Table, python: Version | None) -> None:
        self._shared = table.numbers.keys()
        self._pickled: Pickled | None = None
        self.digest: bytes | None = None
        try:
            known = Known({}, {}, table.memories)
            self._pickled = pickle_graph({"": value}, None, known, python=python)
        except CannotShip:
            return
        self.digest = Packed(self._pickled.pieces()).digest

    def reach(self) -> frozenset[int]:
        """The ids of the shared objects in it; of all, where it can't travel."""
        if self._pickled is None:
            return frozenset(self._shared)
        met = {id(thing(each)) for _, each in self._pickled.memo().values()}
        return frozenset(met & self._shared)

    def torn(self) -> set[int]:
        """The ids of the shared arrays that lie on the memory of an array in it.

        The other side has each with a memory of its own: they must be sent anew.
        """
        return self._shared & (self._pickled.pickler.torn() if self._pickled else {}).keys()
