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
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import click
import numpy as np

MEGABYTES = (1, 10, 100)


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
    """All that the peer can; `calls` is about how many it makes in two seconds."""
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
    if hasattr(connection, "cell"):
        found |= latency(each(connection.cell, 300, 20), "cell")
    if hasattr(connection, "more"):
        found |= connection.more()
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
