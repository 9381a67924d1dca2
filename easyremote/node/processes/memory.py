"""How much memory a process uses, with all that it has started; and whether that is too much.

A limit of the system (RLIMIT_AS) counts addresses: CUDA and numpy's threads ask for far more of
these than they ever use, and each forked process would have the whole limit once more. So the
memory that is really used is looked at, again and again.
``tests/node/processes/test_memory.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from easyremote.node.processes.pools import Processes
from easyremote.node.processes.process import Process
from easyremote.options.requirements import show_size
from easyremote.protocol.held import Outcome, failure

__all__ = ["KernelKills", "MemoryWatch", "memory_above"]

#: A kill of the kernel's was just now for so many seconds; longer than it is between two looks.
JUST_NOW = 2.0

_log = logging.getLogger("easyremote.node")


class MemoryWatch:
    """Kills the processes that use more memory than what they run has asked for.

    Parameters
    ----------
    processes
        The processes of the node.
    kill
        Kills one; what it runs ends with the outcome.
    """

    def __init__(self, processes: Processes, kill: Callable[[Process, Outcome], None]) -> None:
        self._processes, self._kill = processes, kill
        self._kernel = KernelKills()

    def starved(self, exit_code: int) -> bool:
        """Whether the kernel has ended a process that ended in this way, to get memory."""
        return exit_code == -signal.SIGKILL and self._kernel.look()

    async def look(self) -> None:
        """Look at all processes that have a limit, and at what the kernel does."""
        self._kernel.look()
        limited = [
            (process, limit)
            for process in self._processes
            if (limit := self._processes.memory_limit(process)) and process.pid
        ]
        if not limited:
            return
        pids = [(process.pid, limit) for process, limit in limited]
        used = await asyncio.to_thread(lambda: [memory_above(*each) for each in pids])
        for (process, limit), size in zip(limited, used, strict=True):
            if size and not process.is_dead:
                self._kill(process, _too_much(process, size, limit))


class KernelKills:
    """Tells whether the kernel has just killed a process because there was no memory left.

    Linux counts such kills, and does not say whose they were.
    """

    def __init__(self) -> None:
        self._count, self._last = _killed_by_kernel(), -math.inf

    def look(self) -> bool:
        """Whether there was one a moment ago; to be called again and again."""
        count, now = _killed_by_kernel(), time.monotonic()
        if count > self._count:
            self._count, self._last = count, now
        return now < self._last + JUST_NOW


def _killed_by_kernel() -> int:
    try:
        counts = Path("/proc/vmstat").read_text()
    except OSError:  # there is none on other systems
        return 0
    found = re.search(r"^oom_kill (\d+)$", counts, re.MULTILINE)
    return int(found[1]) if found else 0


def memory_above(pid: int, limit: int) -> int:
    """How many bytes a process and its children use, if that is more than a limit; else 0."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0  # it has ended
    if sum(_each(family, "rss")) <= limit:
        return 0
    # Forked processes share memory, which counts once only; to find that out takes longer.
    used = sum(_each(family, "pss"))
    return used if used > limit else 0


def _each(family: list[psutil.Process], what: str) -> Iterator[int]:
    for process in family:
        try:
            if what == "rss":
                yield process.memory_info().rss
                continue
            memory = process.memory_full_info()
            yield getattr(memory, "pss", memory.rss)
        except psutil.Error:
            continue  # it has ended


def _too_much(process: Process, used: int, limit: int) -> Outcome:
    """The outcome of a call whose process used too much."""
    much = f"used {show_size(used)} of memory and may use {show_size(limit)}"
    if process.session:
        text = (
            f"The session of this cell {much}, the most that its cells asked for (--needs memory=, "
            "or needs=), so its process was killed, and its variables are lost. Ask for more "
            "memory, or have it use less."
        )
    elif process.runs_registered:
        text = (
            f"{process.title} {much} (resource_requirements=), so its process was killed, with all "
            "that it had started. Register it with more memory, or have it use less."
        )
    else:
        text = (
            f"The process of this function {much} (needs=), so it was killed, with all that it had "
            "started. Ask for more memory, or have it use less."
        )
    _log.warning("%s", text)
    return failure("out-of-memory", text, used=used, limit=limit)
