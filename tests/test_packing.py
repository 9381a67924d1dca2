"""Text that has no form in UTF-8 is sent all the same."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from easyremote.events import Display, Progress, Stream, decode, encode
from easyremote.packing import pack
from easyremote.protocol.failures import pack_error, unpack_error
from easyremote.protocol.held import plain_outcome

HALF = "caf\udce9"


def test_half_a_surrogate_becomes_what_jupyter_shows() -> None:
    bar = Progress("1", 0, HALF, 1, 2, "it", None, 0.0, None, "running", leave=True)
    events = [Stream("stdout", HALF), Display({"text/html": HALF, HALF: "x"}), bar]
    [stream, display, progress] = decode(encode(events))
    assert isinstance(stream, Stream) and stream.text == "caf\ufffd"
    assert isinstance(display, Display)
    assert display.data == {"text/html": "caf\ufffd", "caf\ufffd": "x"}
    assert isinstance(progress, Progress) and progress.desc == "caf\ufffd"


@pytest.mark.parametrize(
    "packed",
    [
        lambda: pack_error("raised", HALF, type_name=HALF, details=[{HALF: HALF}]),
        lambda: b"".join(plain_outcome({"variables": {"x": {"text": HALF}}}).parts),
        lambda: pack({"bytes": b"\xff", "text": HALF}),
    ],
)
def test_errors_and_answers_with_such_text_arrive(packed: object) -> None:
    assert callable(packed)
    assert "caf\ufffd" in str(msgspec.msgpack.decode(packed()))


def test_an_error_keeps_its_code() -> None:
    code, message, _ = unpack_error(pack_error("raised", HALF))
    assert (code, message) == ("raised", "caf\ufffd")


texts = st.text(st.characters(exclude_categories=()))


@given(st.recursive(texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner)))
def test_no_text_that_python_can_hold_is_refused(value: object) -> None:
    msgspec.msgpack.decode(pack(value))
