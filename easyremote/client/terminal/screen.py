"""`Screen`: shows the output of code on a node in a plain program, and asks its questions.

``tests/client/test_run.py`` proves it.
"""

from __future__ import annotations

import getpass
import sys
import time
from typing import Any

from easyremote.client.job import RemoteJob
from easyremote.client.terminal.bars import TerminalBars
from easyremote.events import (
    Display,
    DisplayUpdate,
    ErrorShown,
    Event,
    InputRequest,
    Progress,
    Stream,
)

__all__ = ["Screen", "has_terminal"]

#: Seconds that interrupted code has to end before the interrupt is raised here.
INTERRUPT_LIMIT = 5.0
_POLL = 0.5


class Screen:
    """Shows what one call shows on its node."""

    def __init__(self, job: RemoteJob[Any]) -> None:
        self._job = job
        self._bars = TerminalBars()

    def follow(self) -> None:
        """Show the output until the job is done; an interrupt here interrupts the code there."""
        try:
            self._show_until(float("inf"))
        except KeyboardInterrupt:
            self._job.interrupt()
            self._show_until(time.monotonic() + INTERRUPT_LIMIT)
            raise
        finally:
            self.finish()

    def finish(self) -> None:
        """Nothing more will come."""
        self._bars.finish(failed=False)
        for name in ("stdout", "stderr"):
            self._write(name, "")  # a line without its end

    def _show_until(self, deadline: float) -> None:
        for event in self._job.events(_POLL):
            if event is not None:
                self.show(event)
            if time.monotonic() > deadline:
                return

    def show(self, event: Event) -> None:
        """Show what has just come; a question is asked here."""
        match event:
            case Progress():
                self._bars.update(event)
            case Stream():
                self._write(event.name, event.text)
            case Display() | DisplayUpdate():
                self._write("stdout", event.data.get("text/plain", "") + "\n")
            case ErrorShown():
                self._write("stderr", event.traceback + "\n")
            case InputRequest():
                _answer(self._job, event)

    def _write(self, name: str, text: str) -> None:
        stream = getattr(sys, name)
        text = self._bars.whole_lines(name, text)
        with self._bars.aside():
            stream.write(text)
            stream.flush()


def _answer(job: RemoteJob[Any], event: InputRequest) -> None:
    ask = getpass.getpass if event.password else input
    try:
        job.answer(event.number, ask(event.prompt))
    except EOFError as error:
        job.answer(event.number, "", str(error) or "the input has ended")


def has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
