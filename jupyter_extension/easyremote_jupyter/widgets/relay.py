"""Brings a front end's messages to the widgets of one session, in order, one at a time.

The thread that brings a message waits until the session has handled it, as it would for a widget
of this kernel. Then the front end hears that the message is done, and sends the next value, so
messages do not pile up. While the session runs something else, the kernel's main thread waits only
a moment, because the notebook has to go on. If several values for one widget wait, only the last
one is sent. ``tests/jupyter_extension/widgets/test_relay.py`` proves it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from easyremote.events import CommClose, CommMessage, values_set
from easyremote_jupyter.output.watch import INTERRUPT_LIMIT

__all__ = ["WidgetRelay", "Said"]

#: Seconds that the main thread waits for the message's turn.
TURN_LIMIT = 1.0
_POLL = 0.05

_log = logging.getLogger("easyremote.notebook")


@dataclass(eq=False)
class Said:
    """A message of a front end."""

    event: CommMessage | CommClose
    #: The process of the widget, and the id of the front end's message.
    process: str
    parent: str
    #: The message as the kernel got it.
    message: Any
    #: The call that brings it there, once it is started.
    job: Any = None
    is_done: threading.Event = field(default_factory=threading.Event)


class WidgetRelay:
    """Brings messages to the widgets of one session.

    Parameters
    ----------
    deliver
        Brings one message to the session and publishes its effects; called on the relay's thread.
    """

    def __init__(self, deliver: Callable[[Said], None]) -> None:
        self._deliver = deliver
        self._waiting: deque[Said] = deque()
        self._is_working = False
        self._lock = threading.Lock()

    def send(self, said: Said) -> None:
        """Bring a message there; wait until it is handled, or a moment for its turn."""
        with self._lock:
            self._add(said)
            if not self._is_working:
                self._is_working = True
                threading.Thread(target=self._work, name="easyremote-widgets", daemon=True).start()
        limit = float("inf")
        if threading.current_thread() is threading.main_thread():
            limit = time.monotonic() + TURN_LIMIT
        try:
            while not said.is_done.wait(_POLL):
                has_begun = said.job is not None and said.job.running()
                if not has_begun and time.monotonic() > limit:
                    return
        except KeyboardInterrupt:  # the stop button stops the widget's callback
            if said.job is not None:
                said.job.interrupt()
            said.is_done.wait(INTERRUPT_LIMIT)

    def _add(self, said: Said) -> None:
        """Add a message to the queue, in the place of one whose values it replaces."""
        values = values_set(said.event)
        for index in range(len(self._waiting) - 1, -1, -1):
            other = self._waiting[index]
            replaced = values_set(other.event)
            if not values or not replaced:
                break
            if other.event.comm_id == said.event.comm_id:
                if replaced <= values:
                    self._waiting[index] = said
                    other.is_done.set()
                    return
                break
        self._waiting.append(said)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._is_working = False
                    return
                said = self._waiting.popleft()
            try:
                self._deliver(said)
            except Exception:  # the thread's boundary: without it, callers wait for ever
                _log.exception("InternalError: a widget's message failed; please report this.")
            finally:
                said.is_done.set()
