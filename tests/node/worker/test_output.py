"""What leaves an `OutputBuffer`, when, and how much of it."""

from __future__ import annotations

from typing import Any

import pytest

from easyremote.events import (
    ClearOutput,
    CommMessage,
    CommOpen,
    Display,
    DisplayUpdate,
    Event,
    InputRequest,
    Progress,
    Stream,
    StreamName,
    Value,
)
from easyremote.node.worker.output import OutputBuffer


def text(value: str, name: StreamName = "stdout") -> Stream:
    return Stream(name, value)


def display(value: str, display_id: str | None = None, update: bool = False) -> Event:
    kind = DisplayUpdate if update else Display
    return kind({"text/plain": value}, transient={"display_id": display_id})


def clear(wait: bool) -> Event:
    return ClearOutput(wait)


def bar(n: int, state: Any = "running", key: str = "1") -> Progress:
    return Progress(key, 0, "", n, None, "it", None, 0.0, None, state, True)


def shown(*events: Event) -> list[Event]:
    buffer = OutputBuffer()
    for event in events:
        buffer.add(event, 0.0)
    return buffer.take_all()


def test_the_first_output_leaves_at_once_and_the_next_after_the_interval() -> None:
    buffer = OutputBuffer()
    assert buffer.next_flush(1.0) is None
    buffer.add(text("a"), 1.0)
    assert buffer.next_flush(1.0) == 1.0
    assert buffer.take(1.0) == [text("a")]
    buffer.add(text("b"), 1.01)
    assert buffer.next_flush(1.01) == pytest.approx(1.05)
    assert buffer.take(1.02) == []
    assert buffer.take(1.06) == [text("b")]
    assert buffer.next_flush(1.06) is None


def test_streams_are_merged_and_keep_their_order() -> None:
    assert shown(text("a"), text("b"), text("c", "stderr"), text("d")) == [
        text("ab"),
        text("c", "stderr"),
        text("d"),
    ]


def test_very_much_on_both_streams_leaves_as_few_events_each_in_its_order() -> None:
    written = [text(f"{n}\n", "stdout" if n % 2 else "stderr") for n in range(10_000)]
    events = shown(*written)
    assert len(events) <= 70
    for name, first in (("stderr", 0), ("stdout", 1)):
        got = "".join(event.text for event in events if event.name == name)
        assert got == "".join(f"{n}\n" for n in range(first, 10_000, 2))


def test_a_question_leaves_at_once_however_much_was_written() -> None:
    buffer = OutputBuffer(limit=10, tail=5)
    buffer.add(text("x" * 100), 0.0)
    buffer.add(InputRequest(1, "?"), 0.0)
    assert [type(event) for event in buffer.take(0.0)] == [Stream, InputRequest]


def test_of_a_display_only_the_newest_update_leaves() -> None:
    events = shown(display("1", "x"), display("2", "x", update=True), display("3", "x", True))
    assert events == [display("1", "x"), display("3", "x", True)]


@pytest.mark.parametrize("wait", [True, False])
def test_what_would_be_wiped_does_not_leave(wait: bool) -> None:
    assert shown(text("a"), display("b"), clear(wait), text("c")) == [clear(wait), text("c")]


def test_with_a_display_that_is_wiped_its_updates_go_and_those_of_earlier_ones_stay() -> None:
    earlier = display("2", "earlier", update=True)
    events = shown(display("1", "x"), display("2", "x", True), earlier, clear(False), text("c"))
    assert events == [earlier, clear(False), text("c")]


def test_a_waiting_clear_wipes_nothing_until_something_follows() -> None:
    assert shown(text("a"), clear(True)) == [text("a"), clear(True)]


def test_many_frames_leave_as_one() -> None:
    frames = [event for n in range(9) for event in (clear(True), display(str(n)))]
    assert shown(*frames) == [clear(True), display("8")]


def test_of_a_bar_the_newest_state_leaves_ten_times_a_second() -> None:
    buffer = OutputBuffer()
    buffer.add(bar(1), 0.0)
    assert buffer.take(0.0) == [bar(1)]
    buffer.add(bar(2), 0.01)
    buffer.add(bar(3), 0.06)
    assert buffer.take(0.06) == []
    assert buffer.next_flush(0.06) == pytest.approx(0.1)
    assert buffer.take(0.1) == [bar(3)]


def test_of_very_many_bars_each_moves_less_often_and_the_ends_all_leave() -> None:
    buffer, moved, ended = OutputBuffer(), 0, 0
    for tick in range(100):
        now = tick / 100
        for key in range(500):
            buffer.add(bar(tick, key=str(key)), now)
        moved += len(buffer.take(now))
    for key in range(500):
        buffer.add(bar(100, "done", str(key)), 1.0)
    ended = len(buffer.take(1.01))
    assert 500 <= moved <= 1000
    assert ended == 500


def test_the_end_of_a_bar_leaves_with_the_next_batch() -> None:
    buffer = OutputBuffer()
    buffer.add(bar(1), 0.0)
    assert buffer.take(0.0) == [bar(1)]
    buffer.add(bar(2, "done"), 0.01)
    assert buffer.take(0.05) == [bar(2, "done")]


def test_a_bar_stands_before_what_was_printed_after_its_start() -> None:
    buffer = OutputBuffer()
    buffer.add(text("before"), 0.0)
    buffer.add(bar(0), 0.0)
    buffer.add(bar(1), 0.0)
    buffer.add(text("after"), 0.0)
    buffer.add(bar(2, "done"), 0.0)
    assert buffer.take(0.0) == [text("before"), bar(1), text("after"), bar(2, "done")]


def test_of_too_much_output_head_and_tail_are_kept() -> None:
    buffer = OutputBuffer(limit=100, tail=20)
    seen = ""
    for number in range(200):
        buffer.add(text(f"{number:04}\n"), 0.0)
        seen += "".join(event.text for event in buffer.take(number))
    end = buffer.take_all()
    assert seen == "".join(f"{n:04}\n" for n in range(16))
    assert end[0] == text("\n[900 characters left out here]\n", "stderr")
    assert end[-1].text.endswith("0198\n0199\n")
    assert sum(len(event.text) for event in end[1:]) <= 20


def test_one_text_that_is_too_long_is_cut_in_the_middle() -> None:
    buffer = OutputBuffer(limit=100, tail=20)
    buffer.add(text("a" * 80 + "b" * 1000 + "c" * 20), 0.0)
    events = buffer.take_all()
    assert [events[0].text, events[-1].text] == ["a" * 80, "c" * 20]


def test_what_follows_a_text_that_is_too_long_does_not_push_it_out() -> None:
    buffer = OutputBuffer(limit=100, tail=20)
    for written in ("a" * 80 + "b" * 1000, "\n", "c"):
        buffer.add(text(written), 0.0)
    assert buffer.take_all()[-1] == text("b" * 18 + "\nc")


def test_the_value_comes_after_the_tail() -> None:
    buffer = OutputBuffer(limit=10, tail=5)
    buffer.add(text("a" * 30), 0.0)
    buffer.add(Value({"text/plain": "x" * 100}), 0.0)
    assert [type(event) for event in buffer.take_all()][-2:] == [Stream, Value]


def test_clearing_makes_room_again() -> None:
    buffer = OutputBuffer(limit=100, tail=20)
    for _ in range(50):
        buffer.add(clear(True), 0.0)
        buffer.add(text("x" * 50), 0.0)
    assert buffer.take_all() == [clear(True), text("x" * 50)]


def value(n: int, comm: str = "a", name: str = "value") -> CommMessage:
    data = {"method": "update", "state": {name: n}, "buffer_paths": []}
    return CommMessage(comm, data)


def caught_by(msg_id: str, comm: str = "out") -> Event:
    return value(msg_id, comm, "msg_id")  # type: ignore[arg-type]  # this one is a text


def opened(comm: str) -> Event:
    return CommOpen(comm)


def test_of_a_widgets_values_the_newest_leaves() -> None:
    moves = [event for n in range(1000) for event in (value(n), text("."), value(n, "b"))]
    assert shown(*moves) == [value(999), text("."), value(999, "b"), text("." * 999)]


@pytest.mark.parametrize("between", [opened("b"), value(1, name="max"), display("x"), clear(False)])
def test_what_can_depend_on_a_value_keeps_its_place_behind_it(between: Event) -> None:
    assert shown(value(1), between, value(2)) == [value(1), between, value(2)]


def test_what_an_output_catches_stays_between_its_messages() -> None:
    events = [text("a"), caught_by("m"), text("b"), caught_by(""), text("c"), caught_by("m")]
    assert shown(*events) == events


def test_clearing_an_output_wipes_nothing_of_the_cells() -> None:
    before, after = [text("a"), caught_by("m")], [caught_by(""), text("c")]
    assert shown(*before, text("b"), clear(False), *after) == [*before, clear(False), *after]


def test_what_widgets_say_is_never_left_out_and_keeps_its_order() -> None:
    buffer = OutputBuffer(limit=100, tail=20)
    for n in range(50):
        for event in (opened(str(n)), text(f"{n:09}\n")):
            buffer.add(event, 0.0)
    events = buffer.take_all()
    comms = [event.comm_id for event in events if isinstance(event, CommOpen)]
    assert comms == [str(n) for n in range(50)]
    assert events[-3:] == [text(f"{48:09}\n"), opened("49"), text(f"{49:09}\n")]
    buffer.add(text("x" * 200), 0.0)
    buffer.add(opened("last"), 0.0)
    buffer.add(clear(False), 0.0)
    assert [type(event) for event in buffer.take_all()] == [CommOpen, ClearOutput]
