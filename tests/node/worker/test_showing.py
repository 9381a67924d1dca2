"""What the calls of a process show, with a clock and a loop that the test moves."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from easyremote.events import CommOpen, Event, Stream, decode
from easyremote.node.worker import showing
from easyremote.node.worker.showing import Showing, Work
from easyremote.protocol.builtins import CELL, OUTPUT
from easyremote.protocol.callee import EVENT_WINDOW_BYTES, Callee, LocalCall
from easyremote.protocol.failures import unpack_error
from easyremote.protocol.held import failure, plain_outcome
from easyremote.protocol.messages import Dispatch, Finished, Payload, Seen, Started
from easyremote.protocol.messages import Event as EventMessage
from easyremote.protocol.requests import CallStatus, Replay
from easyremote.protocol.streams import Buffer
from tests.processes import LIMIT
from tests.protocol.wires import open_link, sent_by

VALUE = plain_outcome("value")


class Loop:
    """Runs what is due when the test says so."""

    def __init__(self) -> None:
        self._due: list[tuple[Callable[..., object], tuple[object, ...]]] = []

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: object) -> object:
        self._due.append((callback, args))
        return None

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> object:
        return self.call_soon_threadsafe(callback, *args)

    def run(self) -> None:
        due, self._due = self._due, []
        for callback, args in due:
            callback(*args)


class Process:
    """The link's thread of a process, without a thread and without a link to anybody."""

    def __init__(self) -> None:
        self.calls: list[LocalCall] = []
        self.loop = Loop()
        self.callee = Callee(self)
        self.showing = Showing(self.callee, self.loop)
        self.link = open_link()
        self.callee.attach(self.link)

    def start(self, held: LocalCall, encoding: str, arguments: Buffer) -> None:
        self.calls.append(held)

    def cancel(self, held: LocalCall, *, kill: bool) -> None:
        self.showing.stop_following(held)

    def window_opened(self, held: LocalCall) -> None:
        self.showing.window_opened(held)

    def dispatch(self, number: int, function: str = CELL, session: str = "") -> LocalCall:
        payload = Payload("pickle5", 0, b"")
        self.callee.receive(
            Dispatch(number, bytes([number]) * 16, 0, function, payload, session, owner="alice")
        )
        return self.calls[-1]

    def begins(self, number: int) -> Work:
        """A cell begins to run."""
        work = Work(self.dispatch(number), b"")
        self.showing.call_begins(work.record)
        return work

    def said(self) -> list[Any]:
        """What was sent: of an event what it shows, of an outcome its code."""
        said: list[Any] = []
        for message in sent_by(self.link):
            if isinstance(message, EventMessage):
                said += [(message.call, event) for event in decode(message.payload.data)]
            elif isinstance(message, Finished):
                said.append((message.call, message.code, message.events))
            elif isinstance(message, Started):
                said.append((message.call, "started"))
        return said


def text(value: str) -> Event:
    return Stream("stdout", value)


@pytest.fixture
def process() -> Process:
    return Process()


def test_a_call_shows_what_it_printed_then_its_outcome(process: Process) -> None:
    work = process.begins(1)
    process.showing.emit(text("before it was said to have started\n"))
    process.showing.begin(work)
    process.showing.begin(work)
    process.showing.emit(text("later\n"))
    process.showing.end(work, VALUE)
    process.loop.run()
    assert process.said() == [
        (1, "started"),
        (1, text("before it was said to have started\n")),
        (1, text("later\n")),
        (1, "", 2),
    ]


def late_thread(process: Process, gate: threading.Event) -> threading.Thread:
    """A thread that prints when the gate is open."""
    thread = threading.Thread(
        target=lambda: (gate.wait(LIMIT), process.showing.emit(text("late\n")))
    )
    thread.start()
    return thread


@pytest.mark.parametrize(("is_background", "shown_in"), [(False, 2), (True, 1)])
def test_a_thread_prints_into_the_call_that_runs_unless_a_job_owns_it(
    process: Process, is_background: bool, shown_in: int
) -> None:
    older, gate = process.begins(1), threading.Event()
    older.record.is_background = is_background
    thread = late_thread(process, gate)
    process.showing.call_ended(older.record)
    process.showing.end(older, VALUE)
    newer = process.begins(2)
    gate.set()
    thread.join(LIMIT)
    process.loop.run()
    process.showing.end(newer, VALUE)
    assert ((2, text("late\n")) in process.said()) == (shown_in == 2)
    assert bool(process.showing.take_late()) == (shown_in == 1)


def test_what_is_printed_after_the_end_is_kept_with_its_call_and_counted(process: Process) -> None:
    older, gate = process.begins(1), threading.Event()
    thread = late_thread(process, gate)
    process.showing.call_ended(older.record)
    process.showing.end(older, VALUE)
    gate.set()
    thread.join(LIMIT)
    newer = process.begins(2)
    process.loop.run()
    process.showing.end(newer, VALUE)
    assert (2, text("late\n")) not in process.said()
    assert process.showing.take_late() == [((bytes([1]) * 16).hex(), 5)]
    assert process.showing.take_late() == []
    process.showing.replay(process.dispatch(3, OUTPUT, (bytes([1]) * 16).hex()), Replay())
    assert (3, text("late\n")) in process.said()


def test_a_call_can_be_followed_from_elsewhere_up_to_its_end(process: Process) -> None:
    work = process.begins(1)
    process.showing.begin(work)
    process.showing.emit(text("one\n"))
    process.loop.run()
    process.showing.replay(
        process.dispatch(2, OUTPUT, (bytes([1]) * 16).hex()), Replay(follow=True)
    )
    process.said()
    process.showing.emit(text("two\n"))
    process.showing.end(work, failure("raised", "no"))
    (finished,) = (said for said in process.said() if said[:2] == (2, ""))
    assert finished == (2, "", 2)
    held = process.calls[-1]
    assert held.outcome is not None
    assert b"done" in bytes(held.outcome.parts[0])
    assert work.held.outcome is not None
    assert unpack_error(work.held.outcome.parts[0])[:2] == ("raised", "no")


def test_who_follows_no_longer_gets_an_end_and_no_more_events(process: Process) -> None:
    work = process.begins(1)
    process.showing.begin(work)
    held = process.dispatch(2, OUTPUT, (bytes([1]) * 16).hex())
    process.showing.replay(held, Replay(follow=True))
    process.showing.stop_following(held)
    process.showing.stop_following(held)
    process.said()
    process.showing.emit(text("one\n"))
    process.showing.end(work, VALUE)
    assert {each[0] for each in process.said()} == {1}


def test_a_job_that_is_not_here_waits_somewhere(process: Process) -> None:
    held = process.dispatch(2, OUTPUT, "ffff")
    process.showing.replay(held, Replay(follow=True))
    assert held.outcome == plain_outcome(CallStatus("queued"))


def test_what_widgets_say_between_calls_goes_with_the_next_call_that_carries_it(
    process: Process,
) -> None:
    process.showing.emit(CommOpen("early"))
    work = process.begins(1)
    process.showing.carry(work.record)
    process.showing.emit(CommOpen("now"))
    process.showing.end(work, VALUE)
    opened = [said[1].comm_id for said in process.said() if isinstance(said[1], CommOpen)]
    assert opened == ["early", "now"]


def test_a_call_that_prints_much_waits_for_its_caller_to_read(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count()  # a second between two looks: what waits is due
    monkeypatch.setattr(showing, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))
    work = process.begins(1)
    process.showing.begin(work)
    for _ in range(1000):
        process.showing.emit(text("x" * 10_000 + "\n"))
        process.loop.run()
    held = work.held
    sent = held.last_event
    assert not held.window_is_open
    assert 0 < held.unseen_bytes < 2 * EVENT_WINDOW_BYTES
    process.callee.receive(Seen(1, sent))
    process.loop.run()
    assert held.last_event > sent
