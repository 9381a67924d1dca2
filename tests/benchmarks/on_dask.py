"""Dask: a scheduler and one worker in processes of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from distributed import Client

from tests.benchmarks.measure import add_one, total
from tests.benchmarks.serving import Served, free_port, python, wait_for

CALLS = 2_000


def _nothing(number: int = 0) -> None:
    pass


def _echo(value: Any) -> Any:
    return value


@contextmanager
def serve() -> Iterator[Served]:
    address = f"tcp://127.0.0.1:{free_port()}"
    port = address.rsplit(":", 1)[1]
    scheduler = ["-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", port]
    worker = ["-m", "distributed.cli.dask_worker", address, "--nthreads", "4", "--no-nanny"]
    with python(*scheduler, "--no-dashboard"), python(*worker, "--no-dashboard") as started:
        wait_for(lambda: _answers(address), "the scheduler")
        yield Served(address, {"node": started.pid})


def _answers(address: str) -> bool:
    try:
        with Client(address, timeout=2) as client:
            client.wait_for_workers(1, timeout=30)
            return True
    except OSError:
        return False


class connect:
    """A client, as `tests.benchmarks.measure.Connection` and `Tasks` describe."""

    TASKS = 1_000

    def __init__(self, address: str) -> None:
        self._client = Client(address)

    def nothing(self) -> None:
        self._client.submit(_nothing, pure=False).result()

    def burst(self, count: int) -> None:
        self._client.gather(self._client.map(_nothing, range(count), pure=False))

    def echo(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        back: np.ndarray[Any, Any] = self._client.submit(_echo, array, pure=False).result()
        return back

    def tasks(self, values: Iterable[int]) -> list[int]:
        return [
            job.result()
            for job in [self._client.submit(add_one, each, pure=False) for each in values]
        ]

    def on_array(self, array: np.ndarray[Any, Any], count: int) -> list[float]:
        there = self._client.scatter(array)
        jobs = [self._client.submit(total, there, pure=False) for _ in range(count)]
        return [job.result() for job in jobs]

    def close(self) -> None:
        self._client.close()
