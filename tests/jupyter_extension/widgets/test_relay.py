"""Messages to widgets on their way: in order, one at a time, the newest value for the older."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from easyremote.events import CommMessage
from easyremote_jupyter.widgets.relay import Said, WidgetRelay
from tests.processes import LIMIT


def value(n: int, comm: str = "a", name: str = "value") -> Said:
    data = {"method": "update", "state": {name: n}, "buffer_paths": []}
    return Said(CommMessage(comm, data), "p", "m", None)


def click(comm: str = "a") -> Said:
    return Said(CommMessage(comm, {"method": "custom"}), "p", "m", None)


class BusySession:
    """Takes messages as soon as its gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.has_begun = threading.Event()
        self.taken: list[Said] = []
        self.relay = WidgetRelay(self._deliver)
        self._threads: list[threading.Thread] = []

    def _deliver(self, said: Said) -> None:
        self.taken.append(said)
        self.has_begun.set()
        assert self.gate.wait(LIMIT)

    def send(self, said: Said) -> None:
        """Send it from a thread, as a kernel's subshell does; it is under way, or waits."""
        before, is_first = len(self.relay._waiting), not self.has_begun.is_set()
        thread = threading.Thread(target=self.relay.send, args=(said,))
        self._threads.append(thread)
        thread.start()
        if is_first:
            assert self.has_begun.wait(LIMIT)
            return
        while said not in self.relay._waiting and len(self.relay._waiting) == before:
            thread.join(0.01)

    def let_go(self) -> list[Said]:
        self.gate.set()
        for thread in self._threads:
            thread.join(LIMIT)
            assert not thread.is_alive()
        return self.taken


@pytest.fixture
def session() -> Iterator[BusySession]:
    session = BusySession()
    yield session
    session.let_go()


def test_who_sends_waits_until_it_is_done(session: BusySession) -> None:
    said = value(1)
    session.send(said)
    assert not said.is_done.is_set()
    assert session.let_go() == [said]
    assert said.is_done.is_set()


def test_of_the_values_that_wait_the_newest_goes(session: BusySession) -> None:
    first, second, other, third = value(1), value(2), value(5, "b"), value(3)
    for said in (first, second, other, third):
        session.send(said)
    assert second.is_done.is_set()
    assert session.let_go() == [first, third, other]


def test_no_click_is_lost_and_values_keep_their_side_of_it(session: BusySession) -> None:
    messages = [value(1), value(2), click(), value(3), click(), click()]
    for said in messages:
        session.send(said)
    assert session.let_go() == messages


def test_the_main_thread_waits_only_a_moment_for_a_session_at_work(session: BusySession) -> None:
    session.send(value(1))
    said = value(2)
    session.relay.send(said)
    assert not said.is_done.is_set()
    assert session.let_go()[1:] in ([], [said])
    assert said.is_done.wait(LIMIT)


def test_a_message_that_fails_does_not_hold_up_the_next(caplog: pytest.LogCaptureFixture) -> None:
    taken = []

    def deliver(said: Said) -> None:
        taken.append(said)
        if len(taken) == 1:
            raise RuntimeError("a fault of ours")

    relay, messages = WidgetRelay(deliver), [click(), click()]
    for said in messages:
        relay.send(said)
    assert taken == messages
    assert "a fault of ours" in caplog.text
