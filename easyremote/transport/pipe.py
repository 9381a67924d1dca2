"""A Link over a socket pair: a node and the processes that run its shipped code."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

#: How much is read at a time.
READ_SIZE = 256 * 1024


class PipeChannel:
    """One end of a socket pair."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        # A socket's transport reads, too; the type of a writer's transport does not say so.
        self._transport = cast(asyncio.Transport, writer.transport)
        #: As many bytes as may wait to be written.
        self._room = self._transport.get_write_buffer_limits()[1]
        #: A pipe carries no reason of the other side.
        self.reason = ""

    @classmethod
    async def open(cls, sock: socket.socket) -> PipeChannel:
        reader, writer = await asyncio.open_connection(sock=sock, limit=2 * READ_SIZE)
        return cls(reader, writer)

    async def receive(self) -> bytes | None:
        return await self._reader.read(READ_SIZE) or None

    def send(self, data: bytes) -> bool:
        self._writer.write(data)
        return self._transport.get_write_buffer_size() <= self._room

    async def drain(self) -> None:
        await self._writer.drain()

    @property
    def is_flushed(self) -> bool:
        """Whether the system has taken all that was sent."""
        return self._writer.transport.get_write_buffer_size() == 0

    def pause(self) -> None:
        """Read nothing more from the socket; what was read can still be received."""
        self._transport.pause_reading()

    def go_on(self) -> None:
        """End a pause."""
        self._transport.resume_reading()

    async def close(self, reason: str) -> None:
        self._writer.close()
        try:
            # Shielded: the future is the transport's, and has to stay usable.
            await asyncio.shield(self._writer.wait_closed())
        except asyncio.CancelledError:
            self._writer.transport.abort()  # closing waits for a peer that does not read
            raise
