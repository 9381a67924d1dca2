"""What Output widgets catch in a run without a user becomes their contents, and is shown once."""

from __future__ import annotations

from typing import Any

import pytest

from easyremote.events import (
    ClearOutput,
    Comm,
    CommMessage,
    Display,
    ErrorShown,
    Event,
    Progress,
    Stream,
)
from easyremote_jupyter.output.caught import Caught


def state(comm_id: str, **values: Any) -> CommMessage:
    return CommMessage(comm_id, {"method": "update", "state": values, "buffer_paths": []})


START, STOP = state("out", msg_id="cell"), state("out", msg_id="")


@pytest.fixture
def said() -> list[Any]:
    return []


@pytest.fixture
def caught(said: list[Any]) -> Caught:
    def say(event: Comm) -> None:
        said.append((event.comm_id, event.data["state"]))

    return Caught(say)


def contents(said: list[Any]) -> Any:
    ((comm_id, found),) = said
    assert comm_id == "out"
    return found["outputs"]


def test_what_is_shown_meanwhile_is_the_widgets(caught: Caught, said: list[Any]) -> None:
    assert not caught.take(Stream("stdout", "before"))
    events: list[Event] = [
        START,
        Stream("stdout", "a"),
        Stream("stdout", "b"),
        Display({"text/plain": "d"}),
        ErrorShown("E", "v", "trace"),
        STOP,
    ]
    assert all(caught.take(event) for event in events)
    assert not caught.take(Stream("stdout", "after"))
    assert [each["output_type"] for each in contents(said)] == ["stream", "display_data", "error"]
    assert contents(said)[0]["text"] == "ab"


@pytest.mark.parametrize("wait", [True, False])
def test_the_next_run_of_interact_replaces_the_last(
    caught: Caught, said: list[Any], wait: bool
) -> None:
    for text in ("first", "second"):
        for event in (START, ClearOutput(wait), Stream("stdout", text), STOP):
            caught.take(event)
    assert [found["outputs"][0]["text"] for _, found in said] == ["first", "second"]


def test_widgets_can_be_nested_and_a_cell_can_end_in_the_middle(
    caught: Caught, said: list[Any]
) -> None:
    for event in (
        START,
        Stream("stdout", "1"),
        state("inner", msg_id="cell"),
        Stream("stdout", "2"),
    ):
        assert caught.take(event)
    caught.finish()
    assert [(comm_id, found["outputs"][0]["text"]) for comm_id, found in said] == [
        ("inner", "2"),
        ("out", "1"),
    ]


def test_what_a_widget_says_besides_is_passed_on(caught: Caught, said: list[Any]) -> None:
    caught.take(state("out", msg_id="cell", layout="wide"))
    assert said == [("out", {"layout": "wide"})]
    assert not caught.take(state("slider", value=3))
    bar = Progress("1", 0, "", 1, 2, "it", None, 0.0, None, "running", True, "", False)
    assert not caught.take(bar)
