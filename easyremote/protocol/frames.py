"""Bytes to records and back.

A record is ``length`` (4 bytes, little endian, of what follows), ``kind`` (1 byte), ``body``.
Kind 0: a control message (``messages.py``). Kind 1: a chunk of a stream: the stream's number
(4 bytes), where in the stream the chunk begins (8 bytes), bytes. A WebSocket message holds whole
records, a pipe splits them anywhere; the decoder takes both. Every length is checked against its
limit before a byte of the body is kept.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import msgspec

from easyremote.errors import ProtocolError
from easyremote.protocol.messages import Dispatch, Event, Finished, Message, Submit, decode

CONTROL: Final = 0
CHUNK: Final = 1

#: Frames of 64 KiB were measured as the fastest: they match the socket's reads.
CHUNK_SIZE: Final = 64 * 1024
#: Enough for a node that registers a thousand documented functions in one message.
MAX_CONTROL: Final = 1024 * 1024
#: The sender of HELLO has not shown a key yet.
MAX_HELLO: Final = 4 * 1024
#: The largest WebSocket message: one largest record behind 64 KiB of others.
MAX_MESSAGE: Final = MAX_CONTROL + 2 * CHUNK_SIZE

CONTROL_HEADER: Final = struct.Struct("<IB")
CHUNK_HEADER: Final = struct.Struct("<IBIQ")
#: The messages that have a payload, which may be a stream; so many of the last that announced one
#: are known when they come again.
ANNOUNCING: Final = frozenset({Submit, Dispatch, Event, Finished})
KNOWN: Final = 100
_CHUNK_EXTRA: Final = CHUNK_HEADER.size - 4


class Chunk:
    """A piece of a stream: a view of the received bytes, not a copy."""

    __slots__ = ("data", "position", "stream")

    def __init__(self, stream: int, position: int, data: memoryview) -> None:
        self.stream = stream
        self.position = position
        self.data = data


def control_record(body: bytes) -> bytes:
    """One control message, framed.

    Raises
    ------
    ProtocolError
        The far end would refuse a message of this size.
    """
    if len(body) >= MAX_CONTROL:
        raise ProtocolError(f"a control message of {len(body)} bytes is above {MAX_CONTROL}")
    return CONTROL_HEADER.pack(len(body) + 1, CONTROL) + body


def chunk_header(stream: int, size: int, position: int = 0) -> bytes:
    """The head of a chunk of ``size`` bytes, which begins at this byte of its stream."""
    return CHUNK_HEADER.pack(size + _CHUNK_EXTRA, CHUNK, stream, position)


class FrameDecoder:
    """Turns received bytes into messages and chunks; keeps the start of a split record."""

    def __init__(self) -> None:
        self._rest = bytearray()
        #: How many bytes the rest has to have before it is looked at again.
        self._needed = 0
        #: The longest control record that is taken now: a HELLO's, until the peer is admitted.
        self.max_control = MAX_HELLO

    @property
    def rest(self) -> bytes:
        """The start of a record whose end has not come."""
        return bytes(self._rest)

    def receive_data(self, data: bytes) -> Iterator[Message | Chunk]:
        """Yield the records that ``data`` completes.

        Raises
        ------
        ProtocolError
            The bytes are no records, or a record is above its limit. Close the connection.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return
            data = bytes(self._rest)
            self._rest.clear()
        view, header = memoryview(data), CONTROL_HEADER.unpack_from
        start, end, needed = 0, len(data), 5
        while end - start >= 5:
            length, kind = header(view, start)
            stop = start + 4 + length
            if kind != CONTROL or not 1 <= length <= self.max_control:
                self._check(length, kind)
            if stop > end:
                needed = stop - start
                break
            if kind == CONTROL:
                try:
                    message = decode(view[start + 5 : stop])
                except (msgspec.DecodeError, RecursionError) as error:
                    raise ProtocolError(f"not a message of this protocol: {error}") from None
                yield message
            else:
                _, _, stream, position = CHUNK_HEADER.unpack_from(view, start)
                yield Chunk(stream, position, view[start + CHUNK_HEADER.size : stop])
            start = stop
        if start < end:
            self._rest += view[start:]
            self._needed = needed

    def _check(self, length: int, kind: int) -> None:
        """Refuse a record that is no control record within its limit, and no chunk either."""
        if kind == CONTROL:
            raise ProtocolError(
                f"a control record of {length} bytes; the limit is {self.max_control}"
            )
        if kind != CHUNK:
            raise ProtocolError(f"a record of kind {kind}; the peer speaks another protocol")
        if not _CHUNK_EXTRA < length <= CHUNK_SIZE + _CHUNK_EXTRA:
            raise ProtocolError(f"a chunk record of {length} bytes; the limit is {CHUNK_SIZE}")


class Announcements:
    """The streams that a peer has announced on one link, each by one message.

    A relay with a mistake in it repeats messages: one that comes again is known, and dropped.
    """

    def __init__(self) -> None:
        #: The number of the newest stream.
        self.last = 0
        #: By stream: the kind of the message, its call, and its number among the call's events.
        self._messages: dict[int, tuple[type, int, int]] = {}

    def is_copy(self, message: Submit | Dispatch | Event | Finished) -> bool:
        """Whether a message that announces a stream has come before."""
        number = message.payload.stream
        said = type(message), message.call, message.seq if isinstance(message, Event) else 0
        if self._messages.get(number) == said:
            return True
        self._messages[number] = said
        if len(self._messages) > KNOWN:
            del self._messages[next(iter(self._messages))]
        return False

    def is_new(self, number: int) -> bool:
        """Note that a stream is announced; False if its number was there before."""
        is_new = number > self.last
        self.last = max(self.last, number)
        return is_new
