"""One end of a connection, without the socket: bytes in, messages out, and the reverse.

A Link makes records and reads them, moves streams under credits (``streams.py``) and watches
whether its peer is alive. It has no socket and no clock: the shell (``transport/connection.py``)
gives it the bytes that came, sends what `data_to_send` returns, and calls `handle_timeout` when
`next_timeout` says so. It knows nothing of calls, nor who the peer is; a WebSocket and a pipe run
the same Link.

    connecting --open()--> open --close()--> closed
                             `--a peer that does not read--> overrun --close()--> closed

Control messages are sent before data, so that a PING never waits behind a gigabyte.
``tests/protocol/test_link.py`` proves it, ``test_machine.py`` under loss and disconnects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from easyremote.errors import InternalError, ProtocolError
from easyremote.protocol.frames import (
    ANNOUNCING,
    CHUNK_SIZE,
    CONTROL,
    CONTROL_HEADER,
    MAX_CONTROL,
    Announcements,
    Chunk,
    FrameDecoder,
    chunk_header,
)
from easyremote.protocol.messages import (
    INLINE_LIMIT,
    MAX_PAYLOAD,
    Credit,
    Message,
    Payload,
    Ping,
    Pong,
    StreamReset,
    StreamStop,
    encode,
)
from easyremote.protocol.streams import (
    Assembly,
    Buffer,
    Outgoing,
    Pieces,
    Relay,
    StreamTable,
    TooLarge,
    allocate,
)

#: A PING is sent after so many seconds of silence.
PING_INTERVAL = 10.0
#: The gateway asks its nodes sooner.
NODE_PING_INTERVAL = 2.0
#: A peer that has left its PINGs unanswered for so many seconds may be gone: it gets no new calls.
SILENT_AFTER = 5.0
#: A link that has been silent for so many seconds is closed: its peer is gone.
DEAD_AFTER = 40.0
#: HELLO has to come, and be answered, within so many seconds.
HELLO_TIMEOUT = 5.0
#: Memory that messages may take while they wait for a peer that does not read them.
MAX_BACKLOG = 64 * 1024 * 1024
#: What a message takes beside its own bytes: two objects and their places in a list.
QUEUED_COST = 100


class LinkState(Enum):
    """The state of a link."""

    CONNECTING = "connecting"
    OPEN = "open"
    #: The peer did not read `MAX_BACKLOG`: nothing more is queued, and the shell closes.
    OVERRUN = "overrun"
    CLOSED = "closed"


class Standing(NamedTuple):
    """What another process has to know to go on with a link on which nothing is under way."""

    #: The start of a record whose end has not come.
    rest: bytes
    #: The numbers of the newest streams: that of this side, and that of the peer.
    opened: int
    announced: int


class Link:
    """One end of a connection.

    Parameters
    ----------
    now
        Seconds on a monotonic clock, as in all methods.
    """

    def __init__(self, now: float) -> None:
        self.state = LinkState.CONNECTING
        #: Called when there is something to send, or the link is overrun; the shell sets it.
        self.wake: Callable[[], None] = _asleep
        self._decoder = FrameDecoder()
        self._control: list[bytes] = []
        #: Memory that the queued messages take.
        self._backlog = 0
        #: Whether `send` drops everything.
        self._is_mute = False
        #: The largest payload that is collected here.
        self.max_payload = MAX_PAYLOAD
        self._streams = StreamTable(self)
        self._announced = Announcements()
        self._opened = now
        #: When the last byte came.
        self.last_received = now
        #: After so many seconds of silence a PING is sent.
        self.ping_interval = PING_INTERVAL
        #: What has passed: messages, data, and the heads of both.
        self.bytes_sent = self.bytes_received = 0
        self._last_ping = now
        #: Whether the peer was stopped from here: its silence says nothing.
        self.is_excused = False
        self._awaits_pong = False
        #: Seconds that the peer took to answer the last PING; None before the first answer.
        self.latency: float | None = None

    def open(self, now: float, max_payload: int = MAX_PAYLOAD) -> None:
        """HELLO and WELCOME were exchanged: now everything may be sent.

        ``max_payload`` is the largest payload that the gateway carries.
        """
        if self.state is not LinkState.CONNECTING:
            raise InternalError(f"a link that is {self.state.value} can't be opened")
        self.state = LinkState.OPEN
        self.max_payload = max_payload
        self._decoder.max_control = MAX_CONTROL
        self.last_received = self._last_ping = now

    def close(self) -> None:
        """The connection is over; the other sides of its streams hear of it. Safe to repeat."""
        if self.state is not LinkState.CLOSED:
            self.state = LinkState.CLOSED
            self._mute()
            self._streams.drop_all()

    # -- handing over --------------------------------------------------------------------------

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is queued, and no stream is under way."""
        return not (self._control or self._streams.outgoing or self._streams.incoming)

    @property
    def standing(self) -> Standing:
        """Where a link that is quiet stands."""
        return Standing(self._decoder.rest, self._streams.last, self._announced.last)

    def go_on(self, standing: Standing) -> None:
        """Go on where another process has left an open link."""
        self._streams.last, self._announced.last = standing.opened, standing.announced
        whole = list(self._decoder.receive_data(standing.rest))
        assert not whole, "what is whole was handled before"

    # -- sending -------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Queue a control message. A link that is closed or overrun drops it."""
        if self._is_mute:
            return
        body = encode(message)
        size = len(body)
        if size >= MAX_CONTROL:
            raise ProtocolError(f"a {type(message).__name__} of {size} bytes is too large")
        self._backlog += size + QUEUED_COST
        if self._backlog > MAX_BACKLOG:
            self._overrun()
            return
        self._control.append(CONTROL_HEADER.pack(size + 1, CONTROL))
        self._control.append(body)
        if len(self._control) == 2:
            self.wake()

    def _overrun(self) -> None:
        """Drop the queued messages. `close` drops the streams: that calls into the owner."""
        self.state = LinkState.OVERRUN
        self._mute()
        self.wake()

    def _mute(self) -> None:
        self._is_mute = True
        self._control.clear()

    def offer(self, parts: Sequence[Buffer], size: int, encoding: str) -> Payload:
        """A payload of these parts, for the message that is sent next: inline, or as a stream.

        The parts are not copied; they must not change until they are sent.
        """
        if size <= INLINE_LIMIT:
            return Payload(encoding, size, b"".join(parts))
        return Payload(encoding, size, b"", self.open_stream(Outgoing(size, Pieces(parts))))

    def open_stream(self, stream: Outgoing) -> int:
        """Start a stream; its number here, 0 where nothing can be sent any more."""
        if self._is_mute:
            return 0
        return self._streams.open(stream)

    def push(self, stream: int, chunk: memoryview) -> None:
        """Queue a chunk of a stream that comes from another link."""
        self._streams.push(stream, chunk)

    def abort_stream(self, stream: int) -> None:
        """Tell the receiver of an outgoing stream that the rest will not come."""
        if self._streams.outgoing.pop(stream, None) is not None:
            self.send(StreamReset(stream))

    def stop_stream(self, stream: int) -> None:
        """Tell the sender of an incoming stream to stop. What still comes is dropped."""
        if self._streams.incoming.pop(stream, None) is not None:
            self.send(StreamStop(stream))

    @property
    def has_output(self) -> bool:
        return bool(self._control) or self._streams.sendable

    def data_to_send(self) -> bytes | None:
        """The bytes to send next, about 64 KiB at the most; None if there are none."""
        if self._control:
            data = self._control_to_send()
        elif (taken := self._streams.next_chunk()) is not None:
            stream, position, chunk = taken
            data = b"".join((chunk_header(stream, len(chunk), position), chunk))
        else:
            return None
        self.bytes_sent += len(data)
        return data

    def _control_to_send(self) -> bytes:
        queued = self._control
        if len(queued) <= 64:  # the common case: few messages, which leave together
            data = b"".join(queued)
            if len(data) <= CHUNK_SIZE or len(queued) == 2:
                queued.clear()
                self._backlog = 0
                return data
        size = 0
        for index in range(0, len(queued), 2):
            size += len(queued[index]) + len(queued[index + 1])
            if size > CHUNK_SIZE:
                break
        else:
            index = len(queued)
        index = max(index, 2)
        data = b"".join(queued[:index])
        del queued[:index]
        heads = index // 2
        self._backlog -= len(data) + heads * (QUEUED_COST - CONTROL_HEADER.size)
        return data

    # -- receiving -----------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> Iterator[Message]:
        """Yield the messages for the owner; handle each one before asking for the next.

        Raises
        ------
        ProtocolError
            The peer broke the protocol: close the connection, with this error as the reason.
        """
        self.last_received = now
        self.bytes_received += len(data)
        for record in self._decoder.receive_data(data):
            if self._is_mute:
                return
            kind = type(record)
            if kind is Chunk:
                self._receive_chunk(record)  # type: ignore[arg-type]  # narrowed by `kind`
            elif kind in _LINK_MESSAGES:
                self._handle(record)  # type: ignore[arg-type]  # narrowed by `kind`
            elif kind not in ANNOUNCING or not (
                record.payload.stream and self._announced.is_copy(record)  # type: ignore[union-attr, arg-type]
            ):
                yield record  # type: ignore[misc]  # narrowed by `kind`

    def _receive_chunk(self, chunk: Chunk) -> None:
        if self.state is not LinkState.OPEN:
            raise ProtocolError("data before HELLO")
        self._streams.received(chunk.stream, chunk.position, chunk.data)

    def _handle(self, message: Message) -> None:
        match message:
            case Ping():
                self.send(Pong(message.nonce))
            case Pong() if self._awaits_pong:
                self._awaits_pong = False
                self.latency = self.last_received - self._last_ping
            case Credit():
                self._streams.credit(message.stream, message.size)
            case StreamReset():
                self._streams.was_reset(message.stream)
            case StreamStop():
                self._streams.stopped(message.stream)

    def collect(
        self,
        payload: Payload,
        done: Callable[[Buffer], None],
        on_reset: Callable[[], None] | None = None,
    ) -> Assembly | None:
        """Call ``done`` with the whole payload: now if it is inline, else when all of it came.

        Returns
        -------
        Assembly or None
            What tells how much has come; None where it is inline.

        Raises
        ------
        TooLarge
            The payload is not taken, and its sender was told to stop.
        """
        if payload.stream == 0:
            done(payload.data)
            return None
        self._check_announced(payload)
        try:
            room = allocate(payload.size, self.max_payload)
        except TooLarge:
            self.send(StreamStop(payload.stream))
            raise
        assembly = Assembly(self, payload.stream, room, done, on_reset)
        self._streams.incoming[payload.stream] = assembly
        return assembly

    def relay(self, payload: Payload) -> Relay | None:
        """Hold a payload that will be passed on to another link; None if it is inline."""
        if payload.stream == 0:
            return None
        self._check_announced(payload)
        relay = Relay(self, payload.stream, payload.size)
        self._streams.incoming[payload.stream] = relay
        return relay

    def pass_on(self, payload: Payload, target: Link) -> Payload:
        """The payload as it is on ``target``, for the message that is sent there next."""
        relay = self.relay(payload)
        if relay is None:
            return payload
        return Payload(payload.encoding, payload.size, b"", relay.forward(target))

    def drop(self, payload: Payload) -> None:
        """Refuse a payload that was just announced."""
        if payload.stream:
            self.relay(payload)
            self.stop_stream(payload.stream)

    def _check_announced(self, payload: Payload) -> None:
        if payload.size <= 0 or not self._announced.is_new(payload.stream):
            raise ProtocolError(f"stream {payload.stream} is announced wrongly")

    # -- time ----------------------------------------------------------------------------------

    def next_timeout(self) -> float:
        """When to call `handle_timeout`."""
        if self.state is LinkState.CONNECTING:
            return self._opened + HELLO_TIMEOUT
        quiet_since = max(self.last_received, self._last_ping)
        return min(quiet_since + self.ping_interval, self.last_received + DEAD_AFTER)

    def is_silent(self, now: float) -> bool:
        """Whether the peer has left PINGs unanswered for `SILENT_AFTER`: it may be gone."""
        return self._awaits_pong and now > self.last_received + SILENT_AFTER

    def handle_timeout(self, now: float) -> bool:
        """Send a PING to a silent peer. False if it was silent for too long: close then."""
        if self.state is LinkState.CONNECTING:
            return now < self._opened + HELLO_TIMEOUT
        if self.is_excused:
            self.last_received = now
        if now >= self.last_received + DEAD_AFTER:
            return False
        if now >= max(self.last_received, self._last_ping) + self.ping_interval:
            self.ping(now)
        return True

    def ping(self, now: float) -> None:
        """Ask whether the peer is there, and measure how long the answer takes."""
        self._last_ping = now
        self._awaits_pong = True
        self.send(Ping())


_LINK_MESSAGES = frozenset({Ping, Pong, Credit, StreamReset, StreamStop})


def _asleep() -> None:
    """There is no shell yet."""
