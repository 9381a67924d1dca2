"""``%remote_panel``: nodes and jobs, for front ends without JupyterLab's sidebar.

With ipywidgets each job has a button, and functions and sessions fold. Without ipywidgets it is one
display of HTML and text, which says how to cancel a job. The thread of `LiveSource` draws both, so
they change while a cell runs; ipykernel's output socket allows that. Only changes are published. A
click on a button reaches the kernel between two cells, as for every widget.
``tests/jupyter_extension/live/test_live_panel.py`` proves it in a real kernel.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from types import ModuleType
from typing import Any, Protocol
from uuid import uuid4

from IPython.display import display

from easyremote.client.client import Client
from easyremote.errors import EasyRemoteError
from easyremote.panel.messages import EndedJob, JobRow
from easyremote_jupyter.jobs import Jobs, stop
from easyremote_jupyter.live.live_source import Live, LiveSource
from easyremote_jupyter.live.live_texts import (
    Title,
    folds,
    head,
    job_html,
    nodes_html,
    page_html,
    page_text,
)

__all__ = ["LivePanel"]


class LivePanel:
    """The panel of one notebook, in the output of the cell that makes it.

    Parameters
    ----------
    shell
        The IPython shell of the notebook.
    client
        The client of the gateway that is shown.
    jobs
        The jobs of this notebook, for their titles.
    """

    def __init__(self, shell: Any, client: Client, jobs: Jobs) -> None:
        def title(job: JobRow | EndedJob) -> str:
            entry = jobs.find(job.call_id)
            return entry.title if entry is not None else job.function

        def cancel(call_id: str) -> None:
            stop(client, jobs, call_id)

        self._view: _View
        try:
            import ipywidgets
        except ImportError:
            self._view = _Page(shell.display_pub, title)
        else:
            self._view = _Widgets(ipywidgets, title, cancel)
        self._source = LiveSource(client, self._view.draw)

    def close(self) -> None:
        """Remove the panel and end its thread. Safe to repeat."""
        self._source.close()
        self._view.close()


class _View(Protocol):
    def draw(self, live: Live) -> None: ...
    def close(self) -> None: ...


class _Page:
    """One display, whose content is replaced."""

    def __init__(self, publisher: Any, title: Title) -> None:
        self._publisher, self._title = publisher, title
        self._transient = {"display_id": uuid4().hex}
        self._drawn = ""
        self._publish("EasyRemote: connecting ...", "EasyRemote: connecting ...", update=False)

    def draw(self, live: Live) -> None:
        text = page_text(live, self._title)
        if text != self._drawn:
            self._drawn = text
            self._publish(text, page_html(live, self._title), update=True)

    def close(self) -> None:
        """Nothing to do: the last content stays, as other output does."""

    def _publish(self, text: str, page: str, *, update: bool) -> None:
        data = {"text/plain": text, "text/html": page}
        self._publisher.publish(data, {}, transient=self._transient, update=update)


class _Widgets:
    """Widgets: a row for each job, and HTML for the rest."""

    def __init__(self, widgets: ModuleType, title: Title, cancel: Callable[[str], None]) -> None:
        self._widgets, self._title, self._cancel = widgets, title, cancel
        self._head, self._nodes = widgets.HTML(), widgets.HTML()
        self._jobs = widgets.VBox()
        self._rows: dict[str, _JobRow] = {}
        self._more = [widgets.HTML(), widgets.HTML(), widgets.HTML()]
        more = widgets.Accordion(self._more, titles=("Recent", "Functions", "Sessions"))
        self._all = widgets.VBox([self._head, self._nodes, self._jobs, more])
        show: Any = display
        show(self._all)

    def draw(self, live: Live) -> None:
        self._head.value = f"<b>{html.escape(head(live))}</b>"
        snapshot = live.snapshot
        self._nodes.value = nodes_html(snapshot.nodes) if snapshot is not None else ""
        self._arrange({job.call_id: job for job in snapshot.jobs} if snapshot is not None else {})
        for job in snapshot.jobs if snapshot is not None else []:
            self._rows[job.call_id].show(job, self._title(job), live)
        for fold, section in zip(self._more, folds(live, self._title), strict=True):
            fold.value = section.as_html()

    def close(self) -> None:
        _close(self._all)

    def _arrange(self, jobs: dict[str, JobRow]) -> None:
        """Have a row for each job that runs or waits, and for no other."""
        if self._rows.keys() == jobs.keys():
            return
        for call_id in self._rows.keys() - jobs.keys():
            _close(self._rows.pop(call_id).box)
        for call_id in jobs.keys() - self._rows.keys():
            self._rows[call_id] = _JobRow(self._widgets, call_id, self._cancel)
        self._jobs.children = [self._rows[call_id].box for call_id in jobs]


class _JobRow:
    """A job with a button to stop it."""

    def __init__(self, widgets: ModuleType, call_id: str, cancel: Callable[[str], None]) -> None:
        self._call_id, self._cancel = call_id, cancel
        self._text = widgets.HTML(layout=widgets.Layout(flex="1 1 auto"))
        self._button = widgets.Button(
            description="Cancel", tooltip="Interrupt it", layout=widgets.Layout(width="auto")
        )
        self._button.on_click(self._on_click)
        self.box = widgets.HBox([self._button, self._text])

    def show(self, job: JobRow, title: str, live: Live) -> None:
        self._text.value = job_html(job, title, live.bars.get(job.call_id))

    def _on_click(self, button: Any) -> None:
        try:
            self._cancel(self._call_id)
            button.disabled = True
        except EasyRemoteError as error:
            button.tooltip = f"{type(error).__name__}: {error}"
            button.button_style = "danger"


def _close(widget: Any) -> None:
    """Close a widget with all widgets in it, else ipywidgets keeps these for ever."""
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()
