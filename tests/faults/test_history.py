"""The checker itself: each made-up fault is found, and what is in order is not."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from easyremote.errors import CallLost
from tests.faults.history import History
from tests.faults.ledger_program import answer, work


def ended(value: object = None, error: BaseException | None = None) -> Future[Any]:
    job: Future[Any] = Future()
    if error is not None:
        job.set_exception(error)
    else:
        job.set_result(value)
    return job


RIGHT = ended(answer(0))
MAY_HAVE_RUN = ended(error=CallLost("lost"))
DID_NOT_RUN = ended(error=CallLost("lost", may_have_run=False))


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
    for number in runs:
        work(str(history.ledger), number, 0.0)
    history.finish(limit=0.0)
    assert history.broken() == told
