"""`ServedNode`: a node while it is served; all that happens on its event loop.

It owns the connection, and hands what comes to the one that runs registered functions
(``runner.py``) or to the one that runs shipped code (``session.py``).
``tests/node/test_compute_node.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import threading
import time

import easyremote
from easyremote.config import Settings
from easyremote.errors import EasyRemoteError
from easyremote.node.functions import Functions
from easyremote.node.processes.process import RelayedCall
from easyremote.node.processes.sessions import Sessions
from easyremote.node.registered.runner import Runner
from easyremote.node.resources import ResourceMeter
from easyremote.protocol.builtins import OF_NODES
from easyremote.protocol.callee import HeldCall
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    PROTOCOL,
    Delivered,
    Function,
    GoingAway,
    Gpu,
    Hello,
    Message,
    Register,
    Resume,
    Resumed,
    Watch,
    Welcome,
)
from easyremote.transport.dial import stay_connected

#: What runs at the time of SIGTERM has so many seconds to finish.
DRAIN_TIMEOUT = 60.0
#: Seconds between two measurements, while somebody looks.
METER_INTERVAL = 1.0
#: Seconds between two looks for processes that nobody uses.
TIDY_INTERVAL = 10.0
#: How many cells and shipped functions may be under way here; the processes are far fewer.
CODE_CONCURRENCY = 256

_log = logging.getLogger("easyremote.node")
_STARTED = time.monotonic()


class ServedNode:
    """A node that is being served: what happens on its event loop."""

    def __init__(
        self,
        settings: Settings,
        node_id: str,
        functions: Functions,
        *,
        slots: int,
        allow_code: bool,
        labels: tuple[str, ...],
        session_idle: float,
        allow_install: bool,
        online: threading.Event,
    ) -> None:
        self._settings = settings
        self._node_id = node_id
        self._functions = functions
        self._slots = slots
        self._allow_code = allow_code
        self._labels = labels
        self._session_idle = session_idle
        self._allow_install = allow_install
        self._processes = os.cpu_count() or 1
        self._machine: tuple[int, int, tuple[Gpu, ...]] = (0, 0, ())
        self._online = online
        self._instance = os.urandom(16)
        self.link: Link | None = None
        self.stopping = asyncio.Event()
        self._watched = asyncio.Event()
        self._runner = Runner(functions, slots, node_id)
        self._runner.bind(asyncio.get_running_loop())
        self._callee = self._runner.callee
        self._sessions = Sessions(
            self._processes, node_id, session_idle, allow_install=allow_install
        )
        self._named: tuple[list[HeldCall], list[RelayedCall]] = ([], [])

    async def run(self) -> None:
        meter = await asyncio.to_thread(ResourceMeter)
        self._machine = await asyncio.to_thread(meter.machine)
        tasks = [
            asyncio.create_task(stay_connected(self._settings, self)),
            asyncio.create_task(self.stopping.wait()),
            asyncio.create_task(self._measure(meter)),
            asyncio.create_task(self._tidy()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # what the gateway refused us for
            await self._drain()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._sessions.processes.close()
            self._runner.close()

    async def _drain(self) -> None:
        """Take nothing new, hand back what waits, and let finish what runs."""
        if self.link is not None:
            self.link.send(GoingAway("the node stops"))
        self._runner.hand_back()
        self._sessions.hand_back()
        deadline = time.monotonic() + DRAIN_TIMEOUT
        while self._callee.unfinished or self._sessions.unfinished:
            if time.monotonic() > deadline or self.link is None:
                return
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.05)  # the last outcomes leave

    # -- the connection's owner --------------------------------------------------------------------

    def hello(self) -> Hello:
        return Hello(
            PROTOCOL,
            "node",
            str(self._settings.key("node")),
            self._node_id,
            self._instance,
            time.monotonic() - _STARTED,
            {"easyremote": easyremote.__version__, "python": platform.python_version()},
        )

    def opened(self, link: Link, welcome: Welcome, now: float) -> None:
        self.link = link
        self.offer()
        held, relayed = self._callee.attach(link), self._sessions.attach(link)
        self._named = (held, relayed)
        both: list[HeldCall | RelayedCall] = [*held, *relayed]
        link.send(
            Resume(tuple(call.call_id for call in both), fences=tuple(call.fence for call in both))
        )
        self._online.set()
        _log.info("%s is online at %s", self._node_id, self._settings.gateway)

    def offer(self) -> None:
        """Say what the node has; again whenever that changes."""
        if self.link is None:
            return
        specs = [function.spec for function in self._functions]
        if self._allow_code:
            specs += [Function(name, max_concurrency=CODE_CONCURRENCY) for name in OF_NODES]
        policy = self._allow_code and self._allow_install, self._session_idle, self._processes
        self.link.send(Register(tuple(specs), self._slots, self._labels, *self._machine, *policy))

    def receive(self, message: Message, now: float) -> None:
        match message:
            case Resumed():
                held, relayed = self._named
                self._callee.resumed(held, message.calls[: len(held)])
                self._sessions.resumed(relayed, message.calls[len(held) :])
            case Delivered():
                for number in message.calls:
                    self._sessions.delivered(number)
                self._callee.receive(message)
            case Watch():
                (self._watched.set if message.on else self._watched.clear)()
            case _ if self._sessions.owns(message):
                self._sessions.receive(message)
            case _:
                self._callee.receive(message)

    def flush(self, now: float) -> None:
        """Nothing is kept back for a batch."""

    def closed(self, link: Link | None, error: EasyRemoteError | None, now: float) -> None:
        self.link = None
        self._watched.clear()
        if link is not None:
            self._callee.detach(link)
            self._sessions.detach(link)
        if error is not None:
            _log.warning("%s", error)

    # -- beside it ---------------------------------------------------------------------------------

    async def _measure(self, meter: ResourceMeter) -> None:
        """Send how the machine is doing, only while somebody looks."""
        while True:
            await self._watched.wait()
            await asyncio.sleep(METER_INTERVAL)
            reading = await asyncio.to_thread(meter.read)
            if self.link is not None and self._watched.is_set():
                self.link.send(reading)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(min(TIDY_INTERVAL, self._session_idle))
            self._sessions.processes.end_idle(time.monotonic())
