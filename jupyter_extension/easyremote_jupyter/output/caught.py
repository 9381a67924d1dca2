"""What `ipywidgets.Output` catches in a notebook that runs without a user (nbclient, papermill).

While such a widget has the id of the running message, the front end puts what is shown into it, and
sends its new contents back. nbclient sends them on the socket on which it waits for the reply of
the cell, past asyncio, which then may not see that the reply has come: the run waits for the whole
of its time-out, also in a notebook without EasyRemote. So for cells on a node nothing is left to
catch: it is caught here, and the widget is told its contents.
``tests/jupyter_extension/output/test_caught.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from easyremote.events import (
    ClearOutput,
    Comm,
    CommMessage,
    Display,
    ErrorShown,
    Event,
    Stream,
    starts_or_stops_catching,
)

__all__ = ["Caught", "error_content"]


class Caught:
    """Keeps what is shown while a widget catches it.

    Parameters
    ----------
    say
        Tells the front end what a widget says.
    """

    def __init__(self, say: Callable[[Comm], None]) -> None:
        self._say = say
        #: The contents of each widget, as Jupyter saves outputs.
        self._contents: dict[str, list[dict[str, Any]]] = {}
        #: The widgets that catch, the innermost last; and those to be emptied by the next output.
        self._catching: list[str] = []
        self._emptied: set[str] = set()

    def take(self, event: Event) -> bool:
        """Take an event, if it is caught; or what starts or ends that."""
        if isinstance(event, CommMessage) and starts_or_stops_catching(event):
            self._start_or_stop(event)
            return True
        if not self._catching:
            return False
        comm_id = self._catching[-1]
        if isinstance(event, ClearOutput):
            self._emptied.add(comm_id)
            if not event.wait:
                self._empty(comm_id)
            return True
        output = _output(event)
        if output is not None:
            self._empty(comm_id)
            _add(self._contents[comm_id], output)
        return output is not None

    def finish(self) -> None:
        """Show what is caught still: the cell has ended in the middle."""
        while self._catching:
            self._show(self._catching.pop())

    def _start_or_stop(self, event: CommMessage) -> None:
        state = dict(event.data["state"])
        if state.pop("msg_id"):
            self._contents.setdefault(event.comm_id, [])
            self._catching.append(event.comm_id)
        elif event.comm_id in self._catching:
            self._catching.remove(event.comm_id)
            self._show(event.comm_id)
        if state:
            data = {**event.data, "state": state}
            self._say(CommMessage(event.comm_id, data, event.metadata, event.buffers))

    def _empty(self, comm_id: str) -> None:
        if comm_id in self._emptied:
            self._emptied.discard(comm_id)
            self._contents[comm_id].clear()

    def _show(self, comm_id: str) -> None:
        state = {"outputs": list(self._contents[comm_id])}
        self._say(CommMessage(comm_id, {"method": "update", "state": state, "buffer_paths": []}))


def _output(event: Event) -> dict[str, Any] | None:
    match event:
        case Stream():
            return {"output_type": "stream", "name": event.name, "text": event.text}
        case Display():
            kind = "display_data"
            return {"output_type": kind, "data": event.data, "metadata": event.metadata}
        case ErrorShown():
            return {"output_type": "error", **error_content(event)}
    return None


def _add(outputs: list[dict[str, Any]], new: dict[str, Any]) -> None:
    last = outputs[-1] if outputs else {}
    if new["output_type"] == "stream" and last.get("name") == new["name"]:
        last["text"] += new["text"]
    else:
        outputs.append(new)


def error_content(event: ErrorShown) -> dict[str, Any]:
    """An error with the fields of Jupyter's ``error`` message."""
    lines = event.traceback.splitlines()
    return {"ename": event.ename, "evalue": event.evalue, "traceback": lines}
