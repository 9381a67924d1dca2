"""Shows here what a cell on a node shows: its output, its value, its errors.

An `Output` publishes a cell's events as fast as Jupyter Server lets them pass. It draws bars ten
times a second and the header once. `watch` calls it, on the thread that runs the cell here.
``tests/jupyter_extension/output/test_display.py`` proves it.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol
from uuid import uuid4

from IPython.core.displayhook import CapturingDisplayHook

from easyremote.events import (
    ClearOutput,
    Comm,
    CommClose,
    CommMessage,
    CommOpen,
    Display,
    DisplayUpdate,
    ErrorShown,
    Event,
    Progress,
    Stream,
    Value,
    note_catching,
)
from easyremote_jupyter.jobs import Entry, Jobs
from easyremote_jupyter.output.bars import Bars, NotebookBars, TerminalBars, widget_bars
from easyremote_jupyter.output.caught import Caught, error_content
from easyremote_jupyter.output.header import Header
from easyremote_jupyter.output.pace import Pace, pieces

__all__ = ["Output", "Publisher", "draw_value", "keep_value", "show_notice"]

#: Seconds without the gateway before the user is told.
AWAY_LIMIT = 1.0


class Publisher(Protocol):
    """Takes what is published."""

    def publish(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any],
        *,
        transient: dict[str, Any],
        update: bool,
    ) -> None: ...
    def clear_output(self, wait: bool) -> None: ...
    def write(self, name: str, text: str) -> None: ...
    def show_error(self, event: ErrorShown) -> None: ...


class _OfCell:
    """Publishes under the cell that runs here."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self.publish = shell.display_pub.publish
        self.clear_output = shell.display_pub.clear_output

    def write(self, name: str, text: str) -> None:
        stream = sys.stderr if name == "stderr" else sys.stdout
        stream.write(text)
        stream.flush()

    def show_error(self, event: ErrorShown) -> None:
        kernel = getattr(self._shell, "kernel", None)
        if kernel is None:
            self.write("stderr", event.traceback + "\n")
        else:
            kernel.send_response(kernel.iopub_socket, "error", error_content(event))


class Output:
    """Publishes the events of one cell.

    Parameters
    ----------
    shell
        The IPython shell of the notebook.
    progress
        ``auto``, ``html``, ``widget``, ``text`` or ``none``.
    quiet
        Whether to leave out all but errors, displays and the value.
    jobs
        Where the cell's job is listed; None for nowhere.
    node_id, title
        Where it runs, and what it is called there.
    feed
        For the `Header`; None for no header.
    publisher
        Where it goes; None for the cell that runs here.
    say
        Takes what widgets say; None where nobody listens.
    draw
        Draws the value of the last expression, at once: what comes after it is shown below it.
    """

    def __init__(
        self,
        shell: Any,
        *,
        progress: str = "auto",
        quiet: bool = False,
        jobs: Jobs | None = None,
        node_id: str = "",
        title: str = "",
        feed: Callable[[], Any] | None = None,
        publisher: Publisher | None = None,
        say: Callable[[Comm], None] | None = None,
        draw: Callable[[Value], None] | None = None,
    ) -> None:
        self._draw = draw
        self._publisher = publisher or _OfCell(shell)
        self._say = say
        #: The Output widgets that catch what the cell shows.
        self._catching: set[str] = set()
        kernel = getattr(shell, "kernel", None)
        has_user = getattr(kernel, "_allow_stdin", True) or publisher is not None
        self._caught = None if has_user or say is None else Caught(say)
        self._is_terminal = not hasattr(shell, "kernel")
        self._is_quiet = quiet
        self._bars = self._make_bars("none" if quiet else progress)
        self._pace = None if self._is_terminal else Pace()
        self._jobs, self._node_id, self._title = jobs, node_id, title
        self._entry: Entry | None = None
        self._feed = None if quiet else feed
        self._header: Header | None = None
        self._away_since: float | None = None
        self._told_away = False
        #: The event of the last expression's value, for `keep_value`.
        self.result: Value | None = None

    # -- for `watch`

    def begins(self, job: Any) -> None:
        """The cell's job has been submitted."""
        if self._jobs is not None:
            self._entry = Entry(job, self._node_id, self._title)
            self._jobs.add(self._entry)
        if self._feed is not None and self._header is None:
            self._header = Header(self._display(), self._node_id, self._feed)

    def interrupted(self, job: Any) -> None:
        """The job was told to stop."""
        if self._entry is not None:
            self._entry.is_cancelling = True

    def notice(self, text: str) -> None:
        """Show a line of EasyRemote's own."""
        show_notice(text)

    def tick(self, job: Any) -> None:
        """Draw what is due."""
        if self._bars is not None:
            self._bars.tick()
        if self._header is not None and not self._is_terminal and not self._catching:
            self._header.tick("" if job.done() else job.call_id, runs=job.running())
        self._mind_connection(job.is_connected)

    def show(self, event: Event) -> None:
        """Publish one event, if no widget catches it."""
        if self._caught is None or not self._caught.take(event):
            self._show(event)

    def _show(self, event: Event) -> None:
        match event:
            case Value():
                self._take_value(event)
            case Progress() if self._bars is not None:
                self._bars.update(event)
            case Stream() if not self._is_quiet:
                self._write(event.name, event.text)
            case Display() | DisplayUpdate():
                self._wait(len(json.dumps(event.data, ensure_ascii=False).encode()))
                self._publisher.publish(
                    event.data,
                    event.metadata,
                    transient=event.transient,
                    update=isinstance(event, DisplayUpdate),
                )
            case ClearOutput():
                self._wait(0)
                self._publisher.clear_output(event.wait)
                for drawn in (self._bars, self._header):
                    if drawn is not None and not self._catching:  # else it was a widget's
                        drawn.redraw()
            case ErrorShown():
                self._publisher.show_error(event)
            case CommOpen() | CommMessage() | CommClose() if self._say is not None:
                self._wait(len(json.dumps(event.data)) + sum(map(len, event.buffers)))
                note_catching(event, self._catching)
                self._say(event)

    def __enter__(self) -> Output:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.finish(failed=error is not None)

    def finish(self, *, failed: bool = False) -> None:
        """The cell has ended."""
        if self._bars is not None:
            self._bars.finish(failed)
        for name in ("stdout", "stderr"):
            self._write(name, "")  # the line that has begun
        if self._caught is not None:
            self._caught.finish()
        for comm_id in list(self._catching):  # its process has died in the middle
            self.show(_catch_no_more(comm_id))
        if self._header is not None:
            self._header.finish()

    # -- inside

    def _take_value(self, event: Value) -> None:
        self.result = event
        if self._draw is not None:
            self._wait(len(json.dumps(event.data, ensure_ascii=False).encode()))
            self._draw(event)

    def _write(self, name: str, text: str) -> None:
        if self._bars is not None:
            text = self._bars.whole_lines(name, text)
        if not text:
            return
        with self._bars.aside() if self._bars is not None else contextlib.nullcontext():
            for piece in pieces(text):
                self._wait(len(json.dumps(piece, ensure_ascii=False).encode("utf-8", "replace")))
                self._publisher.write(name, piece)

    def _wait(self, size: int) -> None:
        if self._pace is not None:
            seconds = self._pace.spend(size, time.monotonic())
            if seconds:
                time.sleep(seconds)

    def _mind_connection(self, is_connected: bool) -> None:
        now = time.monotonic()
        if is_connected:
            if self._told_away:
                show_notice("Connected again.")
            self._away_since, self._told_away = None, False
        elif self._away_since is None:
            self._away_since = now
        elif not self._told_away and now - self._away_since > AWAY_LIMIT:
            self._told_away = True
            show_notice("No connection to the gateway: reconnecting ... (the job keeps running)")

    def _make_bars(self, progress: str) -> Bars | None:
        if progress == "none":
            return None
        if self._is_terminal:
            return TerminalBars()
        if progress == "widget":
            return widget_bars(self._display())
        return NotebookBars(self._display(), html=progress != "text")

    def _display(self) -> Callable[[dict[str, str], bool], None]:
        """A function that shows a bundle in a display of its own, and later replaces it."""
        transient: dict[str, str] = {}

        def publish(data: dict[str, str], update: bool) -> None:
            if not transient:  # most cells never need one
                transient["display_id"] = uuid4().hex
            self._wait(sum(map(len, data.values())))
            self._publisher.publish(data, {}, transient=transient, update=update)

        return publish


def _catch_no_more(comm_id: str) -> CommMessage:
    data = {"method": "update", "state": {"msg_id": ""}, "buffer_paths": []}
    return CommMessage(comm_id, data)


def draw_value(shell: Any, event: Value) -> None:
    """Show the value of a cell's last expression as the node drew it."""
    hook: Any = shell.displayhook
    if isinstance(sys.displayhook, CapturingDisplayHook):  # in %%capture
        sys.displayhook.outputs.append({"data": event.data, "metadata": event.metadata})
    elif sys.displayhook == hook:
        hook.start_displayhook()
        hook.write_output_prompt()
        hook.write_format_data(event.data, event.metadata)
        hook.finish_displayhook()


def keep_value(shell: Any, value: object) -> None:
    """Keep the value that `draw_value` has drawn as ``_``, and as the cell's result."""
    hook: Any = shell.displayhook
    if sys.displayhook == hook:
        hook.update_user_ns(value)
        hook.fill_exec_result(value)
    elif not isinstance(sys.displayhook, CapturingDisplayHook):
        sys.displayhook(value)  # the user's own


def show_notice(text: str) -> None:
    """Show one dim line of EasyRemote's own among a cell's output."""
    sys.stderr.write(f"\x1b[2m{text}\x1b[0m\n")
