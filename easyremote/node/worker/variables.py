"""The variables of a session, inside its process: which arrive, which go back, which stay.

What a cell assigned goes back if it is small enough; the rest stays, and the caller gets a number
for it, by which a later request finds the value (`easyremote.serialize.refs.HELD`) until it says
that the number is no longer used. ``serve`` answers the requests beside cells (``$session``):
list, get, put, delete, and calls of what stayed. ``tests/node/worker/test_variables.py`` proves it.
"""

from __future__ import annotations

import itertools
import sys
import traceback
import types
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

import msgspec

from easyremote.errors import CannotReturn, CannotShip, NotFound
from easyremote.guarded import attribute
from easyremote.node.outcomes import remote_error
from easyremote.node.worker.packages import installed
from easyremote.protocol.requests import DeleteVariable, ListVariables, VariablesRequest
from easyremote.protocol.requests import Variables as PlainVariables
from easyremote.serialize.blobs import Packed, Wire, pack, unpack
from easyremote.serialize.refs import HELD
from easyremote.serialize.values import Buffer

__all__ = ["Limits", "Parcel", "Variables"]

#: Values up to this size are compared with what the caller knows, before they are overwritten.
COMPARED_MAX = 1_000_000
#: Characters of a value that stays, as it is shown on the other side.
TEXT_MAX = 500

Blob = Callable[[bytes, Buffer | None], Buffer]


class Limits(NamedTuple):
    """The most bytes of one value, and of all values of a cell, that go back unasked."""

    value: float = 16_000_000
    cell: float = 64_000_000


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
        #: What the caller knows of each name: a digest, or None for a value that only is here.
        self._known: dict[str, bytes | None] = {}
        #: What the last cell left to bring back, should it have failed.
        self.left: Callable[[], dict[str, Any]] = dict
        #: What went back last.
        self.sent: dict[str, Any] = {}

    # -- in

    def receive(self, wire: Wire, released: Iterable[int] = ()) -> list[str]:
        """Set what arrived; the names whose values here had changed unseen, and are overwritten.

        Raises
        ------
        BlobMissing
            Something that was left out is not here; nothing was set.
        """
        before = frozenset(self.space)  # functions that arrive bring globals of their own
        values: dict[str, Any] = unpack(wire, self._blob)
        changed = [name for name in values if name in before and self._has_changed(name)]
        self.space.update(values)
        for name, value in values.items():
            self._known[name] = _digest(value)
        for number in released:
            HELD.pop(number, None)
        return changed

    def _has_changed(self, name: str) -> bool:
        value = self.space[name]
        if name in self._hidden or callable(value) or isinstance(value, types.ModuleType):
            return False
        known = self._known.get(name, b"")
        return known is not None and _digest(value) != known

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

    def offer(self, names: Iterable[str], limits: Limits) -> Parcel:
        """What goes back of a cell that may have assigned `names`."""
        parcel = Parcel(self, limits)
        for name in sorted(set(names)):
            if name in self.space:
                parcel.add(name, self.space[name])
        return parcel

    def bring(self, names: Iterable[str]) -> Parcel:
        """What must go back.

        Raises
        ------
        CannotReturn
            It can't.
        """
        parcel = Parcel(self, Limits(float("inf"), float("inf")))
        for name in names:
            if name not in self.space:
                raise CannotReturn(f"The cell ran, but left no {name!r} to bring back.")
            parcel.add(name, self.space[name], must=True)
        return parcel

    def gone(self, written: Iterable[str]) -> list[str]:
        """Names that are not here: of a cell's, and of what the caller once sent or got."""
        return sorted({*written, *self._known} - self.space.keys())

    def note_sent(self, values: dict[str, Any], kept: Collection[str]) -> None:
        """The caller knows these values now."""
        self._known |= {name: _digest(value) for name, value in values.items()}
        self._known |= dict.fromkeys(kept)

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

    def serve_plain(self, request: VariablesRequest) -> PlainVariables:
        """Answer who does not unpickle what a session says."""
        match request:
            case ListVariables():
                return msgspec.convert(self.list(), PlainVariables)
            case DeleteVariable(name):
                self.delete([name])
                return PlainVariables({})

    def list(self) -> dict[str, Any]:
        shown = {
            name: self._described(value)
            for name, value in self.space.items()
            if name not in self._hidden
            and not name.startswith("_")
            and not isinstance(value, types.ModuleType)
        }
        return {"variables": shown}

    def get(self, names: Iterable[str]) -> dict[str, Any]:
        self._check(names)
        return self.bring(names).answer()

    def get_held(self, number: int) -> dict[str, Any]:
        return {"packed": _packed({"": _held(number)}).plain_wire()}

    def put(self, values: Wire) -> dict[str, Any]:
        return {"overwritten": self.receive(values)}

    def delete(self, names: Iterable[str]) -> dict[str, Any]:
        self._check(names)
        for name in names:
            del self.space[name]
        return {}

    def keep(self) -> dict[str, Any]:
        """Keep the values that went back last here: the caller could not rebuild them."""
        kept = {name: self.hold(value) for name, value in self.sent.items()}
        self.note_sent({}, [name for name in kept if name])
        return {"kept": kept}

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
        parcel = Parcel(self, Limits())
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
    """What goes back of a session: values, modules by name, and what is known of the rest.

    The value of an expression goes by the name "".
    """

    def __init__(self, variables: Variables, limits: Limits) -> None:
        self._variables = variables
        self._limits = limits
        self._left = limits.cell
        self._values: dict[str, Any] = {}
        self._imports: dict[str, str] = {}
        self._kept: dict[str, dict[str, Any]] = {}

    def add(self, name: str, value: object, *, must: bool = False) -> None:
        """Put a value in, or keep it here where it is too large or can't travel."""
        if isinstance(value, types.ModuleType):
            self._imports[name] = value.__name__
            return
        size = 0
        try:
            size = _size(value, self._limits.value)
        except CannotShip as error:
            if must:
                raise CannotReturn(f"The cell ran, but {name!r} stays: {error}") from None
        if 0 < size <= min(self._limits.value, self._left):
            self._values[name] = value
            self._left -= size
        else:
            self._kept[name] = self._variables.hold(value, size)

    def answer(self) -> dict[str, Any]:
        """``packed``: the values. ``imports``: name to module. ``kept``: what is known of what
        stays: its ``number``, ``type``, ``size`` (0 for what can't travel) and ``text``.
        """
        named = {name: value for name, value in self._values.items() if name}
        self._variables.note_sent(named, [name for name in self._kept if name])
        self._variables.sent = self._values
        return {
            "packed": _packed(self._values).plain_wire(),
            "imports": self._imports,
            "kept": self._kept,
        }


def _is_widget(value: object) -> bool:
    widgets = sys.modules.get("ipywidgets")  # not loaded: there are none
    return widgets is not None and isinstance(value, widgets.Widget)


def _packed(values: dict[str, Any]) -> Packed:
    try:
        return pack(values)
    except CannotShip as error:
        raise CannotReturn(f"It stays on the node: {error}") from None


def _held(number: int) -> Any:
    try:
        return HELD[number]
    except KeyError:
        raise NotFound("The value is no longer held on the node.") from None


def _digest(value: object) -> bytes | None:
    """A digest that tells small values apart; None for a value that is not compared."""
    try:
        packed = pack({"": value})
    except CannotShip:
        return None
    return packed.digest if packed.size <= COMPARED_MAX else None


def _size(value: object, limit: float) -> int:
    """The bytes that `value` takes on the way back."""
    size = attribute(value, "nbytes", 0)  # an array says so without being serialised
    if isinstance(size, int) and size > limit:
        return size
    return pack({"": value}).size


def _rough_size(value: object) -> int:
    size = attribute(value, "nbytes")
    return size if isinstance(size, int) else sys.getsizeof(value, 0)
