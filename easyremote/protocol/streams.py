"""Streams: payloads too large for a control message, under credits.

The receiver of a stream grants credits, `WINDOW` bytes at the most, and the sender never has more
under way. So a gateway between them holds no more than that, and a slow reader holds up nobody
else. `Outgoing` is the sending end; `Assembly` a receiving end that keeps the bytes; `Relay` one
that passes them on to another link without joining them. Bytes that wait to be passed on lie in
`Pieces`, which take little more memory than their bytes.
``tests/protocol/test_streams.py`` proves it.
"""

from __future__ import annotations

import mmap
import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from easyremote.errors import ProtocolError
from easyremote.protocol.frames import CHUNK_SIZE
from easyremote.protocol.messages import Credit

if TYPE_CHECKING:
    from easyremote.protocol.link import Link

Buffer = bytes | bytearray | memoryview

#: What a sender may send before the first credit: enough to spare a small array the round trip,
#: and little enough that a gateway can keep it for every call that waits.
INITIAL_WINDOW = 64 * 1024
#: 4 to 8 MiB were measured as the fastest for arrays of 100 MB.
WINDOW = 8 * 1024 * 1024
#: A view object costs some 250 bytes: shorter pieces are copied and joined.
SHORT = 1024
#: A view keeps the whole message in memory in which it came. If that is more than so many times
#: the size of the piece, the piece is copied. (A pipe reads four chunks at a time.)
PINNED = 4
#: What a forked process writes stays its own, as in other memory. (Windows has no forked
#: processes, and no name for this.)
_PRIVATE = {} if sys.platform == "win32" else {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS}


class TooLarge(ProtocolError):
    """A payload that is not taken: it is above the limit, or memory has no room for it.

    It ends its call, and the connection goes on. Its stream was stopped already.
    """


class Pieces:
    """Bytes that wait to be sent, in order."""

    __slots__ = ("_tail", "_views")

    def __init__(self, parts: Iterable[Buffer] = ()) -> None:
        #: Views of the owner's memory, or of received messages.
        self._views = deque(memoryview(part).cast("B") for part in parts if len(part))
        #: Short pieces that came behind the views, joined.
        self._tail = bytearray()

    def __bool__(self) -> bool:
        return bool(self._views) or bool(self._tail)

    def append(self, piece: memoryview) -> None:
        """Keep a piece of a received message."""
        size = len(piece)
        if size < SHORT or size * PINNED < len(piece.obj):  # type: ignore[arg-type]  # bytes
            self._tail += piece
        else:
            if self._tail:
                self._close_tail()
            self._views.append(piece)

    def take(self, most: int) -> memoryview:
        """The next bytes, ``most`` of them or fewer."""
        if not self._views:
            self._close_tail()
        piece = self._views[0]
        if len(piece) <= most:
            return self._views.popleft()
        self._views[0] = piece[most:]
        return piece[:most]

    def _close_tail(self) -> None:
        self._views.append(memoryview(self._tail))
        self._tail = bytearray()


class Outgoing:
    """The sending end of one stream."""

    __slots__ = ("credit", "on_credit", "on_stop", "pieces", "ready", "sent", "unsent")

    def __init__(self, size: int, pieces: Pieces) -> None:
        self.pieces = pieces
        #: Bytes that are not sent yet, whether they are here or not; the stream is done at 0.
        self.unsent = size
        #: Bytes that are sent: where the next chunk begins.
        self.sent = 0
        self.credit = INITIAL_WINDOW
        #: Whether the stream is in the link's round.
        self.ready = False
        self.on_credit: Callable[[int], None] | None = None
        self.on_stop: Callable[[], None] | None = None

    def sendable(self) -> bool:
        return bool(self.pieces) and self.credit > 0

    def take(self, limit: int) -> memoryview:
        """The next chunk: at most ``limit`` bytes, and no more than there is credit for."""
        piece = self.pieces.take(min(limit, self.credit))
        self.credit -= len(piece)
        self.unsent -= len(piece)
        self.sent += len(piece)
        return piece


class Incoming(Protocol):
    """The receiving end of one stream."""

    @property
    def received(self) -> int:
        """How many bytes have come."""

    def receive(self, chunk: memoryview) -> bool:
        """Take a chunk; True if the stream is complete now."""

    def reset(self) -> None:
        """The rest will not come."""


def allocate(size: int, most: int) -> memoryview:
    """Memory for a payload: page aligned, and not written to before the bytes come.

    (`bytearray` would write zeros over all of it first. Huge pages are slower where a hypervisor
    takes back what its guest frees: it has to clear each of them anew.)

    Raises
    ------
    TooLarge
        The payload is above ``most``, or memory has no room for it.
    """
    if size > most:
        raise TooLarge(f"a payload of {size:,} bytes is above the limit of {most:,}")
    try:
        return memoryview(mmap.mmap(-1, size, **_PRIVATE))
    except (OSError, OverflowError, ValueError, MemoryError):
        raise TooLarge(f"a payload of {size:,} bytes does not fit into memory") from None


class Assembly:
    """A receiving end that keeps the bytes, in one buffer of the announced size.

    Credits only pace the sender: there is room for all bytes from the start.
    """

    __slots__ = ("_at", "_done", "_granted", "_link", "_on_reset", "_room", "_stream")

    def __init__(
        self,
        link: Link,
        stream: int,
        room: memoryview,
        done: Callable[[memoryview], None],
        on_reset: Callable[[], None] | None,
    ) -> None:
        self._link, self._stream, self._done, self._on_reset = link, stream, done, on_reset
        self._room = room
        self._at = 0
        self._granted = INITIAL_WINDOW
        self._grant()

    @property
    def progress(self) -> tuple[int, int]:
        """How many bytes have come, and how many it are in all."""
        return self._at, len(self._room)

    @property
    def received(self) -> int:
        """How many bytes have come."""
        return self._at

    def receive(self, chunk: memoryview) -> bool:
        end = self._at + len(chunk)
        if end > len(self._room):
            raise ProtocolError(f"stream {self._stream} is longer than it was announced")
        self._room[self._at : end] = chunk
        self._at = end
        if end == len(self._room):
            self._done(self._room)
            return True
        if self._granted - end < WINDOW // 2:
            self._grant()
        return False

    def reset(self) -> None:
        if self._on_reset is not None:
            self._on_reset()

    def _grant(self) -> None:
        more = min(self._at + WINDOW, len(self._room)) - self._granted
        if more > 0:
            self._granted += more
            self._link.send(Credit(self._stream, more))


class Relay:
    """Passes a stream on from one link to another, chunk by chunk, and its credits back.

    Until `forward` is called the chunks wait here, `INITIAL_WINDOW` bytes at the most.
    """

    __slots__ = (
        *("_granted", "_held", "_left", "_outgoing", "_source", "_stream", "_target"),
        *("on_complete", "on_reset", "size"),
    )

    def __init__(self, source: Link, stream: int, size: int) -> None:
        self._source, self._stream, self.size = source, stream, size
        #: Called if the rest will not come.
        self.on_reset: Callable[[], None] | None = None
        #: Hears that all of it has come.
        self.on_complete: Callable[[], None] | None = None
        self._left = size
        self._granted = INITIAL_WINDOW
        self._held = Pieces()
        self._target: Link | None = None
        self._outgoing = 0

    def forward(self, target: Link) -> int:
        """Start to pass the stream on to ``target``; its number there."""
        outgoing = Outgoing(self.size, self._held)
        outgoing.on_credit = self._credit
        outgoing.on_stop = self.stop
        self._target = target
        self._outgoing = target.open_stream(outgoing)
        return self._outgoing

    @property
    def is_complete(self) -> bool:
        """Whether all bytes have come."""
        return self._left == 0

    @property
    def received(self) -> int:
        """How many bytes have come."""
        return self.size - self._left

    @property
    def is_awaited(self) -> bool:
        """Whether it is the source's turn: more bytes were welcomed than have come."""
        return self._left > 0 and self._granted > 0

    def receive(self, chunk: memoryview) -> bool:
        self._left -= len(chunk)
        self._granted -= len(chunk)
        if self._left < 0 or self._granted < 0:
            raise ProtocolError(f"stream {self._stream} has more bytes than were granted")
        if self._target is None:
            self._held.append(chunk)
        else:
            self._target.push(self._outgoing, chunk)
        if self._left == 0 and self.on_complete is not None:
            self.on_complete()
        return self._left == 0

    def reset(self) -> None:
        """The source gave the stream up: so does this side."""
        if self._target is not None:
            self._target.abort_stream(self._outgoing)
        if self.on_reset is not None:
            self.on_reset()

    def stop(self) -> None:
        """Tell the source that nobody wants the rest."""
        self._source.stop_stream(self._stream)

    def give_up(self) -> None:
        """Stop the source, and tell the target that the rest will not come. Safe to repeat."""
        self.stop()
        if self._target is not None:
            self._target.abort_stream(self._outgoing)

    def _credit(self, size: int) -> None:
        self._granted += size
        self._source.send(Credit(self._stream, size))


class StreamTable:
    """The streams of one link, both ways, and which one sends next."""

    def __init__(self, link: Link) -> None:
        self._link = link
        #: The number of the newest stream that goes out.
        self.last = 0
        self.outgoing: dict[int, Outgoing] = {}
        self.incoming: dict[int, Incoming] = {}
        self._round: deque[int] = deque()

    def open(self, stream: Outgoing) -> int:
        self.last += 1
        self.outgoing[self.last] = stream
        self._enlist(self.last, stream)
        return self.last

    def push(self, number: int, chunk: memoryview) -> None:
        stream = self.outgoing.get(number)
        if stream is not None:  # else its receiver has stopped it
            stream.pieces.append(chunk)
            self._enlist(number, stream)

    def credit(self, number: int, size: int) -> None:
        stream = self.outgoing.get(number)
        if stream is None:
            return  # it was complete before this credit came
        if size <= 0 or stream.credit + size > WINDOW:
            raise ProtocolError(f"a credit of {size} bytes; the limit is {WINDOW}")
        stream.credit += size
        if stream.on_credit is not None:
            stream.on_credit(size)
        self._enlist(number, stream)

    def stopped(self, number: int) -> None:
        stream = self.outgoing.pop(number, None)
        if stream is not None and stream.on_stop is not None:
            stream.on_stop()

    def received(self, number: int, position: int, data: memoryview) -> None:
        stream = self.incoming.get(number)
        # The peer may have sent chunks of a stream before it heard that it was stopped. A chunk
        # that came before would make a wrong value of the right bytes, and so would a gap.
        if stream is None or position < stream.received:
            return
        if position > stream.received:
            raise ProtocolError(
                f"byte {position} of stream {number} came where byte {stream.received} is the next"
            )
        if stream.receive(data):
            self.incoming.pop(number, None)

    def was_reset(self, number: int) -> None:
        stream = self.incoming.pop(number, None)
        if stream is not None:
            stream.reset()

    def drop_all(self) -> None:
        """The link is closed: tell the other side of every stream."""
        incoming, outgoing = list(self.incoming.values()), list(self.outgoing.values())
        self.incoming.clear()
        self.outgoing.clear()
        self._round.clear()
        for receiver in incoming:
            receiver.reset()
        for sender in outgoing:
            if sender.on_stop is not None:
                sender.on_stop()

    @property
    def sendable(self) -> bool:
        return bool(self._round)

    def next_chunk(self) -> tuple[int, int, memoryview] | None:
        """The next chunk to send, and where in its stream it begins; the streams take turns."""
        while self._round:
            number = self._round.popleft()
            stream = self.outgoing.get(number)
            if stream is None:
                continue
            stream.ready = False
            position, chunk = stream.sent, stream.take(CHUNK_SIZE)
            if stream.unsent == 0:
                del self.outgoing[number]
            else:
                self._enlist(number, stream)
            return number, position, chunk
        return None

    def _enlist(self, number: int, stream: Outgoing) -> None:
        if not stream.ready and stream.sendable():
            stream.ready = True
            self._round.append(number)
            self._link.wake()
