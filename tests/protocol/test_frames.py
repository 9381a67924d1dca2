"""Records: split anywhere, damaged, too large."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easyremote.errors import ProtocolError
from easyremote.protocol import frames
from easyremote.protocol.frames import (
    CHUNK_SIZE,
    CONTROL_HEADER,
    MAX_CONTROL,
    Chunk,
    FrameDecoder,
    chunk_header,
    control_record,
)
from easyremote.protocol.messages import Cancel, GoingAway, Message, Ping, encode

RECORDS = (
    control_record(encode(Ping(7)))
    + chunk_header(3, 5, 70_000)
    + b"hello"
    + control_record(encode(Cancel(9, kill=True)))
)


def read(decoder: FrameDecoder, data: bytes) -> list[Message | tuple[int, int, bytes]]:
    return [
        (record.stream, record.position, bytes(record.data))
        if isinstance(record, Chunk)
        else record
        for record in decoder.receive_data(data)
    ]


@pytest.mark.parametrize("at", range(len(RECORDS) + 1))
def test_records_split_at_any_byte_are_the_same(at: int) -> None:
    decoder = FrameDecoder()
    got = read(decoder, RECORDS[:at]) + read(decoder, RECORDS[at:])
    assert got == [Ping(7), (3, 70_000, b"hello"), Cancel(9, kill=True)]


def test_records_byte_by_byte_are_the_same() -> None:
    decoder = FrameDecoder()
    got = [each for byte in RECORDS for each in read(decoder, bytes([byte]))]
    assert got == [Ping(7), (3, 70_000, b"hello"), Cancel(9, kill=True)]


class CountingHeader:
    """Counts how often the head of a record is read."""

    def __init__(self) -> None:
        self.reads = 0

    def unpack_from(self, data: memoryview, at: int) -> tuple[int, ...]:
        self.reads += 1
        return CONTROL_HEADER.unpack_from(data, at)


def test_a_record_in_many_pieces_is_not_joined_anew_for_each_piece(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A megabyte in pieces of one byte would be copied a million times."""
    header = CountingHeader()
    record = control_record(encode(GoingAway("x" * 10_000)))
    decoder = FrameDecoder()
    decoder.max_control = MAX_CONTROL
    monkeypatch.setattr(frames, "CONTROL_HEADER", header)
    rest = decoder._rest
    got = []
    for byte in record:
        got += decoder.receive_data(bytes([byte]))
        assert decoder._rest is rest, "it grows in place"
    assert got == [GoingAway("x" * 10_000)]
    assert header.reads == 2, "when the head was there, and when all of it was"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x02\x00\x00\x00\x07x", "kind 7"),
        (b"\x00\x00\x00\x00\x00", "control record of 0"),
        (b"\xff\xff\xff\xff\x00", "control record"),
        (b"\x03\x00\x00\x00\x01", "chunk record of 3"),
        ((CHUNK_SIZE + 14).to_bytes(4, "little") + b"\x01", "chunk record"),
        (b"\x02\x00\x00\x00\x00\xc1", "not a message"),
        (control_record(b"\x91\xcc\xff"), "not a message"),
    ],
)
def test_a_broken_record_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        read(FrameDecoder(), data)


def test_before_hello_only_little_is_taken() -> None:
    decoder = FrameDecoder()
    large = control_record(b"\xc4" + b"x" * 5000)
    with pytest.raises(ProtocolError, match="control record"):
        read(decoder, large)
    decoder = FrameDecoder()
    decoder.max_control = MAX_CONTROL
    with pytest.raises(ProtocolError, match="not a message"):
        read(decoder, large)


def test_a_message_that_nobody_would_take_is_not_made() -> None:
    with pytest.raises(ProtocolError, match="is above"):
        control_record(bytes(MAX_CONTROL))


@given(st.binary(max_size=400))
def test_garbage_is_refused_or_waited_for_and_never_anything_else(data: bytes) -> None:
    try:
        read(FrameDecoder(), data)
    except ProtocolError:
        pass
