"""Shares the attached node with the notebook's front end, over a comm.

The comm is opened when the extension is loaded. So the front end knows that it is loaded, and says
which node the notebook has in its metadata; and it learns the name of this kernel's own session.
Cells that are in the queue already run before the front end can say this: for them the metadata is
read from the notebook's file, whose path Jupyter servers give to their kernels. From then on each
side tells the other of changes: a choice in the toolbar attaches a node here, and
``%remote_attach`` in a cell changes the toolbar. No gateway is asked: if the node does not exist,
the next cell that needs it says so.
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
#: The variable with the path of the notebook that a Jupyter server started the kernel for.
PATH_VARIABLE = "JPY_SESSION_NAME"


class Attached(msgspec.Struct):
    """The attached node, as in the notebook's metadata."""

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
    """A message of the front end: what to attach, or a question what is attached."""

    kind: Literal["attach", "ask"]
    attached: Attached | None = None


class Attachment:
    """The comm of one kernel.

    Parameters
    ----------
    places
        The places whose attached node is shared.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._comm: Any = None

    def open(self) -> None:
        """Tell the front end that the extension is loaded; nothing happens where none listens."""
        from comm import create_comm

        self._attach(_kept(os.environ.get(PATH_VARIABLE, "")))
        self._comm = create_comm(target_name=TARGET, data=self._state())
        self._comm.on_msg(self._receive)
        self._comm.on_close(lambda message: self._forget())
        self._places.on_attached = self._tell

    def close(self) -> None:
        """Close the comm, when the extension is unloaded. Safe to repeat."""
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
    """The attached node in the metadata of a notebook; None where there is none to read."""
    if not path.endswith(".ipynb"):
        return None
    try:
        notebook = msgspec.json.decode(Path(path).read_bytes(), type=_Notebook)
    except (OSError, msgspec.MsgspecError):
        return None  # the file was renamed, or its metadata are not ours: the front end tells
    return notebook.metadata.easyremote.attached
