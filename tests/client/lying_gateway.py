"""A gateway that is not to be trusted: it lets everybody in, and answers as a test tells it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator

from aiohttp import web

from easyremote.client.client import Client
from easyremote.identity import Key
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    PROTOCOL,
    SUBPROTOCOL,
    Challenge,
    Hello,
    Message,
    Submit,
    Welcome,
)
from easyremote.transport.connection import Connection
from easyremote.transport.websocket import WebSocketChannel
from tests.processes import LIMIT

#: What is said to a SUBMIT; the link is there for large payloads.
Answer = Callable[[Link, Submit], Iterable[Message]]


class LyingGateway:
    """Its loop runs in a thread of its own."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(LIMIT)

    def client(self) -> Client:
        return Client(self.address, str(Key.generate("client")))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT)

    def _run(self) -> None:
        runner = self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _listen(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/v1/link", self._accept)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        self.address = f"127.0.0.1:{port}"
        return runner

    async def _accept(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(protocols=(SUBPROTOCOL,), max_msg_size=0, compress=False)
        await ws.prepare(request)
        loop = asyncio.get_running_loop()
        link = Link(loop.time())
        link.send(Challenge(b"f" * 16))

        def receive(message: Message, now: float) -> None:
            if isinstance(message, Hello):
                link.open(now)
                link.send(Welcome(PROTOCOL, b"l" * 16, max_calls=1000, max_payload=2**31))
            elif isinstance(message, Submit):
                for said in self._answer(link, message):
                    link.send(said)

        with contextlib.suppress(Exception):  # the client is gone: the test says what it saw
            await Connection(link, WebSocketChannel(ws), receive).run()
        return ws


@contextlib.contextmanager
def lying_gateway(answer: Answer) -> Iterator[LyingGateway]:
    """A gateway that answers every SUBMIT like this."""
    started = LyingGateway(answer)
    try:
        yield started
    finally:
        started.close()
