"""Processes of a measurement: started, watched, and ended with the block that needs them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

LIMIT = 120.0
#: The gateway on one core, both ends on the other. On one machine the kernel may keep all processes
#: of the bare relay on one core, where it costs next to nothing to wake one that waits. In use they
#: are on machines of their own.
APART = {"gateway": {0}, "node": {1}, "client": {1}}


@dataclass
class Served:
    """A peer that answers."""

    #: What its `connect` wants.
    address: str
    #: Process ids by role; their resident memory is measured.
    processes: dict[str, int] = field(default_factory=dict)


@contextmanager
def python(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process; it is ended with all its children."""
    started = subprocess.Popen(
        [sys.executable, "-u", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield started
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(started.pid, number)
                started.wait(20)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue


def line(process: subprocess.Popen[str]) -> str:
    """The next line that it prints."""
    assert process.stdout is not None
    text = process.stdout.readline().strip()
    if not text:
        raise RuntimeError(f"{process.args} ended without a word")
    return text


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {LIMIT:.0f} s for {what}")
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def put_on_cores(pid: int, cores: set[int]) -> None:
    """Keep a process on some cores, with all threads that it has and will start."""
    for thread in psutil.Process(pid).threads():
        os.sched_setaffinity(thread.id, cores)


def resident_mb(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss / 1e6)


def cpu_share(pid: int, seconds: float) -> float:
    """How much of a core a process uses, over so many seconds from now."""
    process = psutil.Process(pid)
    before, began = sum(process.cpu_times()[:2]), time.perf_counter()
    time.sleep(seconds)
    return float((sum(process.cpu_times()[:2]) - before) / (time.perf_counter() - began))
