"""The objects that two sides share, by number; the same numbers on both sides.

``tests/serialize/graph/test_graph.py`` proves it.
"""

from __future__ import annotations

import array
import operator
import sys
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from easyremote.serialize.by_value import Known
from easyremote.serialize.graph.links import Links
from easyremote.serialize.graph.shared import known
from easyremote.serialize.graph.snapshots import Content, Way, inner_of, take, take_view
from easyremote.serialize.memory import Memories, is_array

__all__ = ["Table"]


class _Hole:
    """Stands for an object that was released, until the other side is told."""


class Table:
    """The shared objects, each with a snapshot of the state in which the other side has it."""

    def __init__(self) -> None:
        #: By number.
        self.objects: list[Any] = []
        #: By id.
        self.numbers: dict[int, int] = {}
        self.contents: dict[int, Content] = {}
        self.memories = Memories()
        self.links = Links()

    def __len__(self) -> int:
        return len(self.objects)

    def __getitem__(self, key: int) -> Any:
        """The object with this id."""
        return self.objects[self.numbers[key]]

    def copy(self) -> Table:
        made = Table()
        made.objects, made.numbers = list(self.objects), dict(self.numbers)
        made.contents, made.memories = dict(self.contents), self.memories.copy()
        made.links = self.links.copy()
        return made

    def known(self, coming: Iterable[Any] = ()) -> Known:
        """What a pickler has to know of them, and of whole arrays that it is about to meet."""
        memories = self.memories.copy()
        for whole in coming:
            memories.add(whole)
        return known(self.objects, self.numbers, memories)

    def add(self, value: object) -> None:
        """Give an object the next number; its snapshot is not taken yet."""
        if is_array(value):
            self.memories.add(value)
        self.numbers.setdefault(id(value), len(self.objects))
        self.objects.append(value)

    def agree(self, values: Iterable[object]) -> None:
        """Note that both sides have these in their present state."""
        ways: dict[type, Way] = {}
        self.agree_as({id(value): self.take(value, ways) for value in values})

    def agree_as(self, contents: Mapping[int, Content]) -> None:
        """Note that both sides have these, by their ids, as snapshots of just now say."""
        self.contents.update(contents)
        self.links.agree(self[key] for key in contents)

    def given(self, start: int, changed: Collection[int]) -> bytes:
        """What the new and the changed objects are made of; `adopt` takes it on the other side.

        For each of them its number, how many containers it hands out, and the number of each of
        these plus 1; 0 for one that is not shared.
        """
        found = array.array("I")
        for number in [*changed, *range(start, len(self.objects))]:
            inner = [self.numbers.get(id(each), -1) + 1 for each in inner_of(self.objects[number])]
            if any(inner):
                found.extend((number, len(inner), *inner))
        return found.tobytes()

    def adopt(self, given: bytes) -> None:
        """Put what objects have kept in the place of what they were given.

        An object may copy a list that it is made of. The list that came is of no use then: what can
        change is the copy. Call it when nobody else holds what came, and before both sides agree.
        """
        left = iter(array.array("I", given))
        for number in left:
            numbers = [next(left) for _ in range(next(left))]
            inner = list(inner_of(self.objects[number]))
            for place, kept in zip(numbers, inner, strict=False):
                if place and id(kept) not in self.numbers and len(numbers) == len(inner):
                    self._replace_unused(place - 1, kept)

    def _replace_unused(self, number: int, kept: Any) -> None:
        is_unused = sys.getrefcount(self.objects[number]) <= _ALONE
        if is_unused and _is_copy(kept, self.objects[number]):
            del self.numbers[id(self.objects[number])]
            self.objects[number] = kept
            self.numbers[id(kept)] = number

    def take(self, value: Any, ways: dict[type, Way]) -> Content:
        """A snapshot of the present state of one of them; `ways` as for `snapshots.take`."""
        whole = self.memories.whole(value) if is_array(value) else None
        return take(value, ways) if whole is None else take_view(value, whole)

    def drop(self, ids: Collection[int]) -> bytes:
        """Drop objects, and what was released; the numbers that they had, for `drop_numbers`."""
        numbers = array.array("I")
        for number, value in enumerate(self.objects):
            if id(value) in ids or type(value) is _Hole:
                numbers.append(number)
        self.drop_numbers(numbers.tobytes())
        return numbers.tobytes()

    def drop_numbers(self, numbers: bytes) -> None:
        """Drop the objects with these numbers; the others move up."""
        dropped, before = set(array.array("I", numbers)), self.objects
        if not dropped:
            return
        self.objects, self.numbers, self.memories = [], {}, Memories()
        for number, value in enumerate(before):
            if number not in dropped:
                self.add(value)
        self.contents = {key: self.contents[key] for key in self.numbers}
        self.links.keep(self.numbers)

    def release(self, ids: Iterable[int]) -> None:
        """Let go of objects, whose numbers stay taken until they are dropped."""
        left = {key: self[key] for key in ids if type(self[key]) is not _Hole}
        for number, value in enumerate(self.objects):
            key = id(value)
            if key in left:  # it has a number more where two of the other side are one here
                self.objects[number] = hole = _Hole()
                self.numbers[id(hole)] = number
                self.contents[id(hole)] = self.contents[key]._replace(own=None, attributes=None)
        for key in left:
            del self.numbers[key], self.contents[key]
        self.links.keep(self.numbers)
        self.memories = Memories()
        for value in filter(is_array, self.objects):
            self.memories.add(value)

    @property
    def has_holes(self) -> bool:
        return any(type(value) is _Hole for value in self.objects)


def _is_copy(kept: Any, came: Any) -> bool:
    """Whether one container holds the same objects as another one, in the same order."""
    if type(kept) is not type(came) or len(kept) != len(came):
        return False
    if type(kept) is dict:
        return all(map(operator.is_, kept, came)) and _is_copy([*kept.values()], [*came.values()])
    return bool(kept == came) if type(kept) is set else all(map(operator.is_, kept, came))


_ONE: list[object] = [object()]
#: What is counted of an object that only a list refers to.
_ALONE = sys.getrefcount(_ONE[0])
