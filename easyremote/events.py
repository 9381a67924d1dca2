"""What a running call shows: one Struct for each kind of event.

The node makes events, the notebook, the panel and a terminal draw them. An EVENT message of the
wire carries a msgpack array of them; each is a map with its ``type``, named and filled as Jupyter's
message of that name (https://jupyter-client.readthedocs.io/en/stable/messaging.html).
``tests/test_events.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from easyremote.packing import UNREADABLE, pack

__all__ = [
    "ClearOutput",
    "Comm",
    "CommClose",
    "CommMessage",
    "CommOpen",
    "Display",
    "DisplayUpdate",
    "ErrorShown",
    "Event",
    "InputRequest",
    "Progress",
    "Stream",
    "StreamName",
    "Value",
    "decode",
    "encode",
    "note_catching",
    "starts_or_stops_catching",
    "values_set",
]


StreamName = Literal["stdout", "stderr"]


class Stream(msgspec.Struct, tag_field="type", tag="stream"):
    """Text that was printed."""

    name: StreamName
    text: str


class Display(msgspec.Struct, tag_field="type", tag="display_data"):
    """Something that was displayed: its forms by media type."""

    data: dict[str, Any]
    metadata: dict[str, Any] = {}
    transient: dict[str, Any] = {}


class DisplayUpdate(msgspec.Struct, tag_field="type", tag="update_display_data"):
    """New content for a display that was shown before; ``transient`` names it."""

    data: dict[str, Any]
    metadata: dict[str, Any] = {}
    transient: dict[str, Any] = {}


class Value(msgspec.Struct, tag_field="type", tag="execute_result"):
    """How the value of a cell's last expression looks."""

    data: dict[str, Any]
    metadata: dict[str, Any] = {}
    count: int = 0


class ClearOutput(msgspec.Struct, tag_field="type", tag="clear_output"):
    """Remove what was shown; with ``wait``, when the next output comes."""

    wait: bool = False


class ErrorShown(msgspec.Struct, tag_field="type", tag="error"):
    """An error that was shown without ending the call."""

    ename: str
    evalue: str
    traceback: str


class InputRequest(msgspec.Struct, tag_field="type", tag="input_request"):
    """The code asks its user; the answer names the ``number``."""

    number: int
    prompt: str = ""
    password: bool = False


class Progress(msgspec.Struct, tag_field="type", tag="progress"):
    """One state of one progress bar.

    Parameters
    ----------
    id
        The same for all states of one bar.
    position
        0 for the outermost of the bars that are open at the same time.
    rate
        Units a second; None while nothing is known.
    elapsed, eta
        Seconds since its start, and seconds to go; None where that is not known.
    leave
        Whether the bar stays when it is done.
    postfix
        What tqdm shows behind the bar (``loss=0.12``).
    scaled
        Whether numbers are scaled (``1.2M``).
    """

    id: str
    position: int
    desc: str
    n: int | float
    total: int | float | None
    unit: str
    rate: float | None
    elapsed: float
    eta: float | None
    state: Literal["running", "done", "failed"]
    leave: bool
    postfix: str = ""
    scaled: bool = False


class CommOpen(msgspec.Struct, tag_field="type", tag="comm_open"):
    """A widget opens its comm; ``process`` is the session's process that it lives in."""

    comm_id: str
    data: Any = {}
    metadata: dict[str, Any] = {}
    buffers: list[bytes] = []
    target_name: str = ""
    target_module: str | None = None
    process: str = ""


class CommMessage(msgspec.Struct, tag_field="type", tag="comm_msg"):
    """A widget says something."""

    comm_id: str
    data: Any = {}
    metadata: dict[str, Any] = {}
    buffers: list[bytes] = []


class CommClose(msgspec.Struct, tag_field="type", tag="comm_close"):
    """A widget closes its comm."""

    comm_id: str
    data: Any = {}
    metadata: dict[str, Any] = {}
    buffers: list[bytes] = []


Comm = CommOpen | CommMessage | CommClose
Event = (
    Stream
    | Display
    | DisplayUpdate
    | Value
    | ClearOutput
    | ErrorShown
    | InputRequest
    | Progress
    | CommOpen
    | CommMessage
    | CommClose
)

_decoder: msgspec.msgpack.Decoder[list[Event]] = msgspec.msgpack.Decoder(list[Event])
_one: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)
_each: msgspec.msgpack.Decoder[list[msgspec.Raw]] = msgspec.msgpack.Decoder(list[msgspec.Raw])


encode = pack


def decode(body: bytes | bytearray | memoryview) -> Sequence[Event]:
    """The events of one EVENT message; those that this version does not know are left out."""
    try:
        return _decoder.decode(body)
    except UNREADABLE:
        return _known(body)


def _known(body: bytes | bytearray | memoryview) -> list[Event]:
    known = []
    try:
        for raw in _each.decode(body):
            try:
                known.append(_one.decode(raw))
            except UNREADABLE:  # a newer peer made it
                continue
    except UNREADABLE:
        pass  # not a list of events at all: there is nothing to show
    return known


def values_set(event: Comm) -> frozenset[str]:
    """The names of a widget's values that a message sets; none where it does more than that."""
    state = _state(event)
    if not state or "msg_id" in state or event.data.get("method") != "update":
        return frozenset()
    return frozenset(state).union(path[0] for path in event.data.get("buffer_paths", ()))


def note_catching(event: Comm, catching: set[str]) -> None:
    """Keep the set of the widgets (`ipywidgets.Output`) that catch what is shown, by comm id."""
    if _state(event).get("msg_id"):
        catching.add(event.comm_id)
    elif starts_or_stops_catching(event):
        catching.discard(event.comm_id)


def starts_or_stops_catching(event: Comm) -> bool:
    """Whether an `ipywidgets.Output` starts or stops to catch what is shown."""
    return "msg_id" in _state(event)


def _state(event: Comm) -> dict[str, Any]:
    """What a comm's message sets, if the comm is that of a widget."""
    data = event.data if isinstance(event, CommMessage) else None
    state = data.get("state") if isinstance(data, dict) else None
    return state if isinstance(state, dict) else {}
