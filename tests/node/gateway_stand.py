"""A gateway that a test plays, for real nodes in processes of their own.

A real gateway sends its next message by itself. Here a test decides what a node hears next, so it
can be killed between any two messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from aiohttp import web

from easyremote.identity import Key
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    PROTOCOL,
    SUBPROTOCOL,
    Challenge,
    Dispatch,
    Finished,
    Hello,
    Message,
    Payload,
    Register,
    Resume,
    Resumed,
    Welcome,
)
from easyremote.serialize.values import Dumped, load
from easyremote.transport.connection import Connection
from easyremote.transport.websocket import WebSocketChannel
from tests.processes import LIMIT, environment

M = TypeVar("M", bound=Message)


@dataclass
class Node:
    """A node as the gateway sees it: its connection, and what it said."""

    link: Link
    said: list[Message] = field(default_factory=list)
    #: Is set with every message.
    heard: asyncio.Event = field(default_factory=asyncio.Event)
    #: Outcomes that came as streams, by call.
    bodies: dict[int, bytes] = field(default_factory=dict)

    async def until(self, kind: type[M], fits: Callable[[M], bool] = lambda message: True) -> M:
        """The first such message that it said, or says."""
        async with asyncio.timeout(LIMIT):
            while True:
                self.heard.clear()
                for message in self.said:
                    if isinstance(message, kind) and fits(message):
                        return message
                await self.heard.wait()

    async def outcome(self, number: int) -> tuple[str, object]:
        """How a call ended: its error's code, or empty and its value."""
        finished = await self.until(Finished, lambda message: message.call == number)
        async with asyncio.timeout(LIMIT):
            while number not in self.bodies:
                self.heard.clear()
                await self.heard.wait()
        body = self.bodies[number]
        return finished.code, body if finished.code else load(body)

    def count(self, number: int) -> int:
        """How often it said the outcome of a call."""
        return sum(isinstance(each, Finished) and each.call == number for each in self.said)

    def dispatch(
        self, number: int, function: str, dumped: Dumped, *, fence: int = 1, durable: bool = True,
        session: str = "", call_id: bytes = b"",
    ) -> bytes:  # fmt: skip
        """Give it a call; the call's id."""
        call_id = call_id or os.urandom(16)
        payload = self.link.offer(dumped.parts, dumped.size, "pickle5")
        self.link.send(
            Dispatch(
                *(number, call_id, fence, function, payload, session, 0.0, "alice"), durable=durable
            )
        )
        return call_id

    async def resumed(self, *numbers: int) -> None:
        """Wait for its RESUME, and answer it."""
        await self.until(Resume)
        self.link.send(Resumed(numbers))


class GatewayStand:
    """The gateway; `home` is that of the node's user."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.address = ""
        self.key = Key.generate("node")
        self._joined: asyncio.Queue[Node] = asyncio.Queue()

    def start(self, program: Path, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a node of this gateway."""
        settings = {"EASYREMOTE_GATEWAY": self.address, "EASYREMOTE_API_KEY": str(self.key)}
        with (self.home / "node.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "easyremote.node", "--node-id", "n", *arguments, program],
                env=environment(self.home) | settings,
                stdout=log,
                stderr=log,
            )

    async def joined(self) -> Node:
        """The next node that connects, when it has said what it has and holds."""
        async with asyncio.timeout(LIMIT):
            node = await self._joined.get()
        await node.until(Register)
        await node.until(Resume)
        return node

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(protocols=(SUBPROTOCOL,), max_msg_size=0, compress=False)
        await ws.prepare(request)
        node = Node(Link(time.monotonic()))
        node.link.send(Challenge(b"f" * 16))

        def receive(message: Message, now: float) -> None:
            if isinstance(message, Hello):
                node.link.open(now)
                node.link.send(Welcome(PROTOCOL, b"g" * 16, max_payload=2**31, max_calls=1000))
                self._joined.put_nowait(node)
                return
            if isinstance(message, Finished):
                node.link.collect(message.payload, lambda body: _came(node, message.call, body))
            node.said.append(message)
            node.heard.set()

        with contextlib.suppress(Exception):  # the node was killed, or the test is over
            await Connection(node.link, WebSocketChannel(ws), receive).run()
        return ws


def _came(node: Node, number: int, body: bytes | bytearray | memoryview) -> None:
    node.bodies[number] = bytes(body)
    node.heard.set()


@contextlib.asynccontextmanager
async def open_stand() -> AsyncIterator[GatewayStand]:
    """A gateway that listens, with a home of its own."""
    with tempfile.TemporaryDirectory() as home:
        stand = GatewayStand(Path(home))
        app = web.Application()
        app.router.add_get("/v1/link", stand.serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        stand.address = f"127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield stand
        finally:
            await runner.cleanup()


def nothing() -> Payload:
    """No arguments."""
    return Payload("pickle5", 0, b"")
