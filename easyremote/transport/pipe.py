"""A Link over a socket pair: a node and the processes that run its shipped code.

What the other side said before it died is always read to its end, also where a write to it has
failed meanwhile and the transport is gone. ``tests/transport/test_pipe.py`` proves it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from typing import cast

#: How much is read at a time.
READ_SIZE = 256 * 1024
#: So much may lie here unread; then the other side has to wait.
UNREAD_MAX = 4 * READ_SIZE


class PipeChannel(asyncio.Protocol):
    """One end of a socket pair."""

    def __init__(self, sock: socket.socket) -> None:
        #: The same socket once more: it outlives the transport, and has what is not read yet.
        self._sock = sock
        self._transport: asyncio.Transport
        self._arrived: deque[bytes] = deque()
        self._unread = 0
        #: Whether reading is paused: by `pause`, or because too much is unread.
        self._is_held = self._is_paused = False
        #: Somebody waits for: what arrives, room to write, the end.
        self._arrives: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: A pipe carries no reason of the other side.
        self.reason = ""

    @classmethod
    async def open(cls, sock: socket.socket) -> PipeChannel:
        channel = cls(sock.dup())
        await asyncio.get_running_loop().create_connection(lambda: channel, sock=sock)
        return channel

    # -- for the connection ------------------------------------------------------------------------

    async def receive(self) -> bytes | None:
        while not self._arrived:
            if self._lost.done():
                return self._left()
            self._arrives = asyncio.get_running_loop().create_future()
            await self._arrives
        data = self._arrived.popleft()
        self._unread -= len(data)
        if self._is_paused and self._unread < UNREAD_MAX and not self._lost.done():
            self._is_paused = False
            self._resume()
        return data

    def send(self, data: bytes) -> bool:
        if self._lost.done():
            raise ConnectionError("the other side is gone")
        self._transport.write(data)
        return self._room is None

    async def drain(self) -> None:
        if self._room is not None:
            await asyncio.wait([self._room])

    async def close(self, reason: str) -> None:
        self._transport.close()
        try:
            # Shielded: the future has to stay usable.
            await asyncio.shield(self._lost)
        except asyncio.CancelledError:
            self._transport.abort()  # closing waits for a peer that does not read
            raise
        finally:
            self._sock.close()

    def _left(self) -> bytes | None:
        """What lies in the socket after the end of the transport."""
        with contextlib.suppress(OSError):  # it is closed, or there is nothing more
            return self._sock.recv(READ_SIZE) or None
        return None

    # -- for a handover ----------------------------------------------------------------------------

    @property
    def is_flushed(self) -> bool:
        """Whether the system has taken all that was sent."""
        return self._transport.get_write_buffer_size() == 0

    def pause(self) -> None:
        """Read nothing more from the socket; what was read can still be received."""
        self._is_held = True
        self._transport.pause_reading()

    def go_on(self) -> None:
        """End a pause."""
        self._is_held = False
        self._resume()

    def _resume(self) -> None:
        if not (self._is_held or self._is_paused):
            self._transport.resume_reading()

    # -- for the transport -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # a socket's

    def data_received(self, data: bytes) -> None:
        self._arrived.append(data)
        self._unread += len(data)
        if self._unread >= UNREAD_MAX and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def pause_writing(self) -> None:
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._room is not None:
            self._room.set_result(None)
            self._room = None

    def connection_lost(self, error: Exception | None) -> None:
        self._lost.set_result(None)
        self.resume_writing()
        self._wake()

    def _wake(self) -> None:
        if self._arrives is not None and not self._arrives.done():
            self._arrives.set_result(None)
