"""Where a headless node of this machine is asked for a handover: a socket in the user's folder.

The node says who it is, whoever comes says that a handover is wanted, and the node says line by
line what becomes of it. The connection outlives the change of programs, so the newer one says how
it ended. Only the user who runs the node can connect. ``tests/node/handover/test_control.py``
proves it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import msgspec

import easyremote
from easyremote.errors import Busy, EasyRemoteError, NotFound, UsageError

__all__ = [
    "CAN_HAND_OVER",
    "FOLDER",
    "SUFFIX",
    "Asker",
    "Control",
    "Greeting",
    "Said",
    "ask",
    "end",
]

#: Only Linux has the fork server and the files in memory that a handover stands on.
CAN_HAND_OVER = sys.platform == "linux"
#: What asks for a handover.
WANTED = b"handover\n"
#: Seconds of silence after which a node that was asked is given up: more than each step may take.
SILENCE = 120.0
#: Seconds in which a node says who it is.
GREETING_LIMIT = 5.0
#: Where the sockets are, in the user's folder, and how their names end.
FOLDER, SUFFIX = "running", ".sock"

_log = logging.getLogger("easyremote.node")


class Greeting(msgspec.Struct):
    """Who is here."""

    node_id: str
    easyremote: str


class Said(msgspec.Struct):
    """A line about a handover; the last one says how it ended."""

    text: str
    is_last: bool = False
    has_failed: bool = False


class Asker:
    """The connection of somebody who has asked for a handover."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        #: Of the connection; it is there also when whoever has asked has gone.
        self.descriptor = os.dup(writer.get_extra_info("socket").fileno())

    async def say(self, said: Said) -> None:
        """Say something; whoever has asked may have gone."""
        with suppress(OSError):
            self._writer.write(_line(said))
            await self._writer.drain()

    def close(self) -> None:
        """Let go of the connection."""
        os.close(self.descriptor)


class Control:
    """Listens for those who ask for a handover of one node.

    Parameters
    ----------
    path
        Of the socket; no other node has it.
    node_id
        What the node says that it is.
    hand_over
        Does it. It only returns by an exception, which tells why there was none.
    """

    def __init__(
        self, path: Path, node_id: str, hand_over: Callable[[Asker], Awaitable[NoReturn]]
    ) -> None:
        self._path, self._node_id, self._hand_over = path, node_id, hand_over
        self._is_asked = False

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen. Where there can be no socket, the log says so, and all else goes on."""
        path = self._path
        try:
            sock = _bound(path)
        except OSError as error:
            _log.warning("%s can't be handed over to newer code: %s", self._node_id, error)
            yield
            return
        inode = path.stat().st_ino
        server = await asyncio.start_unix_server(self._meet, sock=sock)
        try:
            yield
        finally:
            server.close()  # and do not wait for those who are still connected
            with suppress(FileNotFoundError):
                if path.stat().st_ino == inode:  # else another node has taken the name
                    path.unlink()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(_line(Greeting(self._node_id, easyremote.__version__)))
            if await reader.readline() == WANTED:
                await self._serve(Asker(writer))
        except (OSError, ValueError):
            pass  # whoever came has gone, or says what nobody understands
        finally:
            writer.close()

    async def _serve(self, asker: Asker) -> None:
        try:
            if self._is_asked:
                raise Busy("The node is being handed over already.")
            self._is_asked = True
            try:
                await self._hand_over(asker)
            finally:
                self._is_asked = False
        except EasyRemoteError as error:
            _log.warning("The node was not handed over: %s", error)
            await asker.say(Said(str(error), is_last=True, has_failed=True))
        except Exception:  # a mistake of ours: the node goes on
            _log.exception("The node can't be handed over.")
            text = "The node can't be handed over, and goes on as before. Its log says why."
            await asker.say(Said(text, is_last=True, has_failed=True))
        finally:
            asker.close()


def ask(folder: Path, node_id: str | None) -> Iterator[str]:
    """Ask the node of this id for a handover, and yield what it says; without an id the only one.

    Raises
    ------
    NotFound
        There is no such node, or more than one of them.
    UsageError
        It was not handed over, and goes on as before; or it has ended.
    """
    if not CAN_HAND_OVER:
        raise UsageError("A node can be handed over on Linux only. Stop it, and start it again.")
    name = _chosen(_running(folder), node_id)
    with _connected(folder, name) as sock, sock.makefile("rb") as lines:
        greeting = msgspec.json.decode(lines.readline(), type=Greeting)
        sock.sendall(WANTED)
        sock.settimeout(SILENCE)
        try:
            for line in lines:
                said = msgspec.json.decode(line, type=Said)
                if said.has_failed:
                    raise UsageError(said.text)
                yield said.text
                if said.is_last:
                    return
        except (OSError, msgspec.DecodeError) as error:
            raise UsageError(
                f"Node {greeting.node_id!r} does not say what becomes of the handover: {error}. "
                "Its log may tell."
            ) from None
    raise UsageError(
        f"Node {greeting.node_id!r} ended during the handover, and its sessions with it. Its log "
        "tells why. Start it again."
    )


def end(descriptor: int, said: Said) -> None:
    """Say the last of a handover to whoever has asked the program before this one."""
    with socket.socket(fileno=descriptor) as sock, suppress(OSError):
        sock.setblocking(True)
        sock.sendall(_line(said))


def _line(said: Said | Greeting) -> bytes:
    return msgspec.json.encode(said) + b"\n"


def _chosen(running: dict[str, Greeting], node_id: str | None) -> str:
    found = [name for name, each in running.items() if node_id in (None, each.node_id)]
    if len(found) == 1:
        return found[0]
    ids = ", ".join(sorted(each.node_id for each in running.values())) or "none"
    if not found:
        wanted = "No node" if node_id is None else f"No node {node_id!r}"
        raise NotFound(
            f"{wanted} can be handed over here. Nodes that this user runs here by "
            f"`easyremote node`: {ids}. A node inside a program has to be stopped and started."
        )
    raise NotFound(f"Several nodes run here: {ids}. Name one of them, with --node-id.")


def _running(folder: Path) -> dict[str, Greeting]:
    """The nodes that run here, by the names of their sockets."""
    found = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        with suppress(OSError, msgspec.DecodeError):  # it has ended, or was killed
            with _connected(folder, path.name) as sock, sock.makefile("rb") as lines:
                found[path.name] = msgspec.json.decode(lines.readline(), type=Greeting)
    return found


@contextmanager
def _connected(folder: Path, name: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock, _short(folder) as short:
        sock.settimeout(GREETING_LIMIT)
        sock.connect(f"{short}/{name}")
        yield sock


def _bound(path: Path) -> socket.socket:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # of a node that was killed
    sock = socket.socket(socket.AF_UNIX)
    try:
        os.fchmod(sock.fileno(), 0o600)  # then the file is never anybody else's to connect to
        with _short(path.parent) as short:
            sock.bind(f"{short}/{path.name}")
    except OSError:
        sock.close()
        raise
    return sock


@contextmanager
def _short(folder: Path) -> Iterator[str]:
    """Another name of a folder: a socket's address has room for a hundred characters."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{number}"
    finally:
        os.close(number)
