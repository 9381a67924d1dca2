"""Ray: a named actor on a local cluster, called through native drivers."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import ray

from tests.benchmarks.measure import add_one, total
from tests.benchmarks.serving import Served, line, python

CALLS = 4_000

CLUSTER = """
import os, sys, ray
context = ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
                   namespace="bench")
@ray.remote(num_cpus=0)
class Bench:
    def nothing(self): pass
    def echo(self, value): return value
    def pid(self): return os.getpid()
actor = Bench.options(name="bench").remote()
print(context.address_info["address"], ray.get(actor.pid.remote()), flush=True)
sys.stdin.readline()
"""


@contextmanager
def serve() -> Iterator[Served]:
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with python("-c", CLUSTER) as cluster:
        address, pid = line(cluster).split()
        yield Served(address, {"node": int(pid)})


class connect:
    """A driver, as `tests.benchmarks.measure.Connection` and `Tasks` describe."""

    TASKS = 2_000

    def __init__(self, address: str) -> None:
        ray.init(address=address, namespace="bench", log_to_driver=False, logging_level="ERROR")
        self._actor = ray.get_actor("bench")
        self._add_one, self._total = ray.remote(add_one), ray.remote(total)

    def nothing(self) -> None:
        ray.get(self._actor.nothing.remote())

    async def awaited(self) -> None:
        await self._actor.nothing.remote()

    def burst(self, count: int) -> None:
        ray.get([self._actor.nothing.remote() for _ in range(count)])

    def echo(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        # What `get` gives is read only; a value that can be used as a local one is a copy of it.
        return np.array(ray.get(self._actor.echo.remote(array)), copy=True)

    def tasks(self, values: Iterable[int]) -> list[int]:
        done: list[int] = ray.get([self._add_one.remote(each) for each in values])
        return done

    def on_array(self, array: np.ndarray[Any, Any], count: int) -> list[float]:
        there = ray.put(array)
        done: list[float] = ray.get([self._total.remote(there) for _ in range(count)])
        return done

    def close(self) -> None:
        ray.shutdown()
