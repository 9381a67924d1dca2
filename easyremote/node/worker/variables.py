"""The variables of a session, inside its process: which arrive, which go back, which stay.

What a cell assigned or changed goes back if it is small enough; objects that the caller has are
changed in place there (`easyremote.serialize.graph`). The rest stays, and the caller gets a number
for it, by which a later request finds the value (`easyremote.serialize.refs.HELD`) until it says
that the number is no longer used. ``serve`` answers the requests beside cells (``$session``):
list, get, put, delete, and calls of what stayed. ``tests/node/worker/test_variables.py`` proves it.
"""

from __future__ import annotations

import itertools
import sys
import traceback
import types
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from easyremote.errors import CannotReturn, CannotShip, NotFound
from easyremote.guarded import attribute
from easyremote.node.blob_store import BlobMissing
from easyremote.node.outcomes import remote_error
from easyremote.packages import installed
from easyremote.protocol.requests import (
    DeleteVariable,
    ListVariables,
    VariablesAnswer,
    VariablesRequest,
)
from easyremote.serialize.blobs import Wire, unpack
from easyremote.serialize.graph.graph import Graph, Stale, Told
from easyremote.serialize.graph.limits import Limits, tell_within
from easyremote.serialize.refs import HELD
from easyremote.serialize.values import Buffer

__all__ = ["Limits", "Parcel", "Variables"]

#: Callers that share a session's objects: the notebooks that have attached to it.
CALLERS_MAX = 4
#: Characters of a value that stays, as it is shown on the other side.
TEXT_MAX = 500

Blob = Callable[[bytes, Buffer | None], Buffer]


class Variables:
    """The variables of a session.

    Parameters
    ----------
    space
        Where cells run.
    process
        What this process calls itself.
    text
        How a value is shown as text.
    blob
        Gives the memory of a blob, from its hash and what was sent of it.
    """

    def __init__(
        self,
        space: dict[str, Any],
        process: str,
        text: Callable[[object], str] = repr,
        blob: Blob | None = None,
    ) -> None:
        self.space = space
        self._process = process
        self._text = text
        self._blob = blob
        self._hidden = frozenset(space)
        self._numbers = itertools.count(1)
        #: By key: what is shared with each caller.
        self._graphs: OrderedDict[str, Graph] = OrderedDict()
        #: The id of the object that each name meant when a caller last heard of it.
        self._agreed: dict[str, int] = {}
        #: What the last cell left to bring back, should it have failed.
        self.left: Callable[[], dict[str, Any]] = dict
        #: What went back last.
        self.sent: dict[str, Any] = {}

    # -- in

    def receive(
        self, wire: Wire, beside: Mapping[str, Any] | None = None, released: Iterable[int] = ()
    ) -> list[str]:
        """Set what arrived; the names whose values here had changed unseen, and are overwritten.

        Parameters
        ----------
        wire, beside
            A message of the caller's graph; without ``beside``, variables only.
        released
            Numbers of values that nobody refers to any more.

        Raises
        ------
        BlobMissing
            Something that was left out is not here; nothing was set.
        Stale
            The caller takes for known here what isn't; nothing was set.
        """
        if beside is None:
            self.space.update(unpack(wire, self._blob))
            changed = []
        else:
            changed = self._hear(wire, beside)
        for number in released:
            HELD.pop(number, None)
        return changed

    def _hear(self, wire: Wire, beside: Mapping[str, Any]) -> list[str]:
        graph = self.graph(beside["key"])
        there = frozenset(self.space if wire else ())  # functions bring globals of their own
        try:
            heard = graph.hear(wire, beside, self._blob)
        except (BlobMissing, Stale):
            raise
        except Exception:  # it was heard in part
            self._graphs.pop(beside["key"], None)
            raise
        if not heard.bound:
            return heard.overwritten
        changed = [
            name
            for name in heard.bound
            if name in there
            and name not in self._hidden
            and not isinstance(self.space[name], types.ModuleType)
            and not callable(self.space[name])
            and self._agreed.get(name) != id(self.space[name])
        ]
        self.space.update(heard.bound)
        self._agree(heard.bound)
        return [*changed, *heard.overwritten]

    def graph(self, key: str | None) -> Graph:
        """What is shared with a caller; nothing, for one without a key."""
        if key is None:
            return Graph()
        graph = self._graphs.get(key)
        if graph is None:
            graph = self._graphs[key] = Graph(key)
            if len(self._graphs) > CALLERS_MAX:
                self._graphs.popitem(last=False)
        else:
            self._graphs.move_to_end(key)
        return graph

    def _agree(self, values: Mapping[str, object]) -> None:
        self._agreed.update({name: id(value) for name, value in values.items()})

    # -- out

    def hold(self, value: object, size: int | None = None) -> dict[str, Any]:
        """Keep a value for the caller; what it has to know of it."""
        number = next(self._numbers)
        HELD[number] = value
        return {"number": number, **self._described(value, size)}

    def _described(self, value: object, size: int | None = None) -> dict[str, Any]:
        size = _rough_size(value) if size is None else size
        described = {"type": type(value).__name__, "size": size, "text": self._shown(value)}
        shape = attribute(value, "shape")
        if isinstance(shape, tuple) and all(isinstance(each, int) for each in shape):
            described["shape"] = shape
        if _is_widget(value):
            described["is_widget"] = True
        return described

    def _shown(self, value: object) -> str:
        try:
            if isinstance(value, str | bytes) and len(value) > TEXT_MAX:
                return f"{value[:TEXT_MAX]!r} ... {len(value) - TEXT_MAX:,} more"
            text = self._text(value)
        except Exception as error:  # the user's __repr__
            return f"(its repr raised {type(error).__name__})"
        left = len(text) - TEXT_MAX
        return text if left <= 0 else f"{text[:TEXT_MAX]} ... {left:,} characters more"

    def offer(self, names: Iterable[str], limits: Limits, key: str | None = None) -> Parcel:
        """What goes back of a cell that may have assigned or changed `names`."""
        parcel = Parcel(self, limits, self.graph(key))
        for name in sorted(set(names)):
            if name in self.space:
                parcel.add(name, self.space[name])
        return parcel

    def bring(self, names: Iterable[str], key: str | None = None) -> Parcel:
        """What must go back.

        Raises
        ------
        CannotReturn
            It can't.
        """
        parcel = Parcel(self, Limits(float("inf"), float("inf")), self.graph(key))
        for name in names:
            if name not in self.space:
                raise CannotReturn(f"The cell ran, but left no {name!r} to bring back.")
            parcel.add(name, self.space[name], must=True)
        return parcel

    def gone(self, written: Iterable[str], key: str | None) -> list[str]:
        """Names that are not here: of a cell's, and of what the caller once sent or got."""
        return sorted({*written, *self.graph(key).names} - self.space.keys())

    def sent_back(
        self, told: Told, values: Mapping[str, object], kept: Mapping[str, object]
    ) -> None:
        """Note what the caller knows now."""
        self._graphs[told.after.key] = told.after
        self._agree(values)
        self._agree(kept)

    # -- beside cells

    def serve(self, request: tuple[str, str | None, Wire]) -> dict[str, Any]:
        """Answer a request: its operation, the process that is meant, the arguments.

        The answer names this process; where another one was meant, it has nothing else.
        """
        operation, process, arguments = request
        if process not in (None, self._process):
            return {"process": self._process}
        args = unpack(arguments, self._blob)["args"]
        return {"process": self._process, **_OPERATIONS[operation](self, *args)}

    def serve_plain(self, request: VariablesRequest) -> VariablesAnswer:
        """Answer who does not unpickle what a session says."""
        match request:
            case ListVariables():
                return msgspec.convert(self.list(), VariablesAnswer)
            case DeleteVariable(name):
                self.delete([name])
                return VariablesAnswer({})

    def list(self) -> dict[str, Any]:
        shown = {
            name: self._described(value)
            for name, value in self.space.items()
            if name not in self._hidden
            and not name.startswith("_")
            and not isinstance(value, types.ModuleType)
        }
        return {"variables": shown}

    def get(self, names: Iterable[str], key: str | None = None) -> dict[str, Any]:
        self._check(names)
        return self.bring(names, key).answer()

    def get_held(self, number: int, name: str = "", key: str | None = None) -> dict[str, Any]:
        """A value that is held; with a key, as the variable of that name, which both then have."""
        value = _held(number)
        if key is not None:
            self.space[name] = value
        parcel = Parcel(self, Limits(float("inf"), float("inf")), self.graph(key))
        parcel.add(name, value, must=True)
        return parcel.answer()

    def put(self, values: Wire, beside: Mapping[str, Any]) -> dict[str, Any]:
        try:
            self.receive(values, beside)
        except Stale:
            return {"stale": True}
        return {}

    def delete(self, names: Iterable[str]) -> dict[str, Any]:
        self._check(names)
        for name in names:
            del self.space[name]
        return {}

    def keep(self) -> dict[str, Any]:
        """Keep the values that went back last here: the caller could not rebuild them."""
        return {"kept": {name: self.hold(value) for name, value in self.sent.items()}}

    def call(
        self,
        number: int,
        what: str | Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> dict[str, Any]:
        value = _held(number)
        if isinstance(what, str):
            return self._result(lambda: getattr(value, what)(*args, **kwargs))
        return self._result(lambda: what(value, *args, **kwargs))

    def eval(self, number: int, expression: str) -> dict[str, Any]:
        space = {**self.space, "_": _held(number)}
        return self._result(lambda: eval(expression, space))

    def packages(self) -> dict[str, Any]:
        return {"packages": installed()}

    def collect(self) -> dict[str, Any]:
        return self.left()

    def _result(self, run: Callable[[], object]) -> dict[str, Any]:
        try:
            value = run()
        except Exception as error:
            ours = error.__traceback__
            trace = ours and ours.tb_next and ours.tb_next.tb_next
            lines = traceback.format_exception(type(error), error, trace)
            raise remote_error(error, "".join(lines)) from None
        parcel = Parcel(self, Limits(), Graph())
        parcel.add("", value)
        return parcel.answer()

    def _check(self, names: Iterable[str]) -> None:
        missing = [name for name in names if name not in self.space or name in self._hidden]
        if missing:
            raise NotFound(f"The session has no variable {', '.join(map(repr, missing))}.")


_OPERATIONS: dict[str, Callable[..., dict[str, Any]]] = {
    "list": Variables.list,
    "get": Variables.get,
    "get_held": Variables.get_held,
    "put": Variables.put,
    "delete": Variables.delete,
    "keep": Variables.keep,
    "call": Variables.call,
    "eval": Variables.eval,
    "packages": Variables.packages,
    "collect": Variables.collect,
}


class Parcel:
    """What goes back of a session: what has changed, modules, and what is known of the rest.

    The value of an expression goes by the name "".
    """

    def __init__(self, variables: Variables, limits: Limits, graph: Graph) -> None:
        self._variables = variables
        self._limits = limits
        self._graph = graph
        self._values: dict[str, Any] = {}
        self._musts: set[str] = set()
        self._imports: dict[str, str] = {}

    def add(self, name: str, value: object, *, must: bool = False) -> None:
        """Put a value in; it is kept here where it is too large or can't travel."""
        if isinstance(value, types.ModuleType):
            self._imports[name] = value.__name__
            return
        self._values[name] = value
        if must:
            self._musts.add(name)

    def answer(self) -> dict[str, Any]:
        """``packed`` and ``shared``: the message of what has changed. ``imports``: name to module.
        ``kept``: what is known of what stays: its ``number``, ``type``, ``size`` (0 for what can't
        travel) and ``text``.
        """
        gone = self._graph.names - self._variables.space.keys()
        look = self._graph.look(self._values, gone)
        look.bound |= self._musts
        try:
            told, kept = tell_within(self._graph, look, self._limits, gone, self._musts)
        except CannotShip as error:
            raise CannotReturn(
                f"The cell ran, but {error.details.get('name')!r} stays: {error}"
            ) from None
        values = {name: self._values[name] for name in look.names() if name in self._values}
        stay = {name: values.pop(name) for name in kept}
        told.after.keep_apart({name: value for name, value in stay.items() if name})
        self._variables.sent_back(told, values, stay)
        self._variables.sent = values
        return {
            "packed": told.packed.plain_wire(),
            "shared": told.beside,
            "imports": self._imports,
            "kept": {name: self._variables.hold(stay[name], size) for name, size in kept.items()},
        }


def _is_widget(value: object) -> bool:
    widgets = sys.modules.get("ipywidgets")  # not loaded: there are none
    return widgets is not None and isinstance(value, widgets.Widget)


def _held(number: int) -> Any:
    try:
        return HELD[number]
    except KeyError:
        raise NotFound("The value is no longer held on the node.") from None


def _rough_size(value: object) -> int:
    size = attribute(value, "nbytes")
    return size if isinstance(size, int) else sys.getsizeof(value, 0)
