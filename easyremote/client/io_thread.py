"""The one thread of this process that talks to gateways; all Clients share it.

User threads put functions into a deque; one wake-up of the loop serves all that wait in it. A
forked child has none of the parent's threads: it starts its own, and its Clients dial anew.
``tests/client/test_io_thread.py`` proves it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from easyremote.errors import InternalError
from easyremote.transport.connection import turn
from easyremote.transport.loop import new_event_loop

#: So many functions are called before the loop does something else, such as answering a PING.
AT_ONCE = 500


class IOThread:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop = new_event_loop()
        self._calls: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._is_scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(
            target=self.loop.run_forever, name="easyremote-io", daemon=True
        )
        self._thread.start()

    @property
    def is_current(self) -> bool:
        """Whether the caller is on this thread, which must not wait for anything."""
        return threading.current_thread() is self._thread

    def call(self, function: Callable[..., None], *args: Any) -> None:
        """Have a function called on the thread, soon and in order."""
        self._calls.append((function, args))
        if not self._is_scheduled:
            try:
                self._is_scheduled = True
                self.loop.call_soon_threadsafe(self._drain)
            except BaseException:  # an interrupt between the two: nothing would be scheduled again
                self.loop.call_soon_threadsafe(self._drain)
                raise

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on the thread. Its owner ends it."""
        self.call(self._start, coroutine)

    def check_not_current(self) -> None:
        """Refuse to wait on the thread that does the work.

        Raises
        ------
        InternalError
            This is the I/O thread.
        """
        if self.is_current:
            raise InternalError(
                "A callback of a RemoteJob waits for another call. Callbacks run on the thread "
                "that brings results, so it would wait for ever. Wait in a thread of your own."
            )

    def _drain(self) -> None:
        self._is_scheduled = False
        calls = self._calls
        try:
            with turn:
                for _ in range(min(len(calls), AT_ONCE)):
                    function, args = calls.popleft()
                    function(*args)
        finally:
            if calls:  # there are many; or one of them raised, which the loop reports
                self._is_scheduled = True
                self.loop.call_soon(self._drain)

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


_thread: IOThread | None = None
_lock = threading.Lock()


def io_thread() -> IOThread:
    """This process's I/O thread."""
    global _thread
    with _lock:
        if _thread is None:
            _thread = IOThread()
        return _thread


def _after_fork() -> None:
    global _thread, _lock
    _thread = None
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
