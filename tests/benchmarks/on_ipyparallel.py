"""ipyparallel: a controller and one engine; a cell is ``%%px``."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

import ipyparallel
import numpy as np

from tests.benchmarks.measure import add_one, total
from tests.benchmarks.serving import Served

CALLS = 1_500


def _nothing() -> None:
    pass


def _echo(value: Any) -> Any:
    return value


@contextmanager
def serve() -> Iterator[Served]:
    with TemporaryDirectory() as home:
        os.environ["IPYTHONDIR"] = home
        cluster = ipyparallel.Cluster(n=1, log_level=logging.ERROR)
        with cluster as client:
            yield Served(cluster.cluster_file, {"node": client[0].apply_sync(os.getpid)})


class connect:
    """A client, as `tests.benchmarks.measure.Connection` and `Tasks` describe."""

    TASKS = 1_000

    def __init__(self, address: str) -> None:
        self._client = ipyparallel.Cluster.from_file(address).connect_client_sync()
        self._view = self._client.load_balanced_view()
        self._shell: Any = None

    def nothing(self) -> None:
        self._view.apply_sync(_nothing)

    def burst(self, count: int) -> None:
        for result in [self._view.apply_async(_nothing) for _ in range(count)]:
            result.get()

    def echo(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        # What comes back is read only, as with Ray.
        return np.array(self._client[0].apply_sync(_echo, array), copy=True)

    def tasks(self, values: Iterable[int]) -> list[int]:
        return [job.get() for job in [self._view.apply_async(add_one, each) for each in values]]

    def on_array(self, array: np.ndarray[Any, Any], count: int) -> list[float]:
        jobs = [self._view.apply_async(total, array) for _ in range(count)]
        return [job.get() for job in jobs]

    def cell(self) -> None:
        if self._shell is None:
            from IPython.core.interactiveshell import InteractiveShell

            self._shell = InteractiveShell.instance()
            view = self._client[:]
            view.block = True
            view.activate()
        self._shell.run_cell("%%px\npass").raise_error()

    def close(self) -> None:
        self._client.close()
