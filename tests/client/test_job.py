"""`RemoteJob` by itself: what its call shows, in whatever order threads run."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any, cast

import msgspec
import pytest

from easyremote.client.connection import Line
from easyremote.client.job import RemoteJob
from easyremote.events import Stream, encode
from easyremote.serialize.values import dump
from tests.processes import LIMIT

TURNS = 300


class FakeLine:
    """Stands in for the line to the gateway, which is told what was seen."""

    def seen(self, job: object, count: int) -> None: ...

    def check_may_wait(self) -> None: ...


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


def end(made: RemoteJob[Any]) -> None:
    made.finish("", "pickle5", dump(None).parts[0])


def test_one_that_showed_nothing_has_no_events_whoever_asks_when() -> None:
    early, late = job(), job()
    begun = early.events(0.01)
    assert next(begun) is None
    for each in (early, late):
        end(each)
    assert list(begun) == list(late.events(0.01)) == []


def test_one_for_which_nobody_waits_makes_no_work_for_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        kept = [job() for _ in range(100)]
        made = len(gc.get_objects()) - before
    finally:
        gc.enable()
    assert made < 3.5 * len(kept), "each is the job, its line (a fake here), and their dicts"


def waits(made: RemoteJob[Any]) -> bool:
    return made.exception(LIMIT) is None


def waits_with_others(made: RemoteJob[Any]) -> bool:
    with futures.ThreadPoolExecutor(3) as threads:
        return not any(each.result() for each in [threads.submit(made.result) for _ in range(3)])


def is_told(made: RemoteJob[Any]) -> bool:
    told = threading.Event()
    made.add_done_callback(lambda _: told.set())
    return told.wait(LIMIT)


def is_waited_for_with_others(made: RemoteJob[Any]) -> bool:
    over = job()
    end(over)
    return set(futures.as_completed([made, over], LIMIT)) == {made, over}


def reads(made: RemoteJob[Any]) -> bool:
    return [each for each in made.events(LIMIT) if each is not None] == []


@pytest.mark.parametrize(
    "look", [waits, waits_with_others, is_told, is_waited_for_with_others, reads]
)
def test_whoever_looks_in_the_moment_of_the_end_hears_of_it(
    look: Callable[[RemoteJob[Any]], bool],
) -> None:
    with futures.ThreadPoolExecutor(2) as threads:
        for _ in range(TURNS):
            made, together = job(), threading.Barrier(2)

            def ends(made: RemoteJob[Any] = made, together: threading.Barrier = together) -> None:
                together.wait(LIMIT)
                end(made)

            def looks(made: RemoteJob[Any] = made, together: threading.Barrier = together) -> bool:
                together.wait(LIMIT)
                return look(made)

            ended, heard = threads.submit(ends), threads.submit(looks)
            assert heard.result(LIMIT)
            ended.result(LIMIT)


def test_each_callback_is_called_once_whether_the_job_was_over_or_not() -> None:
    told: list[str] = []
    made = job()
    made.add_done_callback(lambda _: told.append("before"))
    end(made)
    made.add_done_callback(lambda _: told.append("after"))
    alone = job()
    end(alone)
    alone.add_done_callback(lambda _: told.append("after, alone"))
    assert told == ["before", "after", "after, alone"]
    assert made.result(LIMIT) is alone.result(LIMIT) is None


def test_a_wait_ends_in_time_and_the_next_one_gets_the_value() -> None:
    made = job()
    for seconds in (0, 0.01):
        with pytest.raises(TimeoutError):
            made.result(seconds)
        with pytest.raises(TimeoutError):
            made.exception(seconds)
    assert made._blocked == (), "who asks again and again leaves nothing"
    end(made)
    assert made.result(0) is None
