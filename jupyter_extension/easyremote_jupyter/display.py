"""What a cell on a node shows, shown here: its output, its value, its errors, and the stop button.

Everything is published by the thread that runs the cell here, so it lands under the right cell.
While it waits, an interrupt is a request to the node, not an exception in the middle of a line.
``tests/jupyter_extension/test_display.py`` proves it.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol
from uuid import uuid4

from IPython.core.error import UsageError as IPythonUsageError

from easyremote.errors import EasyRemoteError, RemoteError, UsageError

from .bars import Bars, NotebookBars, TerminalBars

__all__ = ["Event", "Output", "one_line_errors", "show_notice", "show_result", "watch"]

Event = dict[str, Any]

#: How long an interrupted cell may take to show where it was, before control returns.
INTERRUPT_LIMIT = 5.0
#: How soon an interrupt is noticed, in seconds.
_POLL = 0.1


class Job(Protocol):
    """What is watched; a `RemoteJob`."""

    def next_event(self, timeout: float) -> Event | None: ...
    def done(self) -> bool: ...
    def interrupt(self) -> None: ...


class Output:
    """Publishes the events of one cell.

    Parameters
    ----------
    shell
        The IPython shell of the notebook.
    progress
        ``auto``, ``html``, ``text`` or ``none``.
    quiet
        Whether to leave out all but errors and the value.
    """

    def __init__(self, shell: Any, *, progress: str = "auto", quiet: bool = False) -> None:
        self._publisher = shell.display_pub
        self._is_quiet = quiet
        self._bars = self._make_bars(shell, "none" if quiet else progress)
        #: The event of the last expression's value, for `show_result`.
        self.result: Event | None = None

    def show(self, event: Event) -> None:
        """Publish one event."""
        kind = event["type"]
        if kind == "execute_result":
            self.result = event
        elif kind == "progress" and self._bars is not None:
            self._bars.update(event)  # type: ignore[arg-type]  # the node made it of a Progress
        elif kind == "stream" and not self._is_quiet:
            stream = sys.stderr if event["name"] == "stderr" else sys.stdout
            stream.write(event["text"])
            stream.flush()
        elif kind in ("display_data", "update_display_data"):
            self._publisher.publish(
                event["data"],
                event["metadata"],
                transient=event["transient"],
                update=kind == "update_display_data",
            )
        elif kind == "clear_output":
            self._publisher.clear_output(event["wait"])
            if self._bars is not None:
                self._bars.redraw()

    def finish(self) -> None:
        """The cell has ended."""
        if self._bars is not None:
            self._bars.finish()

    def _make_bars(self, shell: Any, progress: str) -> Bars | None:
        if progress == "none":
            return None
        if progress == "auto" and not hasattr(shell, "kernel"):
            return TerminalBars()
        transient = {"display_id": uuid4().hex}

        def publish(data: dict[str, str], update: bool) -> None:
            self._publisher.publish(data, {}, transient=transient, update=update)

        return NotebookBars(publish, html=progress != "text")


def watch(job: Job, show: Callable[[Event], None]) -> None:
    """Show what a job shows until it is done.

    Raises
    ------
    KeyboardInterrupt
        At the second interrupt, or when the node takes too long to heed the first.
    """
    with _counted_interrupts() as interrupts:
        deadline = float("inf")
        while True:
            event = job.next_event(_POLL)
            if event is not None:
                show(event)
            elif job.done():
                return
            if interrupts and deadline == float("inf"):
                job.interrupt()
                deadline = time.monotonic() + INTERRUPT_LIMIT
            if len(interrupts) > 1 or time.monotonic() > deadline:
                raise KeyboardInterrupt("The cell has been told to stop, but hasn't stopped yet.")


@contextlib.contextmanager
def _counted_interrupts() -> Iterator[list[int]]:
    """Interrupts that come in this block, as a list that grows, instead of as exceptions."""
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen  # signals go to the main thread: nothing can come
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


class _RemoteInterrupt(KeyboardInterrupt):
    """A KeyboardInterrupt that shows where the cell was on the node."""

    def __init__(self, error: RemoteError) -> None:
        super().__init__()
        self._lines = error._render_traceback_()

    def _render_traceback_(self) -> list[str]:
        return self._lines


_RemoteInterrupt.__name__ = _RemoteInterrupt.__qualname__ = "KeyboardInterrupt"


@contextlib.contextmanager
def one_line_errors(node_id: str = "", hint: Callable[[RemoteError], str] | None = None) -> Any:
    """Let errors of EasyRemote pass as a notebook should show them: without our frames.

    Parameters
    ----------
    node_id
        Where the cell runs, for its tracebacks.
    hint
        Makes a line to show below a traceback, or nothing.
    """
    try:
        yield
    except RemoteError as error:
        error.details.setdefault("node_id", node_id)
        if error.type_name == "KeyboardInterrupt":
            raise _RemoteInterrupt(error) from None
        line = hint(error) if hint is not None else ""
        if line:
            error.remote_traceback = f"{error.remote_traceback.rstrip()}\n{line}"
        raise
    except UsageError as error:
        raise IPythonUsageError(str(error)) from None
    except EasyRemoteError as error:
        line = f"{type(error).__name__}: {error}"
        error._render_traceback_ = lambda: [line]  # type: ignore[attr-defined]  # IPython looks for it
        raise


def show_result(shell: Any, event: Event, answer: dict[str, Any]) -> None:
    """Show the value of a cell's last expression as the node drew it, and keep it as ``_``."""
    hook: Any = shell.displayhook
    if sys.displayhook != hook:  # %%capture has put its own there, which draws by itself
        sys.displayhook(answer.get("value"))
        return
    hook.start_displayhook()
    hook.write_output_prompt()
    hook.write_format_data(event["data"], event["metadata"])
    if "value" in answer:
        hook.update_user_ns(answer["value"])
        hook.fill_exec_result(answer["value"])
    hook.finish_displayhook()


def show_notice(text: str) -> None:
    """One dim line of ours among a cell's output."""
    sys.stderr.write(f"\x1b[2m{text}\x1b[0m\n")
