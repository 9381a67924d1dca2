"""``python -m tests.benchmarks.journal``: what it costs to store something so that it is not lost.

It prints the medians of some rounds as a Markdown table: one synced commit, alone; synced rows a
second where many wait, and where an event loop waits for each of them; rows that are not synced; a
payload that is a file.
"""

from __future__ import annotations

import asyncio
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

from easyremote.journal.awaited import AwaitedJournal
from easyremote.journal.journal import Journal
from easyremote.journal.payloads import Payloads

ROUNDS = 5
ROWS = 20_000
SCHEMA = "CREATE TABLE IF NOT EXISTS calls (id BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"
ADD = "INSERT INTO calls VALUES (?, ?)"
VALUE = os.urandom(200)


def alone_ms(journal: Journal) -> float:
    """One durable row, and nothing else under way: the median."""
    times = []
    for _ in range(500):
        began = time.perf_counter()
        journal.write(ADD, (os.urandom(16), VALUE), durable=True).result()
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def grouped(journal: Journal, *, durable: bool) -> float:
    """Rows a second, where all are asked for at once."""
    rows = [(os.urandom(16), VALUE) for _ in range(ROWS)]
    began = time.perf_counter()
    futures = [journal.write(ADD, row, durable=durable) for row in rows]
    for future in futures:
        future.result()
    return ROWS / (time.perf_counter() - began)


async def in_loop(journal: Journal, tasks: int = 200) -> float:
    """Rows a second, where so many tasks of an event loop each wait for their row."""

    awaited = AwaitedJournal(journal)

    async def one() -> None:
        for _ in range(ROWS // tasks):
            await awaited.write(ADD, (os.urandom(16), VALUE), durable=True)

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(tasks)))
    return ROWS / (time.perf_counter() - began)


def file_ms(payloads: Payloads) -> float:
    """A payload of a megabyte: the median."""
    body = os.urandom(1_000_000)
    times = []
    for _ in range(20):
        began = time.perf_counter()
        payloads.put(b"owner", [body])
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def main() -> None:
    found: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(dir=os.environ.get("EASYREMOTE_BENCH_FOLDER")) as folder:
            journal = Journal.open(Path(folder) / "state", "calls", SCHEMA)
            for what, measured in (
                ("one durable row, ms", alone_ms(journal)),
                ("durable rows a second, asked for at once", grouped(journal, durable=True)),
                ("durable rows a second, 200 tasks of a loop", asyncio.run(in_loop(journal))),
                ("rows a second that are not synced", grouped(journal, durable=False)),
                ("a payload of 1 MB as a file, ms", file_ms(Payloads(journal))),
            ):
                found.setdefault(what, []).append(measured)
            journal.close()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| | median |\n|---|---|")
    for what, figures in found.items():
        print(f"| {what} | {statistics.median(figures):,.2f} |")


if __name__ == "__main__":
    main()
