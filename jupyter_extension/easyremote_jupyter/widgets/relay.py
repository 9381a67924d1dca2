"""What a front end says to the widgets of one session, in order, one message at a time.

The thread that brings a message waits until the session has done with it, as it would for a widget
of this kernel: then the front end hears that it is done, and sends what has changed meanwhile; it
never piles up. While the session is at work on something else, the kernel's main thread waits only
a moment, because the notebook has to go on; of the values that come for a widget until its turn
comes, the last one stands. ``tests/jupyter_extension/widgets/test_relay.py`` proves it.
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

__all__ = ["Relay", "Said"]

#: How long the main thread waits for the message's turn, in seconds.
TURN_LIMIT = 1.0
_POLL = 0.05

_log = logging.getLogger("easyremote.notebook")


@dataclass(eq=False)
class Said:
    """One message of a front end."""

    event: CommMessage | CommClose
    #: The process of the widget, and the id of the front end's message.
    process: str
    parent: str
    #: As the kernel got it.
    message: Any
    #: The call that takes it there, when it is on its way.
    job: Any = None
    is_done: threading.Event = field(default_factory=threading.Event)


class Relay:
    """Hands on the messages for one session.

    Parameters
    ----------
    deliver
        Takes one message to the session and publishes what comes of it; on a thread of the relay.
    """

    def __init__(self, deliver: Callable[[Said], None]) -> None:
        self._deliver = deliver
        self._waiting: deque[Said] = deque()
        self._is_working = False
        self._lock = threading.Lock()

    def send(self, said: Said) -> None:
        """Hand on a message, and wait until it is done, or for its turn."""
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
        except KeyboardInterrupt:  # the stop button: it is meant for the widget's callback
            if said.job is not None:
                said.job.interrupt()
            said.is_done.wait(INTERRUPT_LIMIT)

    def _add(self, said: Said) -> None:
        """Let it wait; in the place of one whose values it replaces, if that waits still."""
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
            except Exception:  # the boundary: those that wait must not wait for ever
                _log.exception("InternalError in what a widget was told; please report this.")
            finally:
                said.is_done.set()
