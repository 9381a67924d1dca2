"""`Connected`: the owner of a Client's connection, and of the calls that are under way on it.

Everything here happens on the I/O thread, but for the looks at `Connected.ready`, ``error`` and
``is_open``. ``tests/client/test_client.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import os
import platform
import threading
import time

import easyremote
from easyremote.config import Settings
from easyremote.errors import EasyRemoteError, GatewayUnreachable
from easyremote.protocol.caller import Caller
from easyremote.protocol.link import Link
from easyremote.protocol.messages import PROTOCOL, Hello, Message, Welcome
from easyremote.transport.dial import stay_connected

#: How often deadlines are looked at, in seconds.
TICK = 0.25
_STARTED = time.monotonic()


class Connected:
    """The connection's owner: everything here happens on the I/O thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.core = Caller()
        self.ready = threading.Event()
        self.error: EasyRemoteError | None = None
        self.is_open = False
        #: How many connections there have been.
        self.opened_count = 0
        self._instance = os.urandom(16)
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        self._task = asyncio.current_task()
        ticker = asyncio.get_running_loop().create_task(self._tick())
        try:
            await stay_connected(self.settings, self)
        except EasyRemoteError as error:
            self._failed(error)
        except asyncio.CancelledError:
            self._failed(GatewayUnreachable("The Client was closed."))
        finally:
            ticker.cancel()

    def stop(self) -> None:
        self.core.deliver()
        if self._task is not None:
            self._task.cancel()

    def hello(self) -> Hello:
        versions = {"easyremote": easyremote.__version__, "python": platform.python_version()}
        key = str(self.settings.key("client"))
        uptime = time.monotonic() - _STARTED
        return Hello(PROTOCOL, "client", key, platform.node(), self._instance, uptime, versions)

    def opened(self, link: Link, welcome: Welcome, now: float) -> None:
        self.opened_count += 1
        self.is_open = True
        self.error = None
        self.core.attach(link, welcome.max_calls, now)
        self.ready.set()

    def receive(self, message: Message, now: float) -> None:
        self.core.receive(message, now)

    def flush(self, now: float) -> None:
        self.core.flush(now)

    def closed(self, link: Link | None, error: EasyRemoteError | None, now: float) -> None:
        self.is_open = False
        if link is not None:
            self.core.detach(link, now)
        if error is not None:
            self.error = error
            self.ready.set()

    def _failed(self, error: EasyRemoteError) -> None:
        self.error = error
        self.ready.set()
        self.core.fail_all(error)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            now = time.monotonic()
            due = self.core.next_timeout()
            if due is not None and due <= now:
                self.core.handle_timeout(now)
