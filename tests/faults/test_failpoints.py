"""Failpoints: a role breaks at an edge of a message, and every promise is kept.

Here is a sample, another one in each run; ``python -m tests.faults.long --only sweep`` plays all.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from easyremote.options.retries import WAIT
from tests.faults.conftest import SEED
from tests.faults.sweep import Case, Stage, cases, open_stage
from tests.processes import wait_until

#: Seconds in which new cases begin.
ENOUGH = 12.0


@pytest.fixture(autouse=True)
def nothing_is_left() -> None:
    """The stage starts what was killed anew, and looks itself at what is left."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with open_stage(tmp_path_factory.mktemp("stage"), SEED) as stage:
        yield stage


def test_every_edge_has_a_case() -> None:
    every = list(cases())
    assert len(set(every)) == len(every) > 400
    assert {case.role for case in every} == {"gateway", "node", "client"}


def test_a_sample_of_faults_breaks_no_promise(stage: Stage) -> None:
    chosen = [case for case in cases() if not case.stays_away]
    random.Random(SEED).shuffle(chosen)
    until = time.monotonic() + ENOUGH
    told: dict[Case, list[str]] = {}
    for case in chosen:
        if time.monotonic() > until:
            break
        print(case)
        if broken := stage.play(case):
            told[case] = broken
    assert told == {}


def test_a_promise_that_is_broken_is_seen(stage: Stage) -> None:
    """The sweep itself: a call that ran once more than it may is found."""
    stage.next_ledger.write_text("0\n")
    assert "call 0 ran 2 times" in stage.play(Case("gateway", "taken.Submit=stall", WAIT))


def test_what_a_gateway_knows_of_calls_is_seen(stage: Stage) -> None:
    """The sweep itself: else it would take a gateway that forgets nothing for a quiet one."""
    case, history = Case("client", "done.Finished=stall", WAIT), stage._history()
    stage._submit(history, 50, case)
    wait_until(lambda: stage.points("gateway").held().total() > 0)
    assert [*stage._read(history, case), *stage._left(case)] == []


def test_calls_are_cancelled_at_random_instants(stage: Stage) -> None:
    """Each ends in one way, and what was cancelled before it began never ran."""
    assert stage.cancel(300) == []
