"""What a test leaves behind: descriptors, threads, processes, files, calls, mistakes in logs.

`Guard` looks before a test and after it: in the test's own process, and in the gateway and the
nodes of a scene. A process that was started during the test is held to the one before it.
``tests/faults/test_leaks.py`` proves that each leak is found.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path

import psutil

from tests.faults.scene import Scene
from tests.processes import wait_until

#: Descriptors that a process may open beside its sockets: files that it opens when it needs them.
FILES = 4
#: The thread of all clients, and how many files its loop keeps: pipes, polling and the like.
CLIENTS = "easyremote-io"
OF_CLIENTS = 8
#: Seconds in which everything that a test used is closed.
QUIET = 30.0
#: What no log may hold: a mistake that somebody caught.
MISTAKE = re.compile(r"Traceback|was never awaited|[Mm]istake")
#: Characters that are shown of such a log, and how many of them stand before the mistake.
EXCERPT, BEFORE = 3000, 200
#: What a scene's folder may gain: what was asked for, what was said, and the sockets of nodes.
KEPT = re.compile(r"ledger|\.log$|\.db|\.lock$|\.sock$|\.sqlite3|local\.json")
#: A journal of detached calls, which is opened with the first of them and stays open.
JOURNAL = re.compile(r"/(nodes|journal)/[^/]*\.(db|db-wal|db-shm|lock)$")


class Guard:
    """Looks at once, and compares when `check` is called.

    Parameters
    ----------
    scene
        The processes that the test may break; None where it has none.
    is_held
        Whether these are held to what they had: not where they keep sessions or journals.
    """

    def __init__(self, scene: Scene | None, *, is_held: bool = True) -> None:
        self._scene = scene
        self._held = scene if is_held else None
        self._never_awaited: list[str] = []
        self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        gc.collect()
        self._own = _Own()
        if scene is not None:
            self._clients = list(scene.clients)
            self._before = _of_scene(scene)
            self._logs = {path: path.stat().st_size for path in scene.home.rglob("*.log")}
            self._files = _files(scene)

    def _unraisable(self, unraisable: sys.UnraisableHookArgs) -> None:
        text = str(unraisable.exc_value)
        if "never awaited" in text:
            self._never_awaited.append(text)
        self._hook(unraisable)

    def check(self) -> list[str]:
        """Close the clients of the test and wait until all is quiet; what it left behind."""
        scene = self._scene
        if scene is not None:
            scene.close_clients(but=self._clients)
        held = self._held
        left = self._jobs(held) if held is not None else []
        left += _in_time(self._left)
        sys.unraisablehook = self._hook
        return left + self._never_awaited + (self._mistakes(held) if held is not None else [])

    def _left(self) -> list[str]:
        gc.collect()
        started = _pids(self._scene).values() if self._scene is not None else ()
        own, scene = self._own.left(started), self._held
        if scene is None:
            return own
        now = _of_scene(scene)
        return [
            *own,
            *(
                f"{name} has {count} {kind}, and had {self._before[name][kind]}"
                for name in now.keys() & self._before.keys()
                for kind, count in now[name].items()
                if count > self._before[name][kind] + (FILES if kind == "files" else 0)
            ),
            *(f"{path} is left" for path in _files(scene) - self._files),
        ]

    @staticmethod
    def _jobs(scene: Scene) -> list[str]:
        with scene.gateway.client() as client:
            return _in_time(
                lambda: [
                    f"the gateway has {job.function}() {job.state}" for job in client.list_jobs()
                ]
            )

    def _mistakes(self, scene: Scene) -> list[str]:
        told = []
        for path in scene.home.rglob("*.log"):
            with path.open(errors="replace") as log:
                log.seek(self._logs.get(path, 0))
                said = log.read()
            if found := MISTAKE.search(said):
                told.append(f"{path.name}: {said[max(found.start() - BEFORE, 0) :][:EXCERPT]}")
        return told


def _in_time(look: Callable[[], list[str]]) -> list[str]:
    """What is left when nothing is, or when there has been time enough."""
    found: list[str] = []

    def is_quiet() -> bool:
        found[:] = look()
        return not found

    with contextlib.suppress(AssertionError):  # what is left is told
        wait_until(is_quiet, QUIET)
    return found


class _Own:
    """What this process has."""

    def __init__(self) -> None:
        self._kinds = _descriptors(os.getpid())
        self._threads = set(threading.enumerate())
        # The thread of all clients comes with the first of them, and keeps its sockets.
        if not any(each.name.startswith(CLIENTS) for each in self._threads):
            self._kinds["sockets"] += 2
            self._kinds["files"] += OF_CLIENTS
        self._children = set(psutil.Process().children())

    def left(self, started: Collection[int]) -> list[str]:
        """What is here now and was not, beside the processes of a scene."""
        kinds = _descriptors(os.getpid())
        threads = [each for each in threading.enumerate() if each not in self._threads]
        children = [each for each in psutil.Process().children() if each not in self._children]
        gone = [each for each in children if each.pid not in started]
        return [
            *(
                f"the test has {count} {kind}, and had {self._kinds[kind]}"
                for kind, count in kinds.items()
                if count > self._kinds[kind] + (FILES if kind == "files" else 0)
            ),
            *(f"the thread {each.name} is left" for each in threads if not _is_shared(each)),
            *(f"the process {each.pid} is left" for each in gone),
        ]


def _is_shared(thread: threading.Thread) -> bool:
    """Whether it is the one thread of all clients, of its loop's pool, or of a gateway's log."""
    return thread.name.startswith((CLIENTS, "asyncio_", "uvloop_", "gateway-log"))


def _pids(scene: Scene) -> dict[str, int]:
    pids = {"the gateway": scene.gateway.process.pid}
    return pids | {name: node.pid for name, node in scene.nodes.items() if node.poll() is None}


def _of_scene(scene: Scene) -> dict[str, Counter[str]]:
    """What its processes have, by their names."""
    pids = _pids(scene)
    found = {name: _descriptors(pid) for name, pid in pids.items()}
    for name, pid in pids.items():
        children = psutil.Process(pid).children(recursive=True)
        zombies = [child for child in children if child.status() == psutil.STATUS_ZOMBIE]
        found[name]["zombies"] = len(zombies)
    return found


def _descriptors(pid: int) -> Counter[str]:
    kinds: Counter[str] = Counter(sockets=0, files=0)
    folder = Path(f"/proc/{pid}/fd")
    for name in os.listdir(folder) if folder.exists() else []:
        try:
            target = os.readlink(folder / name)
        except OSError:
            continue  # it was closed meanwhile
        if JOURNAL.search(target):
            continue
        kinds["sockets" if target.startswith("socket:") else "files"] += 1
    return kinds


def _files(scene: Scene) -> set[Path]:
    return {path for path in scene.home.rglob("*") if path.is_file() and not KEPT.search(path.name)}
