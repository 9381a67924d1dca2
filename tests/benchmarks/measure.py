"""The client's side of a measurement, the same for EasyRemote and for each peer.

``python -m tests.benchmarks.measure PEER ADDRESS`` connects, measures, and prints one line of JSON.
With ``--burst COUNT`` it says "ready", waits for a line, and makes that many calls at once: several
of them together are several clients.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

import click
import numpy as np

MEGABYTES = (1, 10, 100)
#: Tasks on one array of 100 MB.
TWENTY = 20


def add_one(value: int) -> int:
    """A function that is sent."""
    return value + 1


def total(array: np.ndarray[Any, Any]) -> float:
    """A function of a large argument."""
    return float(array.sum())


class Connection(Protocol):
    """What a peer can do for a client. A module of this package has one as its `connect`."""

    def nothing(self) -> None:
        """Call the function that does nothing, and wait."""

    def burst(self, count: int) -> None:
        """Call it so many times at once, and wait for all."""

    def echo(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Have an array sent there, and back."""

    def close(self) -> None:
        """Let go."""


class Tasks(Protocol):
    """What a `Connection` can do besides, if functions can be sent to the peer."""

    #: How many it runs in about two seconds.
    TASKS: int

    def tasks(self, values: Iterable[int]) -> list[int]:
        """Submit `add_one` for each value, and wait for all."""

    def on_array(self, array: np.ndarray[Any, Any], count: int) -> list[float]:
        """Submit so many `total` of one array that is new to the peer, and wait for all."""


def each(function: Callable[[], object], count: int, warm: int) -> list[float]:
    """The seconds that each of so many calls took, in order of size."""
    for _ in range(warm):
        function()
    times = []
    for _ in range(count):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return sorted(times)


def latency(times: list[float], name: str) -> dict[str, float]:
    return {
        f"{name}_p50_ms": times[len(times) // 2] * 1e3,
        f"{name}_p99_ms": times[len(times) * 99 // 100] * 1e3,
    }


async def each_awaited(function: Callable[[], Awaitable[object]], count: int) -> list[float]:
    times = []
    for _ in range(count):
        began = time.perf_counter()
        await function()
        times.append(time.perf_counter() - began)
    return sorted(times)


def measure(connection: Any, calls: int) -> dict[str, float]:
    """All that the peer can; `calls` is about how many it makes in two seconds, 0 for none."""
    found = measure_calls(connection, calls) if calls else {}
    if hasattr(connection, "tasks"):
        found |= measure_tasks(connection)
    if hasattr(connection, "cell"):
        found |= latency(each(connection.cell, 300, 20), "cell")
    if hasattr(connection, "more"):
        found |= connection.more()
    return found


def measure_calls(connection: Any, calls: int) -> dict[str, float]:
    """What functions cost that are there already; `calls` as of `measure`."""
    found = latency(each(connection.nothing, min(calls, 2000), 100), "call")
    if hasattr(connection, "awaited"):
        times = asyncio.run(each_awaited(connection.awaited, min(calls, 1000)))
        found |= latency(times, "awaited")
    connection.burst(calls // 10)
    began = time.perf_counter()
    connection.burst(calls)
    found["calls_s"] = calls / (time.perf_counter() - began)
    for megabytes in getattr(connection, "megabytes", MEGABYTES):
        array = np.random.default_rng(0).integers(0, 255, megabytes * 1_000_000, dtype=np.uint8)
        back = connection.echo(array)
        assert np.array_equal(back, array), "it is not what was sent"
        times = each(lambda array=array: connection.echo(array), 5, 0)
        found[f"echo_{megabytes}_mb_s"] = megabytes / times[2]
    return found


def measure_tasks(connection: Any) -> dict[str, float]:
    """What plain functions cost that are sent with their arguments, as `Tasks` describes."""
    assert connection.tasks(range(200)) == list(range(1, 201))
    count = connection.TASKS
    found = latency(each(lambda: connection.tasks([1]), min(count // 2, 1000), 50), "task")
    began = time.perf_counter()
    connection.tasks(range(count))
    found["tasks_s"] = count / (time.perf_counter() - began)
    for name, tasks in (("one", 1), ("twenty", TWENTY)):
        times = []
        for seed in range(3):  # content that was not there before
            array = np.random.default_rng(seed + tasks).random(12_500_000)
            began = time.perf_counter()
            results = connection.on_array(array, tasks)
            times.append(time.perf_counter() - began)
            assert np.allclose(results, [array.sum()] * tasks), "another array was added up"
        found[f"{name}_array_s"] = sorted(times)[1]
    found["twenty_to_one"] = found["twenty_array_s"] / found["one_array_s"]
    return found


@click.command()
@click.argument("peer")
@click.argument("address")
@click.option("--calls", default=2000)
@click.option("--burst", default=0)
def main(peer: str, address: str, calls: int, burst: int) -> None:
    connection = importlib.import_module(f"tests.benchmarks.{peer}").connect(address)
    if burst:
        connection.burst(100)
        print("ready", flush=True)
        sys.stdin.readline()
        began = time.time()
        connection.burst(burst)
        print(json.dumps([began, time.time()]), flush=True)
    else:
        print(json.dumps(measure(connection, calls)), flush=True)
    connection.close()


if __name__ == "__main__":
    main()
