"""What has changed in some variables since both sides agreed.

``tests/serialize/graph/test_graph.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from easyremote.serialize.graph.changes import Change, NotInPlace, Same, change_of, comparison
from easyremote.serialize.graph.snapshots import Content, Way, inner_of, take
from easyremote.serialize.graph.table import Table

__all__ = ["Look"]


@dataclass
class Look:
    """What has changed in some variables since both sides agreed."""

    values: dict[str, object]
    #: The names that the other side doesn't have, or that mean another object now.
    bound: set[str] = field(default_factory=set)
    #: The changes of shared objects, by id.
    changes: dict[int, Change] = field(default_factory=dict)
    #: The shared objects that can't be changed in place, and are sent anew.
    replaced: set[int] = field(default_factory=set)
    #: The shared objects that each variable reaches.
    reach: dict[str, frozenset[int]] = field(default_factory=dict)
    #: The snapshots that were taken.
    fresh: dict[int, Content] = field(default_factory=dict)

    def names(self) -> list[str]:
        """The variables of which there is something to tell."""
        return [name for name in self.values if name in self.bound or self.changed(name)]

    def changed(self, name: str) -> set[int]:
        """The ids of the objects in a variable that have changed."""
        return set(self.changes.keys() & self.reach.get(name, frozenset()))

    def compare(self, table: Table, suspects: Iterable[int]) -> None:
        """Find the changes of shared objects: of the suspects, and of what holds one to send anew.

        Parameters
        ----------
        suspects
            The ids of the objects that the variables reach.
        """
        ways: dict[type, Way] = {}
        same = comparison(table.numbers, ())
        for key in suspects:
            self._compare_one(table, key, same, ways)
        count = 0
        while count < len(self.replaced):
            count = len(self.replaced)
            same = comparison(table.numbers, self.replaced)
            for key in table.numbers.keys() - self.replaced:
                self._compare_one(table, key, same, ways)

    def _compare_one(self, table: Table, key: int, same: Same, ways: dict[type, Way]) -> None:
        if key in self.replaced:
            return
        value = table[key]
        if key not in self.fresh:
            self.fresh[key] = table.take(value, ways)
        try:
            change = change_of(value, table.contents[key], self.fresh[key], same)
        except NotInPlace:
            self.replaced.add(key)
            self.changes.pop(key, None)
            # What makes it again on the other side has to find what it is made of as that is now.
            for inner in map(id, inner_of(value)):
                if inner in table.numbers:
                    self._compare_one(table, inner, same, ways)
                    if self.changes.pop(inner, None) is not None:
                        self.replaced.add(inner)
            return
        if change is not None:
            self.changes[key] = change

    def told(self, names: Iterable[str]) -> set[int]:
        """The ids of the objects to tell of with these variables."""
        reached = frozenset().union(*self.reach.values())
        others = self.changes.keys() - reached  # they hold something that is sent anew
        return others.union(*(self.changed(name) for name in names))

    def change(self, table: Table, key: int) -> Change:
        """What has to be done to an object on the other side."""
        change = self.changes[key]
        if change.own is None or self.fresh[key].kind != "state":
            return change
        # Made once more: nobody else must refer to what it holds.
        return change._replace(own=take(table[key]).own)
