"""Streams under credits: both ends, the relay between them, and whose turn it is."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Callable

import pytest

from easyremote.errors import ProtocolError
from easyremote.protocol.frames import CHUNK_SIZE, Chunk, FrameDecoder, chunk_header, control_record
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    Credit,
    Message,
    Payload,
    StreamReset,
    StreamStop,
    encode,
)
from easyremote.protocol.streams import INITIAL_WINDOW, SHORT, WINDOW, Outgoing, Pieces
from tests.protocol.wires import deliver, open_link, sent_by

PIECE = bytes(range(256)) * 4096  # 1 MiB


class Reader:
    """The receiving end of one stream on a link, as an owner of the link sees it."""

    def __init__(self, size: int) -> None:
        self.link = open_link()
        self.bodies: list[bytes] = []
        self.resets = self._sent = 0
        self.link.collect(
            Payload("pickle5", size, b"", 1),
            lambda body: self.bodies.append(bytes(body)),
            self._reset,
        )

    def _reset(self) -> None:
        self.resets += 1

    def send(self, chunk: bytes) -> None:
        self.send_at(self._sent, chunk)
        self._sent += len(chunk)

    def send_at(self, position: int, chunk: bytes) -> None:
        list(self.link.receive_data(chunk_header(1, len(chunk), position) + chunk, 0.0))

    def send_all(self, data: bytes) -> None:
        for start in range(0, len(data), CHUNK_SIZE):
            self.send(data[start : start + CHUNK_SIZE])


def tell(link: Link, message: Message) -> None:
    assert list(link.receive_data(control_record(encode(message)), 0.0)) == []


def chunks_of(link: Link) -> list[tuple[int, int]]:
    """Stream and length of each chunk that the link has to send."""
    decoder = FrameDecoder()
    found = []
    while (data := link.data_to_send()) is not None:
        for record in decoder.receive_data(data):
            assert isinstance(record, Chunk)
            found.append((record.stream, len(record.data)))
    return found


# -- the sending end -------------------------------------------------------------------------------


def test_without_credit_only_the_initial_window_is_sent() -> None:
    link = open_link()
    link.offer([PIECE], len(PIECE), "pickle5")
    assert chunks_of(link) == [(1, INITIAL_WINDOW)]
    assert not link.has_output


def test_each_credit_lets_as_many_bytes_out_and_none_after_the_last() -> None:
    link = open_link()
    link.offer([PIECE[:100_000]], 100_000, "pickle5")
    chunks_of(link)
    tell(link, Credit(1, 10))
    assert chunks_of(link) == [(1, 10)]
    tell(link, Credit(1, WINDOW))
    assert chunks_of(link) == [(1, 100_000 - INITIAL_WINDOW - 10)]
    tell(link, Credit(1, WINDOW))  # it crossed the last chunk
    assert not link.has_output


def test_streams_take_turns() -> None:
    link = open_link()
    for _ in range(3):
        link.offer([PIECE], len(PIECE), "pickle5")
    for stream in (1, 2, 3):
        tell(link, Credit(stream, CHUNK_SIZE))
    assert chunks_of(link) == [(stream, CHUNK_SIZE) for stream in (1, 2, 3, 1, 2, 3)]


def test_a_stream_without_credit_holds_up_no_other() -> None:
    link = open_link()
    link.offer([PIECE], len(PIECE), "pickle5")
    chunks_of(link)
    link.offer([PIECE], CHUNK_SIZE, "pickle5")
    assert chunks_of(link) == [(2, CHUNK_SIZE)]


@pytest.mark.parametrize("size", [0, -1, WINDOW, 1 << 63])
def test_a_credit_that_can_not_be_meant_is_refused(size: int) -> None:
    link = open_link()
    link.offer([PIECE], len(PIECE), "pickle5")
    with pytest.raises(ProtocolError, match="a credit of"):
        tell(link, Credit(1, size))


def test_credits_never_go_below_zero() -> None:
    stream = Outgoing(len(PIECE), Pieces([PIECE]))
    while stream.sendable():
        stream.take(50_000)
        assert stream.credit >= 0
    assert stream.credit == 0
    assert stream.unsent == len(PIECE) - INITIAL_WINDOW


def test_a_stopped_stream_leaves_its_place_to_the_next() -> None:
    link = open_link()
    link.offer([PIECE], len(PIECE), "pickle5")
    link.offer([PIECE], len(PIECE), "pickle5")
    tell(link, StreamStop(1))
    assert chunks_of(link) == [(2, INITIAL_WINDOW)]


def test_pieces_of_any_shape_arrive_as_they_lie() -> None:
    link, reader = open_link(), Reader(1024)
    shaped = memoryview(PIECE[:1000]).cast("B", (10, 100))
    link.offer([shaped.cast("B"), b"", bytearray(PIECE[1000:1024])], 1024, "pickle5")
    stream = Outgoing(1024, Pieces([shaped, b"", bytearray(PIECE[1000:1024])]))
    link.open_stream(stream)
    deliver(link, reader.link)
    assert reader.bodies == [PIECE[:1024]]


# -- the receiving end that keeps the bytes --------------------------------------------------------


def test_a_receiver_welcomes_no_more_than_a_window_ahead() -> None:
    size = 3 * WINDOW
    reader = Reader(size)
    assert sent_by(reader.link) == [Credit(1, WINDOW - INITIAL_WINDOW)]
    reader.send_all(bytes(WINDOW // 2))
    assert not reader.link.has_output
    reader.send(b"x")
    assert sent_by(reader.link) == [Credit(1, WINDOW // 2 + 1)]


def test_a_receiver_welcomes_no_more_than_the_payload() -> None:
    reader = Reader(INITIAL_WINDOW + 5)
    assert sent_by(reader.link) == [Credit(1, 5)]
    reader.send(bytes(INITIAL_WINDOW))
    reader.send(b"12345")
    assert not reader.link.has_output
    assert reader.bodies == [bytes(INITIAL_WINDOW) + b"12345"]


def test_near_the_end_nothing_more_is_welcomed() -> None:
    reader = Reader(WINDOW)
    sent_by(reader.link)
    reader.send_all(bytes(WINDOW - CHUNK_SIZE))
    assert not reader.link.has_output


def test_a_stream_longer_than_announced_is_refused() -> None:
    reader = Reader(100)
    with pytest.raises(ProtocolError, match="stream 1 is longer than it was announced"):
        reader.send(bytes(101))


def test_chunks_after_the_end_of_their_stream_are_dropped() -> None:
    reader = Reader(3)
    reader.send(b"abc")
    reader.send(b"def")
    assert reader.bodies == [b"abc"]


def test_a_reset_or_the_end_of_the_link_tells_the_receiver_once() -> None:
    for end in (lambda link: tell(link, StreamReset(1)), Link.close):
        reader = Reader(100)
        end(reader.link)
        reader.link.close()
        assert reader.resets == 1
        assert reader.bodies == []


def test_a_receiver_need_not_care_for_a_reset() -> None:
    link = open_link()
    link.collect(Payload("pickle5", 100, b"", 1), lambda body: None)
    tell(link, StreamReset(1))


# -- the relay -------------------------------------------------------------------------------------


class Between:
    """A sender, a relay between two links, and a reader at the far end."""

    def __init__(self, size: int) -> None:
        self.sender, self.source, self.target = open_link(), open_link(), open_link()
        payload = self.sender.offer([PIECE * 40], size, "pickle5")
        found = self.source.relay(payload)
        assert found is not None
        self.relay = found
        self.size = size

    def exchange(self, far: Link, *, until: Callable[[], bool] = lambda: False) -> int:
        """Pass everything on; the most that the middle has held at a time."""
        most = 0
        links = (self.sender, self.source, self.target, far)
        while any(link.has_output for link in links) and not until():
            if (data := self.sender.data_to_send()) is not None:
                list(self.source.receive_data(data, 0.0))
            deliver(self.source, self.sender)
            most = max(most, sum(size for size in self.waiting()))
            deliver(self.target, far)
            deliver(far, self.target)
        return most

    def waiting(self) -> list[int]:
        waiting = [stream.pieces for stream in self.target._streams.outgoing.values()]
        return [len(piece._tail) + sum(map(len, piece._views)) for piece in waiting]


def test_an_inline_payload_needs_no_relay() -> None:
    assert open_link().relay(Payload("pickle5", 3, b"abc")) is None


def test_a_relay_holds_the_initial_window_until_it_is_told_where_to() -> None:
    between = Between(10 * len(PIECE))
    deliver(between.sender, between.source)
    assert not between.sender.has_output
    assert not between.relay.is_complete
    reader = Reader(10 * len(PIECE))
    assert between.relay.forward(between.target) == 1
    between.exchange(reader.link)
    assert between.relay.is_complete
    assert reader.bodies == [PIECE * 10]


def test_a_relay_never_holds_more_than_its_receiver_welcomed() -> None:
    size = 40 * len(PIECE)
    between, reader = Between(size), Reader(size)
    between.relay.forward(between.target)
    most = between.exchange(reader.link)
    assert 0 < most <= WINDOW
    assert reader.bodies == [PIECE * 40]


def test_a_sender_that_ignores_the_relays_credit_is_refused() -> None:
    between = Between(len(PIECE))
    data = bytes(CHUNK_SIZE)
    list(between.source.receive_data(chunk_header(1, CHUNK_SIZE) + data, 0.0))
    more = chunk_header(1, CHUNK_SIZE, CHUNK_SIZE) + data
    with pytest.raises(ProtocolError, match="stream 1 has more bytes than were granted"):
        list(between.source.receive_data(more, 0.0))


def test_a_chunk_that_has_come_before_changes_nothing() -> None:
    """Else the right number of bytes would make a wrong value."""
    reader = Reader(300_000)
    for start in range(0, 300_000, 50_000):
        for _ in range(2):
            reader.send_at(start, PIECE[start : start + 50_000])
    reader.send_at(250_000, PIECE[250_000:300_000])
    assert reader.bodies == [PIECE[:300_000]]


def test_a_relay_passes_a_repeated_chunk_on_once() -> None:
    between, reader = Between(100_000), Reader(100_000)
    between.relay.forward(between.target)
    record = between.sender.data_to_send()
    assert record is not None
    for _ in range(2):
        list(between.source.receive_data(record, 0.0))
    between.exchange(reader.link)
    assert reader.bodies == [PIECE[:100_000]]


def test_a_gap_in_a_stream_is_refused() -> None:
    reader = Reader(300_000)
    reader.send_at(0, PIECE[:50_000])
    with pytest.raises(ProtocolError, match="byte 60000 of stream 1 came where byte 50000 is"):
        reader.send_at(60_000, PIECE[:50_000])


def test_a_stream_longer_than_its_relay_expects_is_refused() -> None:
    link = open_link()
    link.relay(Payload("pickle5", 3, b"", 1))
    with pytest.raises(ProtocolError, match="stream 1 has more bytes than were granted"):
        list(link.receive_data(chunk_header(1, 4) + b"abcd", 0.0))


def test_a_reset_of_the_source_passes_through_a_relay() -> None:
    between, reader = Between(len(PIECE)), Reader(len(PIECE))
    between.relay.forward(between.target)
    between.sender.abort_stream(1)
    between.exchange(reader.link)
    assert reader.resets == 1


def test_a_reset_before_it_is_told_where_to_is_the_end_of_a_relay() -> None:
    between, heard = Between(len(PIECE)), list[str]()
    between.relay.on_reset = lambda: heard.append("reset")
    between.sender.abort_stream(1)
    deliver(between.sender, between.source)
    assert heard == ["reset"]
    assert not between.source.has_output
    assert not between.target.has_output


def test_a_relay_tells_how_much_has_come_whose_turn_it_is_and_when_all_is_there() -> None:
    size = 10 * len(PIECE)
    between, reader, heard = Between(size), Reader(size), list[int]()
    between.relay.on_complete = lambda: heard.append(between.relay.received)
    assert (between.relay.received, between.relay.is_awaited) == (0, True)
    deliver(between.sender, between.source)
    assert (between.relay.received, between.relay.is_awaited) == (INITIAL_WINDOW, False)
    assert heard == []
    between.relay.forward(between.target)
    between.exchange(reader.link)
    assert heard == [size]
    assert not between.relay.is_awaited


def test_a_relay_that_is_given_up_ends_on_both_sides() -> None:
    between, reader = Between(len(PIECE)), Reader(len(PIECE))
    between.relay.forward(between.target)
    between.relay.give_up()
    between.relay.give_up()  # safe to repeat
    between.exchange(reader.link)
    assert reader.resets == 1
    assert not between.sender._streams.outgoing


def test_a_relay_that_is_given_up_before_it_is_told_where_to_stops_its_source() -> None:
    between = Between(len(PIECE))
    between.relay.give_up()
    assert sent_by(between.source) == [StreamStop(1)]
    assert not between.target.has_output


def test_a_receiver_that_stops_is_heard_at_the_source() -> None:
    between, reader = Between(len(PIECE)), Reader(len(PIECE))
    between.relay.forward(between.target)
    reader.link.stop_stream(1)
    between.exchange(reader.link)
    assert not between.sender.has_output
    tell(between.sender, Credit(1, 10))
    assert not between.sender.has_output


def test_chunks_that_come_for_a_receiver_that_has_stopped_are_dropped() -> None:
    between = Between(len(PIECE))
    between.relay.forward(between.target)
    tell(between.target, StreamStop(1))
    assert sent_by(between.source) == [StreamStop(1)]
    deliver(between.sender, between.source)
    assert not between.target.has_output


def test_the_end_of_the_source_resets_the_target_and_that_of_the_target_stops_the_source() -> None:
    between = Between(len(PIECE))
    between.relay.forward(between.target)
    between.source.close()
    assert sent_by(between.target) == [StreamReset(1)]
    between = Between(len(PIECE))
    between.relay.forward(between.target)
    between.target.close()
    assert sent_by(between.source) == [StreamStop(1)]


def message_with(stream: int, piece: bytes) -> bytes:
    """A message of 1 MB that holds one chunk of this stream, and much that nobody wants."""
    unwanted = chunk_header(999, CHUNK_SIZE) + bytes(CHUNK_SIZE)
    return chunk_header(stream, len(piece)) + piece + unwanted * 16


@pytest.mark.parametrize("size", [1, SHORT - 1, SHORT, 10_000])
@pytest.mark.parametrize("is_forwarded", [False, True], ids=["held", "passed on"])
def test_a_small_chunk_does_not_keep_the_message_alive_in_which_it_came(
    size: int, is_forwarded: bool
) -> None:
    link, target = open_link(), open_link()
    relays = [link.relay(Payload("pickle5", 1 << 20, b"", number)) for number in range(1, 31)]
    if is_forwarded:
        for relay in relays:
            assert relay is not None
            relay.forward(target)
    tracemalloc.start()
    try:
        for number in range(1, 31):
            list(link.receive_data(message_with(number, bytes(size)), 0.0))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 30 * (2 * size + 3000), f"{kept:,} bytes for 30 chunks of {size}"


def test_chunks_of_one_byte_cost_little_more_than_their_bytes() -> None:
    link, target, far = open_link(), open_link(), open_link()
    size = 8 * 1024
    payload = Payload("pickle5", size, b"", 1)
    relay = link.relay(payload)
    assert relay is not None
    whole = PIECE[:size]
    records = [chunk_header(1, 1, at) + whole[at : at + 1] for at in range(size)]
    tracemalloc.start()
    try:
        list(link.receive_data(b"".join(records), 0.0))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 5 * size
    bodies: list[bytes] = []
    passed = Payload("pickle5", size, b"", relay.forward(target))
    far.collect(passed, lambda body: bodies.append(bytes(body)))
    assert relay.is_complete
    deliver(target, far)
    assert bodies == [whole]


def test_chunks_of_every_size_stay_in_order() -> None:
    between = Between(len(PIECE))
    between.sender.abort_stream(1)
    whole = PIECE[: INITIAL_WINDOW - 1000]
    sizes = itertools.cycle([1, SHORT - 1, SHORT, 7, 20_000, 300])
    at = 0
    while at < len(whole):
        piece = whole[at : at + next(sizes)]
        list(between.source.receive_data(chunk_header(1, len(piece), at) + piece, 0.0))
        at += len(piece)
    between.relay.forward(between.target)
    got = b""
    decoder = FrameDecoder()
    while (data := between.target.data_to_send()) is not None:
        for record in decoder.receive_data(data):
            assert isinstance(record, Chunk)
            got += record.data
    assert got == whole


def test_a_relay_knows_whose_turn_it_is() -> None:
    between = Between(10 * len(PIECE))
    assert between.relay.is_awaited
    deliver(between.sender, between.source)
    assert not between.relay.is_awaited, "the initial window has come"
    between.relay.forward(between.target)
    deliver(between.target, open_link())
    tell(between.target, Credit(1, 10))
    assert between.relay.is_awaited


@pytest.mark.parametrize("is_forwarded", [False, True], ids=["held", "passed on"])
def test_a_relay_that_is_given_up_tells_both_sides(is_forwarded: bool) -> None:
    between = Between(len(PIECE))
    if is_forwarded:
        between.relay.forward(between.target)
    between.relay.give_up()
    between.relay.give_up()
    assert sent_by(between.source) == [StreamStop(1)]
    assert sent_by(between.target) == ([StreamReset(1)] if is_forwarded else [])


def test_a_relay_to_a_link_that_is_closed_already_drops_what_comes() -> None:
    between = Between(len(PIECE))
    between.target.close()
    assert between.relay.forward(between.target) == 0
    deliver(between.sender, between.source)
    assert not between.target.has_output


def test_a_link_that_ends_tells_whoever_feeds_its_streams_if_there_is_anybody() -> None:
    link = open_link()
    link.offer([PIECE], len(PIECE), "pickle5")
    link.close()
    assert not link.has_output


def test_a_closed_link_keeps_nothing_of_its_streams() -> None:
    link = open_link()
    link.offer([PIECE], len(PIECE), "pickle5")
    link.relay(Payload("pickle5", len(PIECE), b"", 4))
    link.close()
    assert not link._streams.outgoing
    assert not link._streams.incoming
    assert not link._streams.sendable
