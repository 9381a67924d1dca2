"""Waiting for a job: what is shown, the stop button, questions."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from easyremote.events import Event, InputRequest, Stream
from easyremote_jupyter.output.watch import watch


def text(value: str) -> Stream:
    return Stream("stdout", value)


class ScriptedJob:
    """A job whose events are given; None is a moment in which none comes."""

    def __init__(self, *events: Event | None, stubborn: bool = False) -> None:
        self.script = list(events)
        self.stubborn = stubborn
        self.interrupts = 0
        self.answers: list[tuple[int, str, str]] = []

    def events(self, poll: float) -> Iterator[Event | None]:
        while self.script or self.stubborn:
            event = self.script.pop(0) if self.script else None
            if event is STOP:
                os.kill(os.getpid(), signal.SIGINT)
            yield None if event is STOP else event

    call_id = "00"

    def answer(self, number: int, text: str, error: str = "") -> None:
        self.answers.append((number, text, error))

    def interrupt(self) -> None:
        self.interrupts += 1
        self.script.append(text("last words"))


STOP = text("press stop")


class ListedOutput:
    """Keeps what it is to show."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.interrupts = self.ticks = 0

    def begins(self, job: object) -> None:
        assert not self.events

    def show(self, event: Event) -> None:
        assert isinstance(event, Stream)
        self.events.append(event.text)

    def notice(self, text: str) -> None:
        self.events.append(text)

    def tick(self, job: object) -> None:
        self.ticks += 1

    def interrupted(self, job: object) -> None:
        self.interrupts += 1


def shown(job: ScriptedJob) -> list[str]:
    output = ListedOutput()
    watch(job, output)
    assert output.interrupts == job.interrupts
    return output.events


def test_everything_is_shown_until_the_job_is_done() -> None:
    assert shown(ScriptedJob(text("a"), None, text("b"))) == ["a", "b"]


def test_an_interrupt_goes_to_the_node_and_its_last_words_are_shown() -> None:
    job = ScriptedJob(text("a"), STOP, None)
    assert shown(job) == ["a", "last words"]
    assert job.interrupts == 1


def test_a_second_interrupt_returns_control() -> None:
    job = ScriptedJob(STOP, None, STOP, stubborn=True)
    with pytest.raises(KeyboardInterrupt):
        shown(job)
    assert job.interrupts == 1


def test_a_cell_that_does_not_stop_returns_control(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easyremote_jupyter.output.watch.INTERRUPT_LIMIT", 0.0)
    with pytest.raises(KeyboardInterrupt, match="has been told to stop"):
        shown(ScriptedJob(STOP, stubborn=True))


def test_afterwards_interrupts_are_what_they_were() -> None:
    before = signal.getsignal(signal.SIGINT)
    shown(ScriptedJob())
    assert signal.getsignal(signal.SIGINT) is before


def question(password: bool = False) -> InputRequest:
    return InputRequest(7, "Name? ", password)


def test_a_question_is_asked_here_and_answered_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda prompt: f"answer to {prompt}")
    monkeypatch.setattr("getpass.getpass", lambda prompt: "secret")
    job = ScriptedJob(question(), question(password=True))
    assert shown(job) == []
    assert job.answers == [(7, "answer to Name? ", ""), (7, "secret", "")]


@pytest.mark.parametrize("error", [EOFError(), RuntimeError("no stdin here")])
def test_where_nobody_answers_the_cell_is_told_why(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(prompt: str) -> str:
        raise error

    monkeypatch.setattr("builtins.input", fail)
    job = ScriptedJob(question())
    shown(job)
    assert job.answers == [(7, "", str(error) or "the input has ended")]


def test_the_stop_button_in_a_question_stops_the_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(prompt: str) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the signal is an exception here")

    monkeypatch.setattr("builtins.input", stop)
    job = ScriptedJob(question(), stubborn=False)
    output = ListedOutput()
    watch(job, output)
    assert (job.interrupts, job.answers, output.events) == (1, [], ["last words"])
