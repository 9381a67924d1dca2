"""What is attached, shared with the notebook's front end over a comm.

The comm is opened as soon as the extension is loaded, so a front end knows that it is, and says
which node the notebook keeps in its metadata; it is told, too, which session on a node is this
kernel's own. Cells that wait in the queue already come before
that: for them it is read from the notebook's file, which Jupyter servers name to their kernels.
From then on each side tells the other: a choice in the toolbar attaches here, ``%remote_attach`` in
a cell shows in the toolbar. Nothing is run, and no gateway is asked: that a node is not there is
said by the next cell that needs it.
``tests/jupyter_extension/places/test_attachment.py`` proves it in a real kernel.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import msgspec

from easyremote.client.session import own_name
from easyremote_jupyter.magics.options import Options
from easyremote_jupyter.places.places import Places

__all__ = ["TARGET", "Attachment"]

TARGET = "easyremote"
#: Where Jupyter servers say which notebook a kernel was started for.
PATH_VARIABLE = "JPY_SESSION_NAME"


class Attached(msgspec.Struct):
    """As the notebook's metadata have it."""

    node: str
    session: str = ""
    where: str = ""
    #: Whether cells without a magic run there, too.
    auto: bool = False


class _Kept(msgspec.Struct, frozen=True):
    attached: Attached | None = None


class _Metadata(msgspec.Struct):
    easyremote: _Kept = _Kept()


class _Notebook(msgspec.Struct):
    metadata: _Metadata


class Choice(msgspec.Struct):
    """From the front end: what to attach; or, to be told what is."""

    kind: Literal["attach", "ask"]
    attached: Attached | None = None


class Attachment:
    """The comm of one kernel.

    Parameters
    ----------
    places
        Whose attachment is shared.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._comm: Any = None

    def open(self) -> None:
        """Tell the front end, if there is one that listens, that the extension is loaded."""
        from comm import create_comm

        self._attach(_kept(os.environ.get(PATH_VARIABLE, "")))
        self._comm = create_comm(target_name=TARGET, data=self._state())
        self._comm.on_msg(self._receive)
        self._comm.on_close(lambda message: self._forget())
        self._places.on_attached = self._tell

    def close(self) -> None:
        """The extension is unloaded. Safe to repeat."""
        if self._comm is not None:
            self._comm.close()
        self._forget()

    def _forget(self) -> None:
        self._comm = None
        self._places.on_attached = None

    def _receive(self, message: dict[str, Any]) -> None:
        choice = msgspec.convert(message["content"]["data"], Choice)
        if choice.kind == "ask":
            self._tell()
        else:
            self._attach(choice.attached)

    def _attach(self, wanted: Attached | None) -> None:
        if wanted is None:
            self._places.attach(None)
        else:
            target = Options(node=wanted.node, session=wanted.session, where=wanted.where)
            self._places.attach(target, auto=wanted.auto)

    def _tell(self) -> None:
        self._comm.send(self._state())

    def _state(self) -> dict[str, Any]:
        target, auto = self._places.attached, self._places.is_auto
        attached = target and Attached(target.node, target.session, target.where, auto)
        return {"attached": msgspec.to_builtins(attached), "session": own_name()}


def _kept(path: str) -> Attached | None:
    """What the notebook with this path keeps; None also where that can't be read."""
    if not path.endswith(".ipynb"):
        return None
    try:
        notebook = msgspec.json.decode(Path(path).read_bytes(), type=_Notebook)
    except (OSError, msgspec.MsgspecError):
        return None  # renamed meanwhile, or somebody else's metadata: the front end will say
    return notebook.metadata.easyremote.attached
