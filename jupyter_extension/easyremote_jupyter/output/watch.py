"""Waits for a job: shows its output here, asks its questions here, and passes an interrupt on.

The thread that runs the cell here publishes all output, so it appears under the right cell. While
this thread waits, an interrupt is a request to the node, not an exception in the middle of a line.
``tests/jupyter_extension/output/test_watch.py`` proves it.
"""

from __future__ import annotations

import contextlib
import getpass
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Protocol

from easyremote.events import Event, InputRequest

__all__ = ["WatchedJob", "Watcher", "watch"]

#: Seconds that an interrupted cell has to show where it was, before control returns.
INTERRUPT_LIMIT = 5.0
#: Seconds between two looks for an interrupt.
_POLL = 0.1
_NOT_YET = (
    "The cell has been told to stop, but hasn't stopped yet: %remote_jobs shows it as cancelling, "
    "%remote_cancel ID --kill ends it, and its session."
)


class WatchedJob(Protocol):
    """The job that is watched: a `RemoteJob`."""

    @property
    def call_id(self) -> str: ...
    def events(self, poll: float) -> Iterator[Event | None]: ...
    def interrupt(self) -> None: ...
    def answer(self, number: int, text: str, error: str = "") -> object: ...


class Watcher(Protocol):
    """What shows the job: an `Output`."""

    def begins(self, job: WatchedJob) -> None: ...
    def show(self, event: Event) -> None: ...
    def tick(self, job: WatchedJob) -> None: ...
    def interrupted(self, job: WatchedJob) -> None: ...
    def notice(self, text: str) -> None: ...


def watch(job: WatchedJob, output: Watcher) -> None:
    """Show what a job shows until it is done.

    Raises
    ------
    KeyboardInterrupt
        At the second interrupt, or when the node takes too long to act on the first.
    """
    output.begins(job)
    with _counted_interrupts() as interrupts:
        deadline = float("inf")
        for event in job.events(_POLL):
            if isinstance(event, InputRequest):
                _ask(job, event)
            elif event is not None:
                output.show(event)
            output.tick(job)
            if interrupts and deadline == float("inf"):
                output.interrupted(job)
                job.interrupt()
                deadline = time.monotonic() + INTERRUPT_LIMIT
            if time.monotonic() > deadline:
                raise KeyboardInterrupt(_NOT_YET)


def _ask(job: WatchedJob, event: InputRequest) -> None:
    """Ask the user what the cell asks, and send the answer; pass an interrupt on to the cell."""
    ask = getpass.getpass if event.password else input
    with _usual_interrupts():
        try:
            job.answer(event.number, ask(event.prompt))
        except KeyboardInterrupt:
            job.interrupt()
        except (EOFError, RuntimeError) as error:  # ipykernel's StdinNotImplementedError is one
            job.answer(event.number, "", str(error) or "the input has ended")


@contextlib.contextmanager
def _usual_interrupts() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _counted_interrupts() -> Iterator[list[int]]:
    """Note the first interrupt of this block in a list, and raise nothing."""
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen  # signals go to the main thread: nothing can come
        return

    def note(number: int, frame: FrameType | None) -> None:
        if seen:
            raise KeyboardInterrupt(_NOT_YET)
        seen.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)
