"""A WebSocket of aiohttp as a channel; processes that talk over a pipe need not load aiohttp.

``tests/transport/test_connection.py`` proves it over real sockets.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import aiohttp

from easyremote.errors import ProtocolError

if TYPE_CHECKING:  # of use to a server only, and as long to load as the rest of aiohttp
    from aiohttp import web

#: The kernel keeps at most this much unsent, so that control messages overtake bulk data.
UNSENT_LIMIT = 256 * 1024


class WebSocketChannel:
    """A WebSocket of aiohttp, the server's or the client's; see `Channel`."""

    def __init__(self, ws: web.WebSocketResponse | aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self.reason = ""
        #: What aiohttp waits for before it takes more; None where it takes more at once.
        self._room: Any = None
        sock: socket.socket | None = ws.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            _prepare(sock)

    async def receive(self) -> bytes | None:
        try:
            message = await self._ws.receive()
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error)) from error
        if message.type is aiohttp.WSMsgType.BINARY:
            data: bytes = message.data
            return data
        if message.type is aiohttp.WSMsgType.TEXT:
            raise ProtocolError("a text message; this protocol is binary")
        if message.type is aiohttp.WSMsgType.ERROR and isinstance(
            message.data, aiohttp.WebSocketError
        ):
            raise ProtocolError(str(message.data))
        if message.type is aiohttp.WSMsgType.CLOSE:
            self.reason = str(message.extra or "")
        return None

    def send(self, data: bytes) -> bool:
        # aiohttp takes the bytes at once. After that it waits for room, where there is none.
        sending = self._ws.send_bytes(data)
        try:
            self._room = sending.send(None)
        except StopIteration:
            return True
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error)) from error
        self._room._asyncio_future_blocking = False  # as a task does that waits for a future
        self._room.add_done_callback(_looked_at)
        sending.close()
        return False

    async def drain(self) -> None:
        if self._room is not None:
            await asyncio.wait([self._room])  # others may wait for the same, so it is not cancelled
            self._room = None

    async def close(self, reason: str) -> None:
        try:
            # 123 bytes are what a WebSocket close frame has room for.
            await self._ws.close(message=reason.encode()[:120])
        except asyncio.CancelledError:
            # Closing waits for a peer that does not read. aiohttp shows its transport nowhere else.
            writer = self._ws._writer
            if writer is not None:
                writer.transport.abort()
            raise
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error)) from error


def _looked_at(room: asyncio.Future[None]) -> None:
    """Where the connection broke, the next send says so: asyncio need not."""
    if not room.cancelled():
        room.exception()


def _prepare(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_LIMIT)
