"""``python -m tests.benchmarks.durable``: what a detached call costs, beside an attached one.

It prints the medians of some rounds as a Markdown table: until one call is accepted (the gateway's
disk has it), until its value is here, and how many are accepted a second when many are asked for at
once. The journal alone is measured by ``tests.benchmarks.journal``.
"""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from easyremote.client.client import Client
from easyremote.client.detached.detaching import DAY
from easyremote.serialize.values import dump_call
from tests.processes import end, start_gateway

ROUNDS = 3
#: Calls one after the other, and calls at once.
ALONE, MANY = 200, 4000


def median_ms(step: Callable[[], object]) -> float:
    times = []
    for _ in range(ALONE):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def a_second(client: Client, keep: float | None) -> float:
    """How many calls are over, or accepted, a second."""
    began = time.perf_counter()
    dumped = dump_call((1, 2), {}, name="add")
    for job in [client.start("add", dumped, keep=keep) for _ in range(MANY)]:
        job.result()
    return MANY / (time.perf_counter() - began)


def detached_ms(client: Client) -> tuple[float, float]:
    """Until a call is accepted, and until its value is here; nothing else is under way."""
    accepted, done = [], []
    for _ in range(ALONE):
        began = time.perf_counter()
        job = client.detach("add", 1, 2)
        accepted.append(time.perf_counter() - began)
        job.result()
        done.append(time.perf_counter() - began)
    return statistics.median(accepted) * 1000, statistics.median(done) * 1000


def measure(client: Client) -> dict[str, float]:
    attached = median_ms(lambda: client.execute("add", 1, 2))
    accepted, done = detached_ms(client)
    figures = {
        "attached: the value, p50, ms": attached,
        "detached: accepted, p50, ms": accepted,
        "detached: the value, p50, ms": done,
        "attached calls a second": a_second(client, None),
        "detached calls accepted a second": a_second(client, DAY),
    }
    _release_all(client)
    return figures


def _release_all(client: Client) -> None:
    for call in client.outstanding():
        client.attach(call.call_id).result()
    for call in client.outstanding():
        client.attach(call.call_id).release()


def main() -> None:
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(dir=os.environ.get("EASYREMOTE_BENCH_FOLDER")) as folder:
        gateway = start_gateway(Path(folder) / "home")
        node = gateway.start_node("gpu-node")
        try:
            with gateway.client() as client:
                client.execute("add", 1, 2)
                for _ in range(ROUNDS):
                    for what, figure in measure(client).items():
                        found.setdefault(what, []).append(figure)
        finally:
            end(node)
            end(gateway.process)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| | median |\n|---|---|")
    for what, figures in found.items():
        print(f"| {what} | {statistics.median(figures):,.2f} |")


if __name__ == "__main__":
    main()
