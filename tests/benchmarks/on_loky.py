"""loky: a pool of two processes on this machine, without any network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from loky import get_reusable_executor

from tests.benchmarks.measure import add_one, total
from tests.benchmarks.serving import Served

#: It has no functions that are there already.
CALLS = 0


@contextmanager
def serve() -> Iterator[Served]:
    yield Served("")


class connect:
    """A client, as `tests.benchmarks.measure.Tasks` describes."""

    TASKS = 8_000

    def __init__(self, address: str) -> None:
        self._pool = get_reusable_executor(max_workers=2)

    def tasks(self, values: Iterable[int]) -> list[int]:
        return [job.result() for job in [self._pool.submit(add_one, each) for each in values]]

    def on_array(self, array: np.ndarray[Any, Any], count: int) -> list[float]:
        return [job.result() for job in [self._pool.submit(total, array) for _ in range(count)]]

    def close(self) -> None:
        self._pool.shutdown()
