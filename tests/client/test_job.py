"""`RemoteJob` by itself: what its call shows, in whatever order threads run."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from easyremote.client.connection import Line
from easyremote.client.job import RemoteJob
from easyremote.events import Stream, encode


class FakeLine:
    """Stands in for the line to the gateway, which is told what was seen."""

    def seen(self, job: object, count: int) -> None: ...


def job() -> RemoteJob[Any]:
    return RemoteJob(cast("Line", FakeLine()), "$cell", b"\x00" * 16)


def show(made: RemoteJob[Any], *texts: str) -> None:
    made.event("msgpack", encode([Stream("stdout", text) for text in texts]))


def test_what_comes_just_before_the_end_is_given() -> None:
    made = job()
    events = made.events(0.01)
    assert next(events) is None
    # Between the moment in which nothing was there and the next look, all of the rest comes.
    show(made, "the last words")
    made.finish("", "msgpack", msgspec.msgpack.encode(None))
    assert list(events) == [Stream("stdout", "the last words")]


def test_each_event_is_given_once_and_who_leaves_early_can_come_back() -> None:
    made = job()
    show(made, "a", "b", "c")
    assert next(made.events(0.01)) == Stream("stdout", "a")
    made.finish("", "msgpack", msgspec.msgpack.encode(None))
    assert list(made.events(0.01)) == [Stream("stdout", "b"), Stream("stdout", "c")]
    assert list(made.events(0.01)) == []
