"""What a background cell shows, under its own cell: one display, drawn again twice a second.

The display holds a line about the job, the end of its text, its bars, figures and widgets. The node
keeps the whole text: ``%remote_job ID`` shows it. The job's own thread draws the display. At the
end the main thread draws it once more, because a notebook that is run headless only takes output
while one of its cells runs. In a terminal only the end is printed.
``tests/jupyter_extension/test_jobs.py`` proves it.
"""

from __future__ import annotations

import html
import sys
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from easyremote.errors import EasyRemoteError
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
)
from easyremote.terminal_text import compacted, without_escapes
from easyremote_jupyter.jobs import CellJob, Entry, Jobs
from easyremote_jupyter.output.bars import bars_html, bars_text
from easyremote_jupyter.output.header import elapsed
from easyremote_jupyter.widgets.box import VIEW, Box, make_box

__all__ = ["Panel"]

#: Seconds between two drawings.
INTERVAL = 0.5
#: Characters of text that are shown, and how many figures.
TEXT_LIMIT = 10_000
FIGURES = 20
_IMAGES = ("image/png", "image/jpeg")

#: What is drawn below the text.
Figure = Display | DisplayUpdate | Value


class Panel:
    """The display of one background cell.

    Parameters
    ----------
    shell
        The IPython shell of the notebook.
    cell
        The job that is shown.
    jobs
        Where it is listed.
    title
        Of which cell it is.
    say
        Takes what widgets say.
    """

    def __init__(
        self,
        shell: Any,
        cell: CellJob,
        jobs: Jobs,
        title: str,
        say: Callable[[Comm], None],
    ) -> None:
        self._publisher = shell.display_pub
        self._is_terminal = not hasattr(shell, "kernel")
        self._cell, self._jobs, self._title, self._say = cell, jobs, title, say
        self._transient = {"display_id": uuid4().hex}
        self._entry: Entry | None = None
        self._text = ""
        self._left_out = 0
        self._bars: dict[str, Progress] = {}
        #: By display id, or by a number for those without.
        self._figures: dict[str, Figure] = {}
        #: The box of the widgets, as soon as there is a widget.
        self._box: Box | None = None
        self._note = ""
        self._has_ended = False
        self._drawn = 0.0
        self._lock = threading.Lock()
        #: The event of the last expression's value.
        self.result: Value | None = None

    # -- for `watch`, on the job's thread

    def begins(self, job: Any) -> None:
        """The job has been submitted."""
        self._entry = Entry(job, self._cell.node_id, self._title, self._cell)
        self._jobs.add(self._entry)
        self._cell.sent(job)

    def interrupted(self, job: Any) -> None:
        """Do nothing: interrupts go to the main thread and are meant for what runs there."""

    def notice(self, text: str) -> None:
        """Show a line of EasyRemote's own."""
        with self._lock:
            self._write(f"{text}\n")

    def tick(self, job: Any) -> None:
        if not job.is_connected:
            self._note = "reconnecting ... (the job keeps running)"
        else:
            self._note = ""
        self._draw_if_due()

    def show(self, event: Event) -> None:
        """Take in one event.

        Raises
        ------
        KeyboardInterrupt
            The event is about a file that is being sent, and the job was cancelled.
        """
        if self._entry is None:
            if self._cell.is_unwanted:
                raise KeyboardInterrupt
            self._draw_if_due()
        with self._lock:
            match event:
                case Stream():
                    self._write(event.text)
                case Progress():
                    self._move(event)
                case ClearOutput():
                    self._text, self._left_out = "", 0
                    self._figures.clear()
                case Display() | DisplayUpdate():
                    self._place(event)
                case Value():
                    self.result = self._figures["result"] = event
                case ErrorShown():
                    self._write(event.traceback + "\n")
                case CommOpen() | CommMessage() | CommClose():
                    self._say(event)

    def _place(self, event: Display | DisplayUpdate) -> None:
        key = event.transient.get("display_id") or uuid4().hex
        if isinstance(event, Display) or key in self._figures:
            self._figures[key] = event

    def __enter__(self) -> Panel:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """The job has ended."""
        self._has_ended = True
        with self._lock:
            for bar in self._bars.values():
                if error is not None and bar.state == "running":
                    bar.state = "failed"
            if isinstance(error, EasyRemoteError):
                render = getattr(error, "_render_traceback_", lambda: [str(error)])
                self._write("\n".join(render()) + "\n")
        if not self._is_terminal:
            self.draw(update=True)

    # -- on any thread

    def draw(self, *, update: bool) -> None:
        """Draw the display, or draw it again."""
        self._drawn = time.monotonic()
        if self._is_terminal:
            return
        with self._lock:
            is_drawn = self._box is not None
            box = self._filled_box()
            if box is not None and is_drawn and not self._has_ended:
                return  # what is drawn anew is torn from the hand that holds it
            data: dict[str, Any] = {
                "text/plain": self._plain(),
                "text/html": self._html(self._shown_figures()),
            }
            if box is not None:
                data[VIEW] = box.view
        self._publisher.publish(data, {}, transient=self._transient, update=update)

    def tell_end(self) -> None:
        """Draw the end; called on the main thread before the next cell begins."""
        if self._is_terminal:
            sys.stdout.write(f"[{self._head()}: %remote_job {self._cell.call_id[:8]} shows all]\n")
        else:
            self.draw(update=True)

    # -- inside

    def _draw_if_due(self) -> None:
        if time.monotonic() - self._drawn >= INTERVAL:
            self.draw(update=True)

    def _write(self, text: str) -> None:
        self._text = compacted(self._text + text)
        if len(self._text) > 2 * TEXT_LIMIT:
            self._left_out += len(self._text) - TEXT_LIMIT
            self._text = self._text[-TEXT_LIMIT:]

    def _move(self, event: Progress) -> None:
        if event.state == "done" and not event.leave:
            self._bars.pop(event.id, None)
        else:
            self._bars[event.id] = event

    def _head(self) -> str:
        entry = self._entry
        if entry is None:
            return f"{self._cell.node_id} · {'not sent' if self._has_ended else 'sending'}"
        name = self._cell.name or "job"
        parts = [f"{entry.node_id} {name} {entry.call_id[:8]}", entry.state, elapsed(entry.seconds)]
        return " · ".join([*parts, *filter(None, [self._note])])

    def _shown_text(self) -> str:
        left_out = self._left_out + max(len(self._text) - TEXT_LIMIT, 0)
        text = without_escapes(self._text[-TEXT_LIMIT:])
        if not left_out:
            return text
        how = f"%remote_job {self._cell.call_id[:8]}"
        return f"[{left_out} characters before this: {how} shows all]\n{text}"

    def _plain(self) -> str:
        parts = [
            self._head(),
            self._shown_text().rstrip("\n"),
            bars_text(list(self._bars.values())),
        ]
        parts += [str(figure.data.get("text/plain", "")) for figure in self._shown_figures()]
        return "\n".join(filter(None, parts))

    def _html(self, figures: list[Figure]) -> str:
        head = f'<div style="color:var(--jp-ui-font-color2,gray)">{html.escape(self._head())}</div>'
        text, bars = self._shown_text(), list(self._bars.values())
        parts = [head]
        if text:
            parts.append(f'<pre style="margin:0">{html.escape(text)}</pre>')
        if bars:
            parts.append(bars_html(bars))
        parts += map(_figure_html, figures)
        return f'<div class="easyremote-job">{"".join(parts)}</div>'

    def _filled_box(self) -> Box | None:
        """A box with the widgets in it; None if there are none, or no ipywidgets."""
        figures = self._shown_figures()
        models = [event.data[VIEW]["model_id"] for event in figures if VIEW in event.data]
        if models and self._box is None:
            self._box = make_box()
        if not models or self._box is None:
            return None
        others = [event for event in figures if VIEW not in event.data]
        self._box.show(self._html(others), models)
        return self._box

    def _shown_figures(self) -> list[Figure]:
        return list(self._figures.values())[-FIGURES:]


def _figure_html(event: Figure) -> str:
    data = event.data
    if "text/html" in data:
        return f"<div>{data['text/html']}</div>"
    if "image/svg+xml" in data:
        return f"<div>{data['image/svg+xml']}</div>"
    for kind in _IMAGES:
        if kind in data:
            return f'<img src="data:{kind};base64,{data[kind].strip()}">'
    if "text/latex" in data:
        return f"<div>{html.escape(data['text/latex'])}</div>"
    return f'<pre style="margin:0">{html.escape(str(data.get("text/plain", "")))}</pre>'
