"""Failpoints: a gateway, a node or a program that breaks at one message, on demand.

``python -m tests.faults.failpoints FOLDER NAME MODULE ARGUMENTS...`` runs a module as ``python -m``
does, in a process that can be told where to break. The product knows nothing of it: this program
puts itself between a connection and its owner before the module starts, so a process that was
started in another way has no failpoint at all.

Four edges of a message, which stand around every write-ahead step of a call:

    taken     it has come, and nothing was done yet: the request is lost
    done      it was handled, and nothing of what that caused has left: the answer is lost
    sending   it is about to be queued for its peer
    sent      it has just left

At such an edge the process is killed (``kill``), stands still for a moment (``stall``), or loses
its connection and what was not sent on it (``cut``). ``sending.Dispatch=kill@3`` breaks at the
third DISPATCH. ``taken.Commit`` and ``done.Commit`` stand before and after a commit of a journal.
`Failpoints` is the test's end. ``tests/faults/test_failpoints.py`` proves it.
"""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import signal
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any
from weakref import WeakSet

from easyremote.gateway.table import CallTable
from easyremote.journal.journal import Journal
from easyremote.protocol.held import HeldCalls
from easyremote.protocol.link import Link
from easyremote.protocol.messages import Message
from easyremote.transport.connection import Channel, Connection
from easyremote.transport.websocket import WebSocketChannel

EDGES = ("taken", "done", "sending", "sent")
ACTIONS = ("kill", "stall", "cut")
#: Seconds that a process stands still.
STALL = 0.5
#: Seconds in which a process does what it is told.
ANSWER = 20.0
#: What this process knows of calls. A gateway freezes its objects, so that `gc` does not find them.
_tables: WeakSet[CallTable | HeldCalls[Any]] = WeakSet()


class Failpoints:
    """The failpoints of another process, which runs this module.

    Parameters
    ----------
    folder, name
        As that process was started with.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name

    @property
    def command(self) -> list[str]:
        """What starts the process; a module and its arguments follow."""
        return [sys.executable, "-m", "tests.faults.failpoints", str(self._folder), self._name]

    def arm(self, point: str) -> None:
        """Break at this point from now on, once."""
        self._hits.unlink(missing_ok=True)
        self._ask(f"arm {point}")

    def disarm(self) -> None:
        """Break nowhere."""
        self._ask("disarm")

    def cut(self) -> None:
        """Cut all connections now."""
        self._ask("cut")

    def held(self) -> Counter[str]:
        """The calls that the process has in its tables, by where they stand."""
        return Counter(json.loads(self._ask("held")))

    @property
    def was_reached(self) -> bool:
        """Whether the process has come upon the point."""
        return self._hits.exists()

    @property
    def _hits(self) -> Path:
        return self._folder / f"{self._name}.hit"

    def _ask(self, order: str) -> str:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(ANSWER)
            asked.connect(str(self._folder / f"{self._name}.sock"))
            asked.sendall(order.encode())
            asked.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: asked.recv(1 << 16), b"")).decode()
        assert not answer.startswith("!"), answer
        return answer


class _Point:
    """Where this process breaks: one point at a time."""

    def __init__(self, folder: Path, name: str) -> None:
        self._hits = folder / f"{name}.hit"
        self._armed: tuple[str, str, int] | None = None
        self._channels: list[WebSocketChannel] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def arm(self, text: str) -> None:
        where, _, what = text.partition("=")
        action, _, count = what.partition("@")
        assert where.split(".")[0] in EDGES and action in ACTIONS, text
        self._armed = where, action, int(count or 1)

    def disarm(self) -> None:
        self._armed = None

    def reach(self, edge: str, message: Message | str, channel: Channel | None = None) -> None:
        """Break, if this is the point.

        Raises
        ------
        ConnectionError
            The connection was cut while one of its messages was handled.
        """
        if self._armed is None:
            return
        where, action, left = self._armed
        name = message if isinstance(message, str) else type(message).__name__
        if where != f"{edge}.{name}":
            return
        if left > 1:
            self._armed = where, action, left - 1
            return
        self._armed = None
        self._hits.touch()
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif action == "stall":
            time.sleep(STALL)
        elif isinstance(channel, WebSocketChannel):
            cut(channel)
            if edge in ("taken", "done"):
                raise ConnectionError("a failpoint cut it")

    def watch(self, connection: Connection, channel: Channel) -> None:
        """Stand between a connection, its channel and its owner."""
        if isinstance(channel, WebSocketChannel):
            self._loop = asyncio.get_running_loop()
            self._channels.append(channel)
        taken, queue, send = connection._receive, connection.link.send, channel.send
        queued: list[str] = []

        def receive(message: Message, now: float) -> None:
            name = type(message).__name__
            self.reach("taken", message, channel)
            taken(message, now)
            self.reach("done", name, channel)

        def send_message(message: Message) -> None:
            self.reach("sending", message, channel)
            queue(message)
            if self._armed is not None:
                queued.append(type(message).__name__)

        def send_bytes(data: bytes) -> bool:
            gone = queued.copy()
            queued.clear()
            takes_more = send(data)
            for name in gone:
                self.reach("sent", name, channel)
            return takes_more

        connection._receive = receive
        connection.link.send = send_message  # type: ignore[method-assign]
        channel.send = send_bytes  # type: ignore[method-assign]

    def cut_all(self) -> None:
        """Cut all connections, in their own thread: an abort in another one may end the process."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cut_all)

    def _cut_all(self) -> None:
        for channel in self._channels:
            cut(channel)
        self._channels.clear()


def cut(channel: WebSocketChannel) -> None:
    """Break a connection, and throw away what was not sent on it."""
    writer = channel._ws._writer
    if writer is not None:
        writer.transport.abort()


def install(point: _Point) -> None:
    """Watch every connection that is made from now on, the journal, and what is known of calls."""
    make = Connection.__init__

    def made(self: Connection, link: Link, channel: Channel, *others: Any) -> None:
        make(self, link, channel, *others)
        point.watch(self, channel)

    Connection.__init__ = made  # type: ignore[method-assign]
    transact = Journal._transact

    def transacted(self: Journal, batch: Any) -> None:
        point.reach("taken", "Commit")
        transact(self, batch)
        point.reach("done", "Commit")

    Journal._transact = transacted  # type: ignore[method-assign]
    for kind in (CallTable, HeldCalls):
        _note_each(kind)


def _note_each(kind: Any) -> None:
    begin = kind.__init__

    def begun(self: Any, *args: Any, **named: Any) -> None:
        begin(self, *args, **named)
        _tables.add(self)

    kind.__init__ = begun


def held() -> Counter[str]:
    """The calls in the tables of this process, by where they stand."""
    found: Counter[str] = Counter()
    for table in list(_tables):
        calls: Any = table.by_id if isinstance(table, CallTable) else table._by_id
        found.update(f"{call.function} {call.state.value}" for call in list(calls.values()))
    return found


def obey(point: _Point, path: Path) -> None:
    """Do what a test says, for ever."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        while True:
            asked, _ = listening.accept()
            with asked:
                order = b"".join(iter(lambda asked=asked: asked.recv(4096), b"")).decode()
                asked.sendall(_do(point, order).encode())


def _do(point: _Point, order: str) -> str:
    word, _, rest = order.partition(" ")
    try:
        match word:
            case "arm":
                point.arm(rest)
            case "disarm":
                point.disarm()
            case "cut":
                point.cut_all()
            case "held":
                return json.dumps(held())
    except Exception as error:
        return f"! {error!r}"
    return "done"


def main() -> None:
    folder, name, module, *arguments = sys.argv[1:]
    point = _Point(Path(folder), name)
    install(point)
    threading.Thread(target=obey, args=(point, Path(folder) / f"{name}.sock"), daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
