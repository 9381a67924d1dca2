"""The checker itself: each made-up fault is found, and what is in order is not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from easyremote.errors import CallLost, EasyRemoteError
from tests.faults.history import History, Reading
from tests.faults.ledger_program import answer, item, work


def ended(value: object = None, error: BaseException | None = None) -> Future[Any]:
    job: Future[Any] = Future()
    if error is not None:
        job.set_exception(error)
    else:
        job.set_result(value)
    return job


RIGHT = ended(answer(0))
LOST = CallLost("lost")
MAY_HAVE_RUN = ended(error=LOST)
DID_NOT_RUN = ended(error=CallLost("lost", may_have_run=False))


def check(history: History, runs: list[int], told: list[str]) -> None:
    for number in runs:
        work(str(history.ledger), number, 0.0)
    history.finish(limit=0.2)
    assert history.broken() == told


@pytest.mark.parametrize(
    ("job", "runs", "told"),
    [
        (RIGHT, [0], []),
        (MAY_HAVE_RUN, [0], []),
        (MAY_HAVE_RUN, [], []),
        (DID_NOT_RUN, [], []),
        (RIGHT, [0, 0], ["call 0 ran 2 times"]),
        (RIGHT, [0, 5], ["call 5 ran, and nobody asked for it"]),
        (RIGHT, [], ["call 0 has a value, and did not run"]),
        (ended(answer(1)), [0], ["call 0 has the wrong value 8"]),
        (DID_NOT_RUN, [0], ["call 0 ran, and its error says that it did not: lost"]),
        (ended(error=ValueError("odd")), [0], ["call 0 ended with ValueError('odd')"]),
        (Future(), [0], ["call 0 hangs"]),
    ],
)
def test_each_fault_is_found(
    tmp_path: Path, job: Future[Any], runs: list[int], told: list[str]
) -> None:
    history = History(tmp_path / "ledger")
    history.jobs[0] = job
    check(history, runs, told)


def test_a_value_that_lost_a_byte_on_its_way_is_found(tmp_path: Path) -> None:
    history = History(tmp_path / "ledger")
    history.wanted = {0: b"whole", 1: b"whole"}
    history.jobs = {0: ended(b"whole"), 1: ended(b"whol")}
    check(history, [0, 1], ["call 1 has the wrong value b'whol'"])


def streamed(*indices: int, error: EasyRemoteError | None = None) -> Iterator[Any]:
    for index in indices:
        yield item(0, index)
    if error is not None:
        raise error


@pytest.mark.parametrize(
    ("stream", "runs", "told"),
    [
        (streamed(0, 1, 2), [0], []),
        (streamed(0, 1, error=LOST), [0], []),
        (streamed(error=LOST), [], []),
        (streamed(0, 2), [0], ["call 0 has a gap in its stream: [0, 2, 'xx'] came as item 1"]),
        (streamed(0, 0, 1), [0], ["call 0 has a gap in its stream: [0, 0, ''] came as item 1"]),
        (
            streamed(1, error=LOST),
            [0],
            ["call 0 has a gap in its stream: [0, 1, 'x'] came as item 0"],
        ),
        (
            streamed(0, 1, 2, 3),
            [0],
            ["call 0 has a gap in its stream: [0, 3, 'xxx'] came as item 3"],
        ),
        (streamed(0, 1), [0], ["call 0 ended in silence after 2 of 3 items"]),
        (streamed(0, 1, 2), [0, 0], ["call 0 ran 2 times"]),
        (
            streamed(0, error=CallLost("lost", may_have_run=False)),
            [0],
            ["call 0 ran, and its error says that it did not: lost"],
        ),
    ],
)
def test_each_fault_of_a_stream_is_found(
    tmp_path: Path, stream: Iterator[Any], runs: list[int], told: list[str]
) -> None:
    history = History(tmp_path / "ledger")
    history.wanted[0] = [item(0, index) for index in range(3)]
    history.jobs[0] = Reading(stream)
    check(history, runs, told)


def test_a_stream_that_hangs_is_found(tmp_path: Path) -> None:
    goes_on = threading.Event()

    def endless() -> Iterator[Any]:
        yield item(0, 0)
        goes_on.wait()

    history = History(tmp_path / "ledger")
    history.wanted[0] = [item(0, 0)]
    history.jobs[0] = Reading(endless())
    check(history, [0], ["call 0 hangs"])
    goes_on.set()


def test_a_call_whose_end_nobody_noted_is_found(tmp_path: Path) -> None:
    history = History(tmp_path / "ledger")
    history.jobs[0] = RIGHT
    history.finish(limit=0.2)
    history.jobs[1] = ended(answer(1))
    work(str(history.ledger), 0, 0.0)
    assert history.broken() == ["call 1 is lost: nobody knows how it ended"]
