"""Links without sockets: what one has to send, brought to the other as bytes.

A `Wire` keeps what is under way as records, so that a test can let it through in pieces of any
size, deliver a message twice, or change the order of two records.
"""

from __future__ import annotations

from collections.abc import Iterator

from easyremote.protocol.frames import CHUNK, MAX_CONTROL, Chunk, FrameDecoder
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    Cancel,
    Credit,
    Delivered,
    Event,
    Finished,
    HandBack,
    Message,
    Ping,
    Pong,
    Resume,
    Started,
    StreamReset,
    StreamStop,
    Submit,
    decode,
)

#: What a reconnection says again.
REPEATED = Submit | Resume | Finished | Event | Cancel | Delivered
#: What a node says of one call; whoever waits for it puts it in order by ``seq``.
NUMBERED = Started | Event | Finished


def open_link(now: float = 0.0) -> Link:
    link = Link(now)
    link.open(now)
    return link


def deliver(source: Link, target: Link, now: float = 0.0) -> list[Message]:
    """Bring over all that one link has to send; what the other's owner gets."""
    messages: list[Message] = []
    while (data := source.data_to_send()) is not None:
        messages += target.receive_data(data, now)
    return messages


def sent_by(link: Link) -> list[Message]:
    """The messages that a link has to send, those of its own included."""
    decoder = FrameDecoder()
    decoder.max_control = MAX_CONTROL
    records: list[Message | Chunk] = []
    while (data := link.data_to_send()) is not None:
        records += decoder.receive_data(data)
    return [record for record in records if not isinstance(record, Chunk)]


class Wire:
    """Two links and what is under way between them."""

    def __init__(self, now: float) -> None:
        self.ends = (open_link(now), open_link(now))
        #: The records from each end, oldest first.
        self._records: tuple[list[bytes], list[bytes]] = ([], [])
        #: How many bytes of the oldest have arrived.
        self._arrived = [0, 0]

    def take(self, side: int, size: int) -> bytes:
        """The next bytes for this end."""
        self._fill()
        records, arrived = self._records[1 - side], self._arrived[1 - side]
        taken = bytearray()
        while records and len(taken) < size:
            piece = records[0][arrived : arrived + size - len(taken)]
            taken += piece
            arrived += len(piece)
            if arrived == len(records[0]):
                del records[0]
                arrived = 0
        self._arrived[1 - side] = arrived
        return bytes(taken)

    def repeatable(self, side: int) -> list[bytes]:
        """The messages for this end that a reconnection would say again."""
        return [each for each in self._waiting_for(side) if isinstance(_message(each), REPEATED)]

    def repeat(self, side: int, record: bytes) -> None:
        """Send a record after all that is under way."""
        self._fill()
        self._records[1 - side].append(record)

    def swappable(self, side: int) -> list[int]:
        """Of the records for this end, those that may let the next one pass."""
        waiting = self._waiting_for(side)
        pairs = enumerate(zip(waiting, waiting[1:], strict=False))
        return [index for index, (first, second) in pairs if _may_pass(first, second)]

    def swap(self, side: int, index: int) -> None:
        """Change the order of a record for this end and the next."""
        records = self._records[1 - side]
        at = len(records) - len(self._waiting_for(side)) + index
        records[at : at + 2] = [records[at + 1], records[at]]

    def next_record(self, side: int) -> int:
        """How many bytes are missing of the record that comes next to this end."""
        self._fill()
        records, arrived = self._records[1 - side], self._arrived[1 - side]
        return len(records[0]) - arrived if records else 0

    @property
    def is_quiet(self) -> bool:
        self._fill()
        return not any(self._records)

    def _waiting_for(self, side: int) -> list[bytes]:
        """The records of which nothing has arrived yet."""
        self._fill()
        return self._records[1 - side][self._arrived[1 - side] > 0 :]

    def _fill(self) -> None:
        for link, records in zip(self.ends, self._records, strict=True):
            while (data := link.data_to_send()) is not None:
                records += _split(data)


def _split(data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        end = start + 4 + int.from_bytes(data[start : start + 4], "little")
        yield data[start:end]
        start = end


def _message(record: bytes) -> Message | None:
    """The message of a record; None for a chunk."""
    return None if record[4] == CHUNK else decode(record[5:])


def _may_pass(first: bytes, second: bytes) -> bool:
    """Whether two records of one direction say nothing about the same thing."""
    one, other = _message(first), _message(second)
    things, others = _things(first, one), _things(second, other)
    if things is None or others is None:
        return False
    if isinstance(one, NUMBERED) and isinstance(other, NUMBERED):
        things, others = _streams(things), _streams(others)
    return not things & others


Thing = tuple[str, int]
#: The numbers of announced streams rise.
ANNOUNCEMENT = ("announcement", 0)


def _streams(things: set[Thing]) -> set[Thing]:
    return {thing for thing in things if thing[0] != "call"}


def _things(record: bytes, message: Message | None) -> set[Thing] | None:
    """What a record is about: calls, streams; None for the connection as a whole."""
    match message:
        case None:
            return {("stream", int.from_bytes(record[5:9], "little"))}
        case Ping() | Pong():
            return set()
        case StreamReset():
            return {("stream", message.stream)}
        case Credit() | StreamStop():
            return {("stream of the other side", message.stream)}
        case Delivered() | HandBack():
            return {("call", number) for number in message.calls}
        case _ if hasattr(message, "call"):
            payload = getattr(message, "payload", None)
            streams = (
                {("stream", payload.stream), ANNOUNCEMENT} if payload and payload.stream else set()
            )
            return {("call", message.call), *streams}
        case _:
            return None
