"""How one function is stopped among many that a process has: nothing else may be hit."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from easyremote.node.forking import INTERRUPT
from easyremote.node.ledger import Ledger, memory_file
from easyremote.node.processes.process import Process, RelayedCall
from easyremote.node.processes.stopping import Stopping
from easyremote.protocol.builtins import CALL
from easyremote.protocol.held import Outcome

pytestmark = pytest.mark.asyncio


class Story(Process):
    """A process with three functions, and all that is done to it, in order."""

    def __init__(self) -> None:
        super().__init__("alice", "", {})
        self.said: list[Any] = []
        file = memory_file()
        self.ledger = Ledger(file)
        #: What the process itself writes into.
        self.theirs = Ledger(file)
        os.close(file)
        for number in (1, 2, 3):
            call = RelayedCall(
                number, bytes([number]) * 16, 1, CALL, "", "alice", 0.0, 0.0, 0.0, ""
            )
            call.process, call.inner = self, number
            self.queue.append(call)
            self.calls[number] = call
        self.stopping = Stopping("gpu-node", self)

    def signal(self, number: int) -> None:
        self.said.append("INTERRUPT" if number == INTERRUPT else signal.Signals(number).name)

    # -- as the keeper

    def finish(self, call: RelayedCall, outcome: Outcome) -> None:
        self.said.append(("finished", call.inner, outcome.code, outcome.may_have_run))

    def withdraw(self, call: RelayedCall) -> bool:
        assert self.ledger is not None
        return self.ledger.withdraw(call.inner)

    def clear(self, process: Process) -> None:
        assert process is self
        self.said.append("cleared")


@pytest.fixture
def process() -> Iterator[Story]:
    made = Story()
    yield made
    for call in made.queue:
        made.stopping.left(call)
    made.theirs.close()
    assert made.ledger is not None
    made.ledger.close()


async def test_what_runs_is_interrupted_when_nothing_can_begin_behind_it(process: Story) -> None:
    process.theirs.begin(1)
    process.stopping.stop(process.queue[0], kill=False)
    assert process.said == ["cleared", "INTERRUPT"]
    assert process.queue[0].stopping is not None
    assert process.queue[0].timers  # what comes where the interrupt does not help


async def test_what_runs_is_killed_when_nothing_can_begin_behind_it(process: Story) -> None:
    process.theirs.begin(1)
    process.stopping.stop(process.queue[0], kill=True)
    assert process.said == ["cleared", "SIGKILL"]


async def test_what_has_not_begun_is_taken_back_and_nothing_is_interrupted(process: Story) -> None:
    process.theirs.begin(1)
    process.stopping.stop(process.queue[1], kill=True)
    assert process.said == [("finished", 2, "cancelled", False)]


async def test_what_has_just_ended_is_not_interrupted_but_what_runs_in_its_place_goes_on(
    process: Story,
) -> None:
    process.theirs.begin(1)
    process.theirs.end(1, b"its outcome, which is on its way")
    process.theirs.begin(2)
    process.stopping.stop(process.queue[0], kill=False)
    process.stopping._ran_too_long(process.queue[0], 1.0)
    assert "INTERRUPT" not in process.said
    assert process.queue[0].stopping is None


async def test_what_runs_is_interrupted_before_the_end_of_the_one_before_it_is_known(
    process: Story,
) -> None:
    process.theirs.begin(1)
    process.theirs.end(1, b"its outcome, which is on its way")
    process.theirs.begin(2)
    process.stopping.stop(process.queue[1], kill=False)
    assert process.said == ["cleared", "INTERRUPT"]


async def test_a_process_that_is_still_being_started_is_interrupted_for_its_first_call(
    process: Story,
) -> None:
    ledger, process.ledger = process.ledger, None
    try:
        assert process.queue[0].runs
        assert not process.queue[1].runs
    finally:
        process.ledger = ledger


async def test_what_waits_too_long_is_taken_back_and_what_has_begun_is_not(process: Story) -> None:
    process.theirs.begin(1)
    for call in list(process.queue)[:2]:
        process.stopping._waited_too_long(call)
    assert process.said == [("finished", 2, "timeout", False)]


async def test_a_crash_may_have_run_only_what_had_begun(process: Story) -> None:
    process.theirs.begin(1)
    outcomes = [process.stopping.crash(call, -11) for call in process.queue]
    assert [outcome.may_have_run for outcome in outcomes] == [True, False, False]
