"""Sends files to a node's store, in pieces, before what uses them.

What is there is not sent again; what was interrupted goes on where it stopped. Memory is bounded:
a few pieces are on their way at a time. ``tests/client/test_files.py`` proves it with real
processes.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import msgspec

from easyremote.client.refs import size_text
from easyremote.errors import UsageError
from easyremote.events import Progress
from easyremote.protocol.builtins import SEND
from easyremote.serialize.files import Content, File
from easyremote.serialize.values import Dumped

if TYPE_CHECKING:
    from easyremote.client.client import Client
    from easyremote.client.job import RemoteJob

__all__ = ["Away", "Channel", "TransferInterrupted", "bar", "missing", "name_there"]
__all__ += ["named_files", "send"]

#: Bytes of one piece, and how many are on their way at a time.
PIECE = 4_000_000
AHEAD = 3
#: What takes longer than an instant has a bar.
SHOWN_MIN = 1_000_000
#: How often a file is sent anew that arrived as something else.
ATTEMPTS = 3

#: Takes a `Progress`.
Show = Callable[[Progress], object]


class Channel(NamedTuple):
    """To whom a client speaks of files; no session: any process for shipped functions."""

    client: Client
    node_id: str
    session: str

    def start(self, function: str, *request: Any) -> RemoteJob[Any]:
        """Ask for something; see `easyremote.node.worker.file_calls`."""
        body = msgspec.msgpack.encode(request)
        dumped = Dumped([body], len(body))
        return self.client.start(function, dumped, node_id=self.node_id, session=self.session)


class Away(NamedTuple):
    """A file that isn't on the node, or only a part of it."""

    file: File
    content: Content
    there: int

    @property
    def left(self) -> int:
        """Bytes that are to be sent."""
        return self.content.size - self.there


class TransferInterrupted(KeyboardInterrupt):
    """A KeyboardInterrupt that says how far a file has come."""

    def _render_traceback_(self) -> list[str]:
        return [f"KeyboardInterrupt: {self}"]


TransferInterrupted.__name__ = TransferInterrupted.__qualname__ = "KeyboardInterrupt"


def named_files(paths: Iterable[str | os.PathLike[str]]) -> dict[str, File]:
    """Files by the names that they have in the session's folder; see `name_there`.

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
    """What a file is called in the session's folder.

    That is the path as it is written; the last part of it, where it leads out of this folder.
    """
    name = os.path.normpath(os.fspath(path))
    leads_out = os.path.isabs(name) or name.startswith((os.pardir + os.sep, "~"))
    return os.path.basename(name) if leads_out else name.replace(os.sep, "/")


def missing(channel: Channel, files: Iterable[File]) -> list[Away]:
    """Those of the files that are not on the node.

    Raises
    ------
    UsageError
        There is no room for them.
    """
    contents = {file.content: file for file in files}
    if not contents:
        return []
    states = channel.start(SEND, "have", list(contents)).result()
    return [
        Away(file, content, there)
        for (content, file), (there, is_whole) in zip(contents.items(), states, strict=True)
        if not is_whole
    ]


def send(channel: Channel, away: Iterable[Away], show: Show) -> None:
    """Bring files to the node.

    Parameters
    ----------
    show
        Takes the states of a bar for each.

    Raises
    ------
    UsageError
        One changes while it is sent, or there is no room for it.
    """
    for each in away:
        _send(channel, each, show)


def _send(channel: Channel, away: Away, show: Show) -> None:
    file, content, there = away
    try:
        moved = bar(f"{file.name} to {channel.node_id}", content.size, there, show)
        for _ in range(ATTEMPTS):
            with open(file, "rb") as opened:
                for state in _states(channel, opened, content, there):
                    there, is_whole = state
                    moved(there)
                    if is_whole:
                        return
            if file.read_again() != content:
                raise UsageError(f"{file.name} has changed while it was sent. Run it again.")
    except KeyboardInterrupt:
        raise TransferInterrupted(
            f"{size_text(there)} of the {size_text(content.size)} of {file.name} are on "
            f"{channel.node_id}; the next run sends the rest."
        ) from None
    except FileNotFoundError:
        raise UsageError(f"{file.name} was removed while it was sent.") from None
    raise UsageError(f"{file.name} does not arrive as it is sent: is the node's disk in order?")


def _states(
    channel: Channel, opened: BinaryIO, content: Content, there: int
) -> Iterator[tuple[int, bool]]:
    """Send the rest of a file; how much is there, and whether that is all, after each piece."""
    under_way: deque[RemoteJob[Any]] = deque()
    for offset in range(there, max(content.size, 1), PIECE):  # one piece for no bytes
        opened.seek(offset)
        data = opened.read(min(PIECE, content.size - offset))
        under_way.append(channel.start(SEND, "write", *content, offset, data))
        if len(under_way) == AHEAD:
            yield under_way.popleft().result()
    while under_way:
        yield under_way.popleft().result()


def bar(what: str, total: int, start: int, show: Show) -> Callable[[int], None]:
    """A bar for a transfer; the function that moves it to so many bytes."""
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
                leave=True,
                scaled=True,
            )
        )

    if total - start < SHOWN_MIN:
        return lambda there: None
    move(start)
    return move
