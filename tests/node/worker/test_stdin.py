"""Questions of a cell, their answers, and what is said where nobody can be asked."""

from __future__ import annotations

import threading

import pytest

from easyremote.events import InputRequest
from easyremote.node.worker.stdin import NOBODY, Stdin
from easyremote.protocol.requests import InputReply


@pytest.fixture
def asked() -> list[InputRequest]:
    return []


@pytest.fixture
def stdin(asked: list[InputRequest]) -> Stdin:
    """One whose questions are answered by another thread as soon as they are asked."""

    def emit(event: InputRequest) -> None:
        asked.append(event)
        reply = ("", "no terminal") if event.prompt == "?" else (f"to {event.prompt}", "")
        threading.Thread(target=made.answer, args=(InputReply(event.number, *reply),)).start()

    made = Stdin(emit)
    made.refusal = ""
    return made


def test_a_question_gets_its_answer(stdin: Stdin, asked: list[InputRequest]) -> None:
    assert stdin.input("Name: ") == "to Name: "
    assert stdin.getpass() == "to Password: "
    assert [event.password for event in asked] == [False, True]


def test_a_question_that_could_not_be_asked_says_so(stdin: Stdin) -> None:
    with pytest.raises(EOFError, match="no terminal"):
        stdin.input("?")


def test_where_nobody_can_be_asked_it_fails_at_once(asked: list[InputRequest]) -> None:
    with pytest.raises(EOFError, match=NOBODY):
        Stdin(asked.append).input()  # type: ignore[arg-type]  # a list's append takes anything
    assert asked == []


def test_an_answer_that_nobody_waits_for_is_told(stdin: Stdin) -> None:
    assert not stdin.answer(InputReply(99, "late"))
