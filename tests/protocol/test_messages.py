"""What goes through the encoder and the decoder, of both versions of a peer."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from easyremote.protocol.messages import (
    LONGEST_TIME,
    Finished,
    Hello,
    Payload,
    Ping,
    Submit,
    decode,
    encode,
)

WHOLE = st.integers(-(2**63), 2**64 - 1)
IDS = st.binary(min_size=16, max_size=16)
SECONDS = st.floats(0, LONGEST_TIME)
PAYLOADS = st.builds(
    Payload,
    st.text(max_size=32),
    st.integers(0, 2**62),
    st.binary(),
    st.integers(0, 2**32 - 1),
)


@given(st.builds(Submit, WHOLE, IDS, st.text(), st.text(), PAYLOADS, st.text(), SECONDS))
def test_a_call_is_read_as_it_was_written(submit: Submit) -> None:
    assert decode(encode(submit)) == submit


@given(st.builds(Finished, WHOLE, PAYLOADS, st.text(), st.booleans(), SECONDS))
def test_an_outcome_is_read_as_it_was_written(finished: Finished) -> None:
    assert decode(memoryview(encode(finished))) == finished


def test_what_an_older_peer_leaves_out_has_its_default() -> None:
    body = msgspec.msgpack.encode([1, [1, 0], "client", "key", "me", bytes(16)])
    assert decode(body) == Hello((1, 0), "client", "key", "me", bytes(16), 0.0, {}, ())


def test_what_a_newer_peer_appends_is_ignored() -> None:
    newer = [13, 7, ["json", 1, b"3", 0, "zstd"], "", True, 0.5, 3, 1, None, {"more": []}]
    assert decode(msgspec.msgpack.encode(newer)) == Finished(
        7, Payload("json", 1, b"3"), "", True, 0.5, 3, 1
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"\xc1", b"\x05", b"\x90", b"\x91\xcc\xff", b"\x92\x05\xa1x", b"\x91\x05\x00"],
    ids=["nothing", "no msgpack", "no array", "no tag", "unknown tag", "a type", "a rest"],
)
def test_what_is_no_message_is_one_kind_of_error(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(body)


def test_a_message_costs_few_bytes() -> None:
    assert len(encode(Ping())) == 3
    assert len(encode(Submit(1, bytes(16), "n", "f", Payload("json", 1, b"3")))) < 100
