"""A peer that speaks raw bytes to a gateway over a real WebSocket, and keeps what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from msgspec import structs

from easyremote.protocol.frames import MAX_CONTROL, FrameDecoder, control_record
from easyremote.protocol.messages import SUBPROTOCOL, Challenge, Hello, Message, Ping, encode
from easyremote.protocol.streams import Buffer
from tests.processes import LIMIT, Gateway


class Raw:
    """One connection."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self._decoder = FrameDecoder()
        self._decoder.max_control = MAX_CONTROL
        self._heard: list[Message] = []
        #: What HELLO has to repeat.
        self.fresh = b""

    async def send(self, *messages: Message | Buffer | str) -> None:
        for message in messages:
            if isinstance(message, str):
                await self._ws.send_str(message)
            elif isinstance(message, Buffer):
                await self._ws.send_bytes(bytes(message))
            elif isinstance(message, Hello):
                fresh = structs.replace(message, fresh=message.fresh or self.fresh)
                await self._ws.send_bytes(control_record(encode(fresh)))
            else:
                await self._ws.send_bytes(control_record(encode(message)))

    async def hear(self) -> Message:
        """The next message. A PING is skipped: the gateway measures how quickly a node answers."""
        async with asyncio.timeout(LIMIT):
            while not self._heard:
                data = await self._ws.receive_bytes()
                records = self._decoder.receive_data(data)
                self._heard += [each for each in records if not isinstance(each, Ping)]  # type: ignore[misc]  # no chunks come
        return self._heard.pop(0)

    async def closed(self) -> tuple[int | None, str]:
        """The code and the reason with which the gateway closes; what comes before is skipped."""
        async with asyncio.timeout(LIMIT):
            while (message := await self._ws.receive()).type is aiohttp.WSMsgType.BINARY:
                pass
        return self._ws.close_code, str(message.extra or "")


@asynccontextmanager
async def raw(gateway: Gateway) -> AsyncIterator[Raw]:
    url = f"http://{gateway.address}/v1/link"
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=(SUBPROTOCOL,), max_msg_size=0) as ws,
    ):
        peer = Raw(ws)
        challenge = await peer.hear()
        assert isinstance(challenge, Challenge)
        peer.fresh = challenge.fresh
        yield peer


def hello(
    gateway: Gateway,
    role: str = "client",
    *,
    key: str | None = None,
    name: str = "raw",
    protocol: tuple[int, int] = (1, 0),
    instance: bytes = b"i" * 16,
) -> Hello:
    """A HELLO with the right key, if no other is given."""
    return Hello(protocol, role, gateway.keys[role] if key is None else key, name, instance)
