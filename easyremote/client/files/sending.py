"""Sends files to a node's store, in pieces, before the code that uses them.

Files that are there are not sent again, and a transfer that was interrupted goes on where it
stopped. Few pieces are on their way at a time, so it needs little memory.
``tests/client/test_files.py`` proves it with real processes.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from easyremote.client.refs import size_text
from easyremote.errors import ProtocolError, UsageError
from easyremote.events import Progress
from easyremote.protocol.builtins import FILES, SEND
from easyremote.protocol.requests import (
    PIECE_LIMIT,
    AskForFiles,
    FilesAnswer,
    FilesRequest,
    FileState,
    FileStates,
    SendRequest,
    WritePiece,
)
from easyremote.serialize.files import Content, File

if TYPE_CHECKING:
    from easyremote.client.executor import RemoteExecutor
    from easyremote.client.job import RemoteJob

__all__ = ["Away", "FilePeer", "TransferInterrupted", "bar", "missing", "name_there"]
__all__ += ["named_files", "printable", "send"]

#: Bytes of one piece, and how many are on their way at a time.
PIECE = PIECE_LIMIT
AHEAD = 3
#: Bytes above which a transfer has a bar.
SHOWN_MIN = 1_000_000
#: How often a file is sent anew that arrived as something else.
ATTEMPTS = 3

#: Takes a `Progress`.
Show = Callable[[Progress], object]


class FilePeer(NamedTuple):
    """The holder of files on a node: a session, or the store of this key where none is named."""

    executor: RemoteExecutor
    node_id: str
    session: str

    def send(self, request: SendRequest) -> RemoteJob[FileStates]:
        """Bring a file, or ask for those that came before."""
        return self.executor.ask(SEND, request, node_id=self.node_id, session=self.session)

    def fetch(self, request: FilesRequest) -> RemoteJob[FilesAnswer]:
        """Ask for the files of the session."""
        return self.executor.ask(FILES, request, node_id=self.node_id, session=self.session)


class Away(NamedTuple):
    """A file of which the node has nothing, or only a part."""

    file: File
    content: Content
    there: int

    @property
    def left(self) -> int:
        """Bytes that are still to be sent."""
        return self.content.size - self.there


class TransferInterrupted(KeyboardInterrupt):
    """A KeyboardInterrupt that tells how much of a file was transferred."""

    def _render_traceback_(self) -> list[str]:
        return [f"KeyboardInterrupt: {self}"]


TransferInterrupted.__name__ = TransferInterrupted.__qualname__ = "KeyboardInterrupt"


def named_files(paths: Iterable[str | os.PathLike[str]]) -> dict[str, File]:
    """Files by their names in the session's folder; see `name_there`.

    Raises
    ------
    UsageError
        There is no such file, or two would have one name.
    """
    found: dict[str, File] = {}
    for path in paths:
        file, name = File(path), name_there(path)
        if found.setdefault(name, file) != file:
            raise UsageError(
                f"Two files would be called {name} in the session: send one at a time."
            )
    return found


def name_there(path: str | os.PathLike[str]) -> str:
    """A file's name in the session's folder.

    It is the path as it is written, or its last part where it leads out of the current folder.
    """
    name = os.path.normpath(os.fspath(path))
    leads_out = os.path.isabs(name) or name.startswith((os.pardir + os.sep, "~"))
    return os.path.basename(name) if leads_out else name.replace(os.sep, "/")


def printable(name: str) -> str:
    """A name that a node gave, without what a terminal would obey."""
    return name if name.isprintable() else ascii(name)


def missing(peer: FilePeer, files: Iterable[File]) -> list[Away]:
    """The files among these that are not on the node.

    Raises
    ------
    UsageError
        There is no room for them.
    """
    contents = {file.content: file for file in files}
    if not contents:
        return []
    states = peer.send(AskForFiles(tuple(contents))).result().states
    if len(states) != len(contents):
        raise ProtocolError("A node told of other files than those that it was asked about.")
    return [
        Away(file, content, there)
        for (content, file), (there, is_whole) in zip(contents.items(), states, strict=True)
        if not is_whole
    ]


def send(peer: FilePeer, away: Iterable[Away], show: Show) -> None:
    """Bring files to the node.

    Parameters
    ----------
    show
        Called with the states of each file's bar.

    Raises
    ------
    UsageError
        A file changes while it is sent, or the node has no room for it.
    """
    for each in away:
        _send(peer, each, show)


def _send(peer: FilePeer, away: Away, show: Show) -> None:
    file, content, there = away
    try:
        moved = bar(f"{file.name} to {peer.node_id}", content.size, there, show)
        for _ in range(ATTEMPTS):
            with open(file, "rb") as opened:
                for state in _states(peer, opened, content, there):
                    there, is_whole = state
                    moved(there)
                    if is_whole:
                        return
            if file.read_again() != content:
                raise UsageError(f"{file.name} has changed while it was sent. Run it again.")
    except KeyboardInterrupt:
        raise TransferInterrupted(
            f"{size_text(there)} of the {size_text(content.size)} of {file.name} are on "
            f"{peer.node_id}; the next run sends the rest."
        ) from None
    except FileNotFoundError:
        raise UsageError(f"{file.name} was removed while it was sent.") from None
    raise UsageError(f"{file.name} does not arrive as it is sent: is the node's disk in order?")


def _states(
    peer: FilePeer, opened: BinaryIO, content: Content, there: int
) -> Iterator[tuple[int, bool]]:
    """Send the rest of a file; after each piece, how much of it the node has."""
    under_way: deque[RemoteJob[FileStates]] = deque()
    for offset in range(there, max(content.size, 1), PIECE):  # one piece for no bytes
        opened.seek(offset)
        data = opened.read(min(PIECE, content.size - offset))
        under_way.append(peer.send(WritePiece(content, offset, data)))
        if len(under_way) == AHEAD:
            yield _state(under_way.popleft())
    while under_way:
        yield _state(under_way.popleft())


def _state(written: RemoteJob[FileStates]) -> FileState:
    states = written.result().states
    if len(states) != 1:
        raise ProtocolError("A node told of other files than the one that it was sent.")
    return states[0]


def bar(
    what: str, total: int, start: int, show: Show, *, leave: bool = True
) -> Callable[[int], None]:
    """Show a bar for a transfer; returns the function that moves the bar to so many bytes.

    Without `leave` the bar goes away at the end.
    """
    began = time.monotonic()

    def move(there: int) -> None:
        elapsed = time.monotonic() - began
        rate = (there - start) / elapsed if elapsed and there > start else None
        show(
            Progress(
                id=what,
                position=0,
                desc=what,
                n=there,
                total=total,
                unit="B",
                rate=rate,
                elapsed=elapsed,
                eta=(total - there) / rate if rate else None,
                state="done" if there >= total else "running",
                leave=leave,
                scaled=True,
            )
        )

    if total - start < SHOWN_MIN:
        return lambda there: None
    move(start)
    return move
