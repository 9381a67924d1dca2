"""``python -m tests.benchmarks.durable``: what a detached call costs, beside an attached one.

It prints the medians of some rounds as a Markdown table: until one call is accepted (the gateway's
disk has it), beside what the disk alone takes at that moment; until its value is here; how many are
accepted a second when many are asked for at once, and what each costs the gateway's processor. The
journal alone is measured by ``tests.benchmarks.journal``.
"""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from easyremote.client.client import Client
from easyremote.client.detached.detaching import DAY
from easyremote.client.job import RemoteJob
from easyremote.serialize.values import dump_call
from tests.processes import end, start_gateway

ROUNDS = 3
#: Calls one after the other, and calls at once.
ALONE, MANY = 200, 4000
#: What a commit of one call writes, in bytes.
PAGES = 8192

Figures = dict[str, float]


class Disk:
    """A file on the disk of the journal, to which a commit's pages are written."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT)
        self._end = 0

    def sync(self) -> None:
        os.pwrite(self._file, bytes(PAGES), self._end)
        os.fdatasync(self._file)
        self._end += PAGES


def seconds(step: Callable[[], object]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def alone(client: Client, disk: Disk) -> Figures:
    """One call after the other: nothing else is under way. All are measured in turn."""
    jobs: list[RemoteJob[int]] = []
    steps: dict[str, Callable[[], object]] = {
        "the disk alone, p50, ms": disk.sync,
        "attached: the value, p50, ms": lambda: client.execute("add", 1, 2),
        "detached: accepted, p50, ms": lambda: jobs.append(client.detach("add", 1, 2)),
        "detached: the value after that, p50, ms": lambda: jobs.pop().result(),
    }
    found: dict[str, list[float]] = {what: [] for what in steps}
    for _ in range(ALONE):
        for what, step in steps.items():
            found[what].append(seconds(step) * 1000)
    return {what: statistics.median(times) for what, times in found.items()}


def at_once(client: Client, gateway: psutil.Process, keep: float | None, what: str) -> Figures:
    """Many calls at once: how many are over, or accepted, a second."""
    dumped = dump_call((1, 2), {}, name="add")

    def burst() -> None:
        for job in [client.start("add", dumped, keep=keep) for _ in range(MANY)]:
            job.result()

    used = sum(gateway.cpu_times()[:2])
    took = seconds(burst)
    used = sum(gateway.cpu_times()[:2]) - used
    return {f"{what}, a second": MANY / took, f"{what}: gateway's CPU, us": used / MANY * 1e6}


def measure(client: Client, gateway: psutil.Process, disk: Disk) -> Figures:
    figures = alone(client, disk)
    figures |= at_once(client, gateway, None, "attached calls")
    figures |= at_once(client, gateway, DAY, "detached calls accepted while others run")
    _release_all(client)
    client.pause("gpu-node")
    figures |= at_once(client, gateway, DAY, "detached calls accepted while none runs")
    client.resume("gpu-node")
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
                process, disk = psutil.Process(gateway.process.pid), Disk(Path(folder) / "disk")
                for _ in range(ROUNDS):
                    for what, figure in measure(client, process, disk).items():
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
