"""Which call a thread belongs to, if it runs on after the end of the call that started it.

What such a thread prints while no other call runs belongs to that call (``showing.py``). An idle
thread of a pool belongs to no call: its next work is asked for by a later call.
``tests/node/worker/test_outlived.py`` proves it.
"""

from __future__ import annotations

import concurrent.futures.thread
import multiprocessing.pool
import queue
import sys
import threading
import weakref
from types import FrameType
from typing import Generic, TypeVar

__all__ = ["Outlived"]

T = TypeVar("T")

_POOL_CODE = frozenset(
    module.__file__
    for module in (threading, queue, concurrent.futures.thread, multiprocessing.pool)
)


class Outlived(Generic[T]):
    """Threads that outlived the call that started them."""

    def __init__(self) -> None:
        self._calls: weakref.WeakKeyDictionary[threading.Thread, T] = weakref.WeakKeyDictionary()
        self._before: set[threading.Thread] = set()

    def call_begins(self) -> None:
        self._before = set(threading.enumerate())

    def call_ended(self, call: T) -> None:
        """Threads that this call started, and that still work, belong to it."""
        started = set(threading.enumerate()) - self._before
        frames = sys._current_frames() if started else {}
        for thread in started:
            frame = frames.get(thread.ident or 0)
            if isinstance(thread, threading.Timer) or not _is_idle(frame):
                self._calls[thread] = call
        self._before = set()

    def of_this_thread(self) -> T | None:
        """The call that the current thread has outlived, if it has."""
        return self._calls.get(threading.current_thread())


def _is_idle(frame: FrameType | None) -> bool:
    """Whether a thread only waits in a pool for something to do."""
    while frame is not None:
        if frame.f_code.co_filename not in _POOL_CODE:
            return False
        frame = frame.f_back
    return True
