"""Threads that run what they are given, each when it has nothing else to do.

A queue that all of them wait on wakes two threads for each piece of work: the second one finds the
queue empty. Here every idle thread waits on a lock of its own, and the one that has been idle for
the shortest time works next. ``tests/node/registered/test_threads.py`` proves it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Work = TypeVar("Work")


class Threads(Generic[Work]):
    """Daemon threads, as many as `add` was called.

    Parameters
    ----------
    run
        Called with each piece of work, in a thread.
    """

    def __init__(self, run: Callable[[Work], None]) -> None:
        self._run = run
        self._waiting: deque[Work] = deque()
        #: The locks of the threads that have nothing to do; each is held until there is something.
        self._idle: list[threading.Lock] = []
        self._lock = threading.Lock()
        self._is_closed = False
        self.count = 0

    def add(self) -> None:
        """Start one more thread."""
        self.count += 1
        name = f"easyremote-worker-{self.count}"
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def put(self, work: Work) -> None:
        """Have work done: pieces begin in the order in which they come."""
        with self._lock:
            self._waiting.append(work)
            if self._idle:
                self._idle.pop().release()

    def close(self) -> None:
        """End the threads. A thread that is still at work ends with the process."""
        with self._lock:
            self._is_closed = True
            while self._idle:
                self._idle.pop().release()

    def _work(self) -> None:
        mine = threading.Lock()
        mine.acquire()
        while True:
            with self._lock:
                work = self._waiting.popleft() if self._waiting else None
                if work is None:
                    if self._is_closed:
                        return
                    self._idle.append(mine)
            if work is None:
                mine.acquire()
            else:
                self._run(work)
