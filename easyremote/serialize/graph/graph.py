"""The objects that two sides share: what changes on one side is changed in place on the other.

Each side has a `Graph`: a table of the objects that both have, with the same numbers. Where a
message refers to one of them, it holds the number, not a copy; so what was one object stays one
object. `look` compares variables with how they were when both sides agreed. `tell` makes a message
of what has changed: names that are bound, objects that are new, and for each object that both have
its own difference (`changes`). `hear` does the same on the other side. Messages are heard in the
order in which they are told, each once; where one was lost, `Stale` is raised, and both sides start
with new graphs. ``tests/serialize/graph/test_graph.py`` proves it.
"""

from __future__ import annotations

import array
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from easyremote.errors import EasyRemoteError
from easyremote.serialize.blobs import Packed, Wire, received
from easyremote.serialize.files import collected
from easyremote.serialize.frames import note_shared_memory
from easyremote.serialize.graph.apply import apply
from easyremote.serialize.graph.changes import ATOMS, Change, comparison
from easyremote.serialize.graph.collecting import uncollected
from easyremote.serialize.graph.look import Look
from easyremote.serialize.graph.pickles import pickle_graph, unpickle_graph
from easyremote.serialize.graph.shared import to_share
from easyremote.serialize.graph.survey import Survey
from easyremote.serialize.graph.table import Table
from easyremote.serialize.memory import is_array
from easyremote.serialize.refs import Elsewhere
from easyremote.serialize.values import Buffer, Version

__all__ = ["Graph", "Look", "Stale", "Told"]


class Stale(EasyRemoteError):
    """A message is for a state of the graph that this side hasn't."""


#: Text and bytes that are longer are told by what object they are.
COMPARED_MAX = 1000


class _Root(NamedTuple):
    """The value of a variable, as both sides know it."""

    value: Any
    #: It stands for a value of the other side, or is one that the other side has a reference to.
    is_apart: bool = False
    #: Of the whole value, when both sides agreed; None where it was not computed since.
    digest: bytes | None = None
    #: The ids of the shared objects that it reaches; None where they are not known.
    reach: frozenset[int] | None = None


class Told(NamedTuple):
    """A message."""

    packed: Packed
    #: What the other side's `hear` needs beside it, in plain types.
    beside: dict[str, Any]
    #: This side's graph when the message has been heard.
    after: Graph


class Heard(NamedTuple):
    """What a message has brought."""

    #: The names to bind; "" is the value of an expression.
    bound: dict[str, Any]
    #: The variables in which something had changed here, too, and was overwritten.
    overwritten: list[str]


class Graph:
    """One side's table of the shared objects; see the module.

    Parameters
    ----------
    key, table
        What both sides call it, and its objects; None for a new one.
    """

    def __init__(self, key: str | None = None, table: Table | None = None) -> None:
        self._begin(key or secrets.token_hex(8), Table() if table is None else table)

    def _begin(self, key: str, table: Table) -> None:
        self.key = key
        self._table = table
        self._roots: dict[str, _Root] = {}
        #: Variables that were released since the last message.
        self._released: set[str] = set()
        #: How many messages were told and heard.
        self._messages = 0

    def __len__(self) -> int:
        return len(self._table)

    @property
    def names(self) -> set[str]:
        """The variables that both sides have."""
        return set(self._roots)

    def has(self, name: str, value: object) -> bool:
        """Whether both sides have this object by this name."""
        root = self._roots.get(name)
        return root is not None and self._is_same(root, value)

    # -- what has changed

    @uncollected
    def look(
        self,
        values: Mapping[str, object],
        gone: Collection[str] = (),
        *,
        python: Version | None = None,
    ) -> Look:
        """Compare variables with how they were when both sides agreed.

        What a variable meant before may have changed, too, and others may refer to it: so `gone`
        are the variables that are no more.
        """
        look = Look(dict(values))
        suspects: set[int] = set()
        moved = self._table.links.moved()
        before = [name for name in gone if name in self._roots]
        unchanged: dict[str, _Root] = {}
        for name, value in values.items():
            root = self._roots.get(name)
            is_known = root is not None and self._is_same(root, value)
            if root is None:
                look.bound.add(name)
            elif not is_known:
                look.bound.add(name)
                before.append(name)
            elif root.is_apart:
                continue
            if not self._table or type(value) in ATOMS:
                continue
            survey = Survey(value, self._table, python)
            digest = survey.digest
            is_equal = (
                is_known and digest is not None and root is not None and digest == root.digest
            )
            if is_equal and not (moved and moved & self._reach(name)):
                continue
            look.reach[name] = found = survey.reach()
            suspects |= found
            look.replaced |= survey.torn()
            if root is not None and is_known:
                unchanged[name] = root._replace(digest=digest, reach=found)
        suspects.update(*map(self._reach, before))
        look.compare(self._table, suspects & self._table.numbers.keys())
        self._bind_anew(look)
        for name, root in unchanged.items():
            if name not in look.bound and not look.changed(name):
                self._roots[name] = root
        return look

    def _is_same(self, root: _Root, value: object) -> bool:
        if root.value is value or root.is_apart or _is_large(value):
            return root.value is value
        return comparison(self._table.numbers, ())(root.value, value)

    def _bind_anew(self, look: Look) -> None:
        """Bind the variables whose value is sent anew, whoever has changed it."""
        if not look.replaced:
            return
        same = comparison(self._table.numbers, look.replaced)
        for name, root in self._roots.items():
            if not root.is_apart and not same(root.value, root.value):
                look.bound.add(name)
                look.values.setdefault(name, root.value)

    # -- telling

    @uncollected
    def tell(
        self,
        look: Look,
        names: Collection[str],
        gone: Collection[str] = (),
        *,
        python: Version | None = None,
    ) -> Told:
        """Make a message of what has changed in some of the variables.

        Parameters
        ----------
        look
            What `look` has found.
        names
            The variables, among those of `look`.
        gone
            Variables that this side hasn't any more, or keeps to itself.
        python
            The other side's Python, as for `values.dump`.

        Raises
        ------
        CannotShip
            A variable can't travel; the message names it.
        """
        bound = {name: look.values[name] for name in names if name in look.bound}
        bound = dict(sorted(bound.items(), key=_wholes_first))
        told = look.told(names) - look.replaced
        gone = {*gone, *self._released}
        packed, dropped, kept, given, apart = Packed([]), b"", b"", b"", list[str]()
        if not (bound or told or gone or look.replaced):  # most often, nothing has changed
            after = self._copy(self._table)
        else:
            after = self._copy(self._table.copy())
            dropped = after._forget({*gone, *bound}, look, names, told)
            if bound or told:
                packed, kept, given = after._packed(look, bound, told, python)
            after._table.agree_as({key: look.fresh[key] for key in told})
            apart = [name for name, value in bound.items() if isinstance(value, Elsewhere)]
            after._settle(bound, apart, told)
        beside = {
            "key": self.key,
            "messages": self._messages,
            "dropped": dropped,
            "kept": kept,
            "given": given,
            "gone": [*gone],
            "apart": apart,
            "changed": [name for name in names if look.changed(name)],
        }
        return Told(packed, beside, after)

    def _packed(
        self, look: Look, bound: dict[str, object], told: Collection[int], python: Version | None
    ) -> tuple[Packed, bytes, bytes]:
        """What a message tells, and the numbers of the new objects in it, which are added here.

        And what `Table.given` says of them.
        """
        table, start = self._table, len(self._table)
        numbers = sorted((table.numbers[key], key) for key in told)
        # What is held before what holds it: the keys of a dict have their state when they are set.
        updates = [(number, *look.change(table, key)) for number, key in reversed(numbers)]
        with collected() as files:
            pickled = pickle_graph(bound, tuple(updates), table.known(), python=python)
            if torn := pickled.pickler.torn():  # a whole array came after a part of it
                known = table.known(torn.values())
                pickled = pickle_graph(bound, tuple(updates), known, python=python)
        packed = Packed(pickled.pieces(), list(files.values()))
        del updates  # what only these hold is not shared
        kept = array.array("I")
        for number, value in to_share(pickled, start):
            kept.append(number)
            table.add(value)
        table.agree(table.objects[start:])
        given = table.given(start, [number for number, _ in numbers])
        return packed, kept.tobytes(), given

    def keep_apart(self, values: Mapping[str, object]) -> None:
        """Note that a variable is on one side only; the other one has a reference to it."""
        for name, value in values.items():
            self._roots[name] = _Root(value, is_apart=True)

    def forget(self, names: Iterable[str]) -> None:
        """Note that the other side has to be told of these variables again."""
        for name in names:
            self._roots.pop(name, None)

    def release(self, namespace: Mapping[str, object]) -> None:
        """Let go of the variables that mean another object now, or are gone.

        The other side is told with the next message.
        """
        gone = {n for n, root in self._roots.items() if namespace.get(n) is not root.value}
        self._released |= gone
        self._table.release(self._unreached([self._roots.pop(name) for name in gone]))

    def _copy(self, table: Table) -> Graph:
        """This graph after one more message."""
        made = Graph(self.key, table)
        made._roots, made._messages = dict(self._roots), self._messages + 1
        return made

    def _forget(
        self, gone: set[str], look: Look, names: Collection[str], told: Collection[int]
    ) -> bytes:
        """Drop what only these variables reached, and what is sent anew; the numbers.

        What there is to tell of stays: somebody there may refer to it whom this side doesn't know.
        """
        left = [self._roots.pop(name) for name in gone & self._roots.keys()]
        dropped = self._unreached(left)
        dropped -= frozenset(told).union(*(look.reach.get(name, frozenset()) for name in names))
        return self._table.drop(dropped | look.replaced)

    def _unreached(self, left: list[_Root]) -> set[int]:
        """The ids of the objects that no variable reaches, now that these are gone."""
        if all(root.is_apart or type(root.value) in ATOMS for root in left):
            return set()
        return self._table.numbers.keys() - frozenset().union(*map(self._reach, [*self._roots]))

    def _reach(self, name: str) -> frozenset[int]:
        root = self._roots[name]
        if root.is_apart or type(root.value) in ATOMS:
            return frozenset()
        if root.reach is None:
            reach = Survey(root.value, self._table, None).reach()
            root = self._roots[name] = root._replace(reach=reach)
        return root.reach or frozenset()

    def _settle(
        self, bound: Mapping[str, object], apart: Collection[str], changed: Collection[int]
    ) -> None:
        """Both sides agree on this."""
        for name, root in self._roots.items():
            if root.reach is None or not root.reach.isdisjoint(changed):
                self._roots[name] = _Root(root.value, root.is_apart)
        for name, value in bound.items():
            if name:
                self._roots[name] = _Root(value, name in apart)

    # -- hearing

    @uncollected
    def hear(
        self,
        wire: Wire,
        beside: Mapping[str, Any],
        blob: Callable[[bytes, Buffer | None], Buffer] | None = None,
    ) -> Heard:
        """Do here what the other side has told.

        Parameters
        ----------
        wire, beside
            The message.
        blob
            As for `blobs.unpack`.

        Raises
        ------
        Stale
            The message is for another state of the graph; nothing was done.
        CannotShip
            Something can't be rebuilt here. This graph begins anew: it was heard in part.
        """
        is_next = (beside["key"], beside["messages"]) == (self.key, self._messages)
        if not is_next or self._table.has_holes:
            raise Stale("The two sides have not heard of the same changes.")
        pieces = received(wire, blob)
        try:
            return self._hear(pieces, beside)
        except Exception:
            self._begin(secrets.token_hex(8), Table())
            raise

    def _hear(self, pieces: Sequence[Buffer], beside: Mapping[str, Any]) -> Heard:
        self._messages += 1
        for name in beside["gone"]:
            self._roots.pop(name, None)
        if not pieces and not beside["dropped"]:
            return Heard({}, [])  # most often, nothing has changed
        table = self._table
        table.drop_numbers(beside["dropped"])
        heard: tuple[Any, dict[int, Any]] = ({}, ()), {}
        if pieces:
            heard = unpickle_graph(pieces[0], pieces[1:], table.objects)
        (bound, updates), memo = heard
        unseen = self._unseen(updates)
        start = len(table)
        for number in array.array("I", beside["kept"]):
            table.add(memo[number])
        changed = [table.objects[number] for number, *_ in updates]
        for value, (_, own, attributes) in zip(changed, updates, strict=True):
            apply(value, Change(own, attributes))
        del heard, memo  # what was only needed to make others is nobody's now
        table.adopt(beside.get("given", b""))  # earlier versions do not say it
        note_shared_memory(table.objects)
        table.agree([*table.objects[start:], *changed])
        self._settle(bound, beside["apart"], {id(value) for value in changed})
        return Heard(bound, beside["changed"] if unseen else [])

    def _unseen(self, updates: Iterable[tuple[int, Any, Any]]) -> bool:
        """Whether an object that is about to change has changed here, too."""
        keys = [id(self._table.objects[number]) for number, *_ in updates]
        look = Look({})
        look.compare(self._table, keys)
        return bool(look.changes or look.replaced)


def _is_large(value: object) -> bool:
    return isinstance(value, str | bytes) and len(value) > COMPARED_MAX


def _wholes_first(item: tuple[str, Any]) -> int:
    return -int(item[1].nbytes) if is_array(item[1]) else 0
