"""`Process`: one process that runs shipped code, from its start to its end, and its link.

What is sent to it, and when, is decided in ``session.py``; what runs inside is ``worker.py``.
``tests/client/test_remote.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from easyremote.config import GATEWAY_VARIABLE, KEY_VARIABLE
from easyremote.errors import EasyRemoteError
from easyremote.protocol.builtins import VARIABLES
from easyremote.protocol.callee import Outcome
from easyremote.protocol.link import Link
from easyremote.protocol.messages import Dispatch, Message
from easyremote.protocol.streams import Relay
from easyremote.transport.connection import Connection
from easyremote.transport.pipe import PipeChannel

#: Between SIGTERM and SIGKILL, in seconds.
TERMINATE_TIMEOUT = 2.0

_log = logging.getLogger("easyremote.node")


@dataclass(slots=True, eq=False)
class RelayedCall:
    """One call between the gateway and a process."""

    number: int
    call_id: bytes
    fence: int
    function: str
    owner: str
    session: str
    #: Seconds that it may run.
    timeout: float
    dispatch: Dispatch
    arguments: Relay | None
    process: Process | None = None
    inner: int = 0
    is_finished: bool = False
    is_running: bool = False
    #: An outcome that the supervisor made (the process died, the time was up).
    outcome: Outcome | None = None
    #: What it will be, instead of the interrupt that the process reports.
    stopping: Outcome | None = None
    timers: list[asyncio.TimerHandle] = field(default_factory=list)

    @property
    def is_use(self) -> bool:
        """Whether its session is used by it, and not only looked at."""
        return self.function != VARIABLES


class Process:
    """One process that runs shipped code, and its link."""

    def __init__(self, owner: str, session: str, environment: Mapping[str, str]) -> None:
        self.owner, self.session = owner, session
        self._environment = environment
        self.link = Link(time.monotonic())
        self.popen: subprocess.Popen[bytes] | None = None
        self.task: asyncio.Task[None] | None = None
        #: Waiting for the process to be free, the running one first.
        self.queue: deque[RelayedCall] = deque()
        self.calls: dict[int, RelayedCall] = {}
        self.last_used = time.monotonic()
        #: Where the newest call came from that says so.
        self.origin = ""
        self.is_dead = False
        #: Signals that came while it was being started.
        self._early: list[int] = []

    @property
    def is_busy(self) -> bool:
        return bool(self.queue)

    def signal(self, number: int) -> None:
        """Signal the process (SIGINT) or its whole group (the rest), as soon as it is there."""
        if self.popen is None:
            self._early.append(number)
            return
        if self.popen.poll() is not None:
            return
        try:
            if number == signal.SIGINT:
                os.kill(self.popen.pid, number)
            else:
                os.killpg(self.popen.pid, number)
        except ProcessLookupError:
            pass  # it ended in this moment

    async def serve(self, receive: Callable[[Process, Message], None]) -> int:
        """Start it and serve its link until it has ended; its exit code."""
        ours, theirs = socket.socketpair()
        environment = {
            name: value
            for name, value in (os.environ | self._environment).items()
            if name not in (KEY_VARIABLE, GATEWAY_VARIABLE)
        }
        self.popen = await asyncio.to_thread(
            _start_uninterrupted,
            [sys.executable, "-m", "easyremote.node.worker", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        theirs.close()
        for number in self._early:
            self.signal(number)
        self.link.open(time.monotonic())
        channel = await PipeChannel.open(ours)
        connection = Connection(self.link, channel, lambda message, now: receive(self, message))
        try:
            await connection.run()
        except EasyRemoteError:
            pass  # it broke the protocol: treated as its death, by who waits for it
        except Exception:
            _log.exception("InternalError in the link to a process; please report this.")
        finally:
            exit_code = await self._reap()
        return exit_code

    async def _reap(self) -> int:
        assert self.popen is not None, "it was started"
        try:
            return await asyncio.to_thread(self.popen.wait, TERMINATE_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            return await asyncio.to_thread(self.popen.wait)


def _start_uninterrupted(command: list[str], **how: Any) -> subprocess.Popen[bytes]:
    """Start a process in which SIGINT waits until it is ready for it.

    An interrupt would else end a process that is still starting, and its call with it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # of this thread; a child inherits it
    try:
        return subprocess.Popen(command, **how)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
