"""``python -m tests.benchmarks.links COUNT``: so many nodes as far as a gateway can tell.

Each is a real link that registers a function and says, while somebody looks, once a second how
busy it is. A thousand whole nodes in one process would measure their one machine a thousand times
a second, and be what is measured.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time

import easyremote
from easyremote.config import Settings, find_settings
from easyremote.errors import EasyRemoteError
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    PROTOCOL,
    Function,
    Hello,
    Message,
    Register,
    Resources,
    Resume,
    Watch,
    Welcome,
)
from easyremote.transport.dial import stay_connected

GIB = 2**30
#: Connections that are opened at a time: a thousand at once are an attack, not a cluster.
AT_A_TIME = 50


class IdleNode:
    """A node, seen from its gateway."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings, self._name = settings, name
        self._instance = os.urandom(16)
        self._link: Link | None = None
        self._is_watched = False
        self.online = asyncio.Event()

    def hello(self) -> Hello:
        key = str(self._settings.key("node"))
        versions = {"easyremote": easyremote.__version__, "python": "3.11.0"}
        return Hello(PROTOCOL, "node", key, self._name, self._instance, 1.0, versions)

    def opened(self, link: Link, welcome: Welcome, now: float) -> None:
        self._link = link
        link.send(Register((Function("nothing"),), 4, (), 8, 32 * GIB))
        link.send(Resume(()))
        self.online.set()

    def receive(self, message: Message, now: float) -> None:
        if isinstance(message, Watch):
            self._is_watched = message.on

    def flush(self, now: float) -> None:
        """Nothing is kept back."""

    def closed(self, link: Link | None, error: EasyRemoteError | None, now: float) -> None:
        self._link, self._is_watched = None, False

    def tell(self) -> None:
        """Say how busy it is, if somebody looks."""
        if self._link is not None and self._is_watched:
            used = int((4 + random.random()) * GIB)
            self._link.send(Resources(random.random(), 8, used, 32 * GIB))


async def main(count: int) -> None:
    settings = find_settings(kind="node")
    nodes = [IdleNode(settings, f"idle-{number}") for number in range(count)]
    tasks = []
    for start in range(0, count, AT_A_TIME):
        some = nodes[start : start + AT_A_TIME]
        tasks += [asyncio.create_task(stay_connected(settings, node)) for node in some]
        await asyncio.gather(*(node.online.wait() for node in some))
    print("up", flush=True)
    while True:
        began = time.monotonic()
        for node in nodes:
            node.tell()
            await asyncio.sleep(1 / count)  # not all at one moment: nor do they in life
        await asyncio.sleep(max(began + 1 - time.monotonic(), 0))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
