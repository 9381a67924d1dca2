"""`map`: a call for each item, all at the same time, and their results in order.

``tests/client/test_calls.py`` proves it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from easyremote.client.job import RemoteJob
from easyremote.times import deadline_of

__all__ = ["map_calls"]

T = TypeVar("T")


def map_calls(
    start: Callable[..., RemoteJob[T]], iterables: tuple[Iterable[Any], ...], timeout: float | None
) -> Iterator[T]:
    """Start a call for each item, at the same time; their results in order, as `Executor.map`.

    Calls that are left when the iteration ends are cancelled. ``timeout`` in seconds counts from
    now and for all of them.
    """
    deadline = deadline_of(timeout, time.monotonic())
    jobs = [start(*args) for args in zip(*iterables, strict=False)]
    return _results(jobs, deadline)


def _results(jobs: list[RemoteJob[T]], deadline: float | None) -> Iterator[T]:
    try:
        for job in jobs:
            yield job.result(None if deadline is None else max(deadline - time.monotonic(), 0))
    finally:
        for job in jobs:
            job.cancel()
