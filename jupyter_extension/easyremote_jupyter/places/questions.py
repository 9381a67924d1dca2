"""Asks, while this kernel is idle, for the GPU memory that its idle sessions hold.

The gateway tells of a question as soon as somebody waits for that memory. It is shown below the
newest cell of the session, with a button to release the session and one to keep it.
``tests/jupyter_extension/places/test_idle_question.py`` proves it with two kernels and a fake GPU.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable
from typing import Any

from easyremote.client.client import Client
from easyremote.errors import EasyRemoteError
from easyremote_jupyter.output.question import ShownQuestion
from easyremote_jupyter.places.places import Place, Places

__all__ = ["Questions"]

#: Seconds for which nobody is asked again about a session that is kept.
KEPT_FOR = 600.0


class Questions:
    """The questions about the sessions of one notebook.

    Nobody asks the gateway again and again: its client hears of changes, and a thread looks at them
    then. The kernel's own loop shows what is asked, so that no cell is disturbed.

    Parameters
    ----------
    shell
        The IPython shell of the notebook. In a terminal nothing is shown: the next cell tells.
    places
        The sessions that it uses.
    """

    def __init__(self, shell: Any, places: Places) -> None:
        self._kernel: Any = getattr(shell, "kernel", None)
        self._places = places
        #: What is shown now; the kernel's main thread has it alone.
        self._shown: dict[Place, ShownQuestion] = {}
        self._is_due = threading.Event()
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def cell_ran(self, *_: object) -> None:
        """Begin to listen, as soon as the notebook has used a session."""
        if self._kernel is None or not self._places.used():
            return
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._listen, name="easyremote-questions", daemon=True
            )
            self._thread.start()
        self._is_due.set()

    def close(self) -> None:
        """Listen no more. Safe to repeat."""
        self._is_closed = True
        self._is_due.set()

    # -- on a thread of its own

    def _listen(self) -> None:
        known: dict[Place, str] = {}
        clients: set[Client] = set()
        wait: float | None = None
        while True:
            self._is_due.wait(wait)
            self._is_due.clear()
            if self._is_closed:
                return
            for place in self._places.used():
                if place.session.client not in clients:
                    clients.add(place.session.client)
                    place.session.client.when_nodes_change(self._is_due.set)
            asked, wait = self._look()
            if asked != known:
                known = asked
                self._kernel.io_loop.add_callback(self._show, asked)

    def _look(self) -> tuple[dict[Place, str], float | None]:
        """What is asked now; and after how many seconds something may be asked again."""
        asked, again = {}, math.inf
        now = time.monotonic()
        for place in self._places.used():
            client = place.session.client
            if not client.is_connected:
                continue
            with contextlib.suppress(EasyRemoteError):  # it is told when there is a connection
                if question := place.question(client.known_nodes()):
                    asked[place] = question
            if place.quiet_until > now:
                again = min(again, place.quiet_until - now)
        return asked, None if again == math.inf else again

    # -- on the kernel's main thread

    def _show(self, asked: dict[Place, str]) -> None:
        for place in self._shown.keys() - asked.keys():
            self._shown.pop(place).say("Nobody waits for it now, or the session is in use.")
        for place in asked.keys() - self._shown.keys():
            self._shown[place] = ShownQuestion(
                *(self._kernel, place.newest, asked[place], place.how_to_end),
                release=self._answer(place, self._release),
                keep=self._answer(place, self._keep),
            )

    def _answer(self, place: Place, do: Callable[[Place], str]) -> Callable[[], None]:
        """What a button does: it says what came of it in the place of the question."""

        def answer() -> None:
            shown = self._shown.pop(place, None)
            if shown is None:
                return  # it was pressed twice
            place.quiet_until = time.monotonic() + KEPT_FOR
            shown.say(do(place))
            self._is_due.set()

        return answer

    def _release(self, place: Place) -> str:
        try:
            place.session.end()
        except EasyRemoteError as error:
            place.quiet_until = 0.0
            return f"{type(error).__name__}: {error}"
        return f"The session on {place.session.node_id} has ended; the next cell starts it anew."

    def _keep(self, place: Place) -> str:
        return f"You keep it. You are not asked again for {KEPT_FOR / 60:.0f} min."
