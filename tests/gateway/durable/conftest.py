"""A gateway's cores with a disk for detached calls, and peers that write messages by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from easyremote.gateway.durable.door import MAX_KEPT, DetachedDoor
from easyremote.gateway.feed import GatewayFeed
from easyremote.gateway.keys import KeyStore
from easyremote.protocol.messages import Finished, Keep, Submit
from easyremote.protocol.requests import DetachedCalls
from tests.gateway.desk import ClientPeer, Desk, payload

T = TypeVar("T")

#: The client's number of whatever it asks.
QUESTION = 70


class Durable(Desk):
    """A desk whose gateway keeps detached calls; all runs in one event loop."""

    def __init__(self, home: Path, max_kept: int = MAX_KEPT) -> None:
        self.home, self.max_kept = home, max_kept
        self.keys = KeyStore(home / "gateway.sqlite3")
        self.alice = self.keys.create("client", "alice").key_id
        self.bob = self.keys.create("client", "bob").key_id
        super().__init__()
        self.again()

    def again(self, *before: str) -> None:
        """Another gateway, on the same disk; `open` reads it."""
        self.now = time.monotonic()
        self.restart(*before)
        self.keys.holders = set(before)
        self.door = DetachedDoor(self.calls, self.keys, self.home / "journal")
        self.door.max_kept = self.max_kept
        self.feed = GatewayFeed(self.calls, self.door)

    async def restarted(self, *before: str) -> None:
        """The gateway is stopped and started; it has heard of these nodes."""
        self.door.leave()
        await self.door.close()
        self.again(*before)
        await self.door.open()

    def detach(self, client: ClientPeer, call_id: bytes, number: int = 1, **more: object) -> None:
        """Submit a detached call."""
        keep = more.pop("keep", Keep(60.0))
        client.submit(call=number, call_id=call_id, keep=keep, **more)

    async def accepted(self, client: ClientPeer, call_id: bytes, number: int = 1, **more) -> None:
        """Submit one, and wait until it is accepted."""
        self.detach(client, call_id, number, **more)
        answer = await self.heard(lambda: client.heard(Finished))
        assert [(each.call, each.code) for each in answer] == [(number, "")]

    def ask(
        self, client: ClientPeer, function: str, call_id: bytes = b"", number: int = 70
    ) -> None:
        """Ask one of the gateway's own functions."""
        asked = Submit(number, self.new_id(), "", function, payload(), call_id.hex())
        assert self.feed.receive(client.client, asked)

    async def heard(self, look: Callable[[], T]) -> T:
        """What somebody hears, as soon as there is something."""
        deadline = time.monotonic() + 6.0
        while not (found := look()):
            assert time.monotonic() < deadline, "nothing was heard"
            await asyncio.sleep(0.001)
            self.door.handle_timeout(time.monotonic())
        return found

    async def sent(self, client: ClientPeer, call_id: bytes, body: bytes) -> None:
        """Submit a call with arguments that are a stream, and wait until it is accepted."""
        arguments = client.announce(len(body), len(body), call_id=call_id, keep=Keep(60.0))

        def look() -> list[Finished]:
            found = client.heard(Finished)
            arguments.send(0)  # what there is credit for now
            return found

        await self.heard(look)

    async def outcome(self, client: ClientPeer, call_id: bytes) -> Finished:
        """Collect an outcome."""
        self.ask(client, "$collect", call_id)
        (finished,) = await self.heard(lambda: client.heard(Finished))
        return finished

    async def listed(self, client: ClientPeer) -> DetachedCalls:
        """The detached calls of a client."""
        self.ask(client, "$detached")
        (finished,) = await self.heard(lambda: client.heard(Finished))
        return msgspec.msgpack.decode(finished.payload.data, type=DetachedCalls)

    async def quiet(self) -> None:
        """Wait until nothing is being written."""
        keeper = self.door._keeper
        await self.heard(lambda: keeper is None or not keeper._tasks)
        for _ in range(3):  # what was written is passed on in the next turns of the loop
            await asyncio.sleep(0)


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[Durable], Awaitable[None]]], None]:
    """Runs a test's story in an event loop, on a disk of its own."""

    def run(story: Callable[[Durable], Awaitable[None]], **more: int) -> None:
        async def told() -> None:
            desk = Durable(tmp_path, **more)
            try:
                await story(desk)
            finally:
                desk.door.leave()
                await desk.door.close()
                desk.keys.close()

        asyncio.run(told())

    return run
