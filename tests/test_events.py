"""Events on the wire: what is made is what is read; what is not known is left out."""

from __future__ import annotations

import msgspec

from easyremote.events import (
    ClearOutput,
    CommClose,
    CommMessage,
    CommOpen,
    Display,
    DisplayUpdate,
    ErrorShown,
    InputRequest,
    Progress,
    Stream,
    Value,
    decode,
    encode,
)

EACH = [
    Stream("stdout", "text\n"),
    Display({"text/plain": "x"}, {"a": 1}, {"display_id": "d"}),
    DisplayUpdate({"text/plain": "y"}, {}, {"display_id": "d"}),
    Value({"text/plain": "3"}, {}, 7),
    ClearOutput(wait=True),
    ErrorShown("ValueError", "no", "Traceback ..."),
    InputRequest(3, "Name? ", password=True),
    Progress("1", 0, "fit", 3, 10, "it", 2.0, 1.5, 3.5, "running", leave=True, postfix="loss=1"),
    CommOpen("c", {"state": {}}, {}, [b"bytes"], "jupyter.widget", None, "p"),
    CommMessage("c", {"method": "update"}, {}, [b"\0\1"]),
    CommClose("c"),
]


def test_every_event_arrives_as_it_was_made() -> None:
    assert decode(encode(EACH)) == EACH


def test_an_event_has_the_type_and_fields_of_jupyters_message() -> None:
    [stream] = msgspec.msgpack.decode(encode([Stream("stderr", "oh")]))
    assert stream == {"type": "stream", "name": "stderr", "text": "oh"}


def test_whole_counts_stay_whole() -> None:
    bar = EACH[7]
    [arrived] = decode(encode([bar]))
    assert isinstance(arrived, Progress)
    assert (type(arrived.n), type(arrived.total)) == (int, int)


def test_events_of_a_newer_version_and_broken_ones_are_left_out() -> None:
    newer = {"type": "hologram", "data": 1}
    wrong = {"type": "stream", "name": "exit", "text": "no stream has this name"}
    body = msgspec.msgpack.encode([newer, {"type": "stream", "name": "stdout", "text": "a"}, wrong])
    assert decode(body) == [Stream("stdout", "a")]


def test_what_is_no_list_of_events_shows_nothing() -> None:
    assert decode(msgspec.msgpack.encode("garbage")) == []
    assert decode(b"\xc1") == []
