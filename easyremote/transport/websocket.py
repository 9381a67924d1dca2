"""A WebSocket of aiohttp as a channel; processes that talk over a pipe need not load aiohttp.

``tests/transport/test_connection.py`` proves it over real sockets.
"""

from __future__ import annotations

import socket
import types
from collections.abc import Coroutine, Generator
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
        #: A send that waits for room, and what it waits for; its bytes are taken.
        self._begun: tuple[Coroutine[Any, Any, None], Any] | None = None
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
        # aiohttp takes the bytes at the first step, and waits after that, where it waits.
        sending = self._ws.send_bytes(data)
        try:
            self._begun = sending, sending.send(None)
        except StopIteration:
            return True
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error)) from error
        return False

    async def drain(self) -> None:
        begun, self._begun = self._begun, None
        if begun is not None:
            try:
                await _go_on(*begun)
            except aiohttp.ClientError as error:
                raise ConnectionError(str(error)) from error

    async def close(self, reason: str) -> None:
        try:
            # 123 bytes are what a WebSocket close frame has room for.
            await self._ws.close(message=reason.encode()[:120])
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error)) from error


@types.coroutine
def _go_on(begun: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    """The rest of a coroutine whose first step was made outside of a task."""
    try:
        yield awaited
    except BaseException:  # this task is cancelled, or the connection broke
        begun.close()
        raise
    yield from begun


def _prepare(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_LIMIT)
