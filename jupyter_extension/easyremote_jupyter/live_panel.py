"""``%remote_panel``: the nodes and what runs, as widgets, where there is no JupyterLab sidebar.

A thread of its own takes the gateway's snapshots and changes the widgets, so they move while a cell
runs; ipykernel's output socket is made for that. Only what has changed is published, once a second.
A click on a button comes through the kernel as any other widget's does: between two cells.
``tests/jupyter_extension/test_live_panel.py`` proves it in a real kernel.
"""

from __future__ import annotations

import html
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import msgspec

from easyremote.client.client import Client
from easyremote.client.info import NodeInfo
from easyremote.errors import CallCancelled, EasyRemoteError, UsageError

from .header import elapsed
from .jobs import Jobs

__all__ = ["LivePanel", "load_widgets"]

_WITHOUT = "Without it: %remote_nodes --watch, %remote_jobs."


class LivePanel:
    """The panel of one notebook.

    Parameters
    ----------
    client
        Whose gateway is shown.
    jobs
        Those of this notebook, which can be cancelled here.
    """

    def __init__(self, client: Client, jobs: Jobs) -> None:
        self._widgets = load_widgets()
        self._jobs = jobs
        self._nodes: dict[str, _NodeRow] = {}
        self._running: dict[str, _JobRow] = {}
        self._status = self._widgets.HTML(f"<b>{html.escape(client.settings.gateway)}</b>")
        self._node_box, self._job_box = self._widgets.VBox(), self._widgets.VBox()
        #: What is displayed.
        self.widget = self._widgets.VBox([self._status, self._node_box, self._job_box])
        self._stream = client.watch()
        threading.Thread(target=self._follow, name="easyremote-panel", daemon=True).start()

    def close(self) -> None:
        """Take it away, and watch no more. Safe to repeat."""
        self._stream.close()
        _close(self.widget)

    def _follow(self) -> None:
        try:
            for snapshot in self._stream:
                self._show(snapshot)
        except CallCancelled:
            pass  # it was closed
        except EasyRemoteError as error:
            text = html.escape(f"{type(error).__name__}: {error}")
            self._status.value = f"<b>{text}</b> Show it again: %remote_panel"

    def _show(self, snapshot: dict[str, Any]) -> None:
        nodes = {node["node_id"]: msgspec.convert(node, NodeInfo) for node in snapshot["nodes"]}
        jobs = {job["call_id"]: job for job in snapshot["jobs"] if job["function"][:1] != "$"}
        self._arrange(self._node_box, self._nodes, nodes, self._node_row)
        self._arrange(self._job_box, self._running, jobs, self._job_row)
        for node_id, row in self._nodes.items():
            row.show(nodes[node_id])
        for call_id, job_row in self._running.items():
            job_row.show(jobs[call_id])

    def _arrange(
        self, box: Any, rows: dict[str, Any], wanted: dict[str, Any], make: Callable[[str], Any]
    ) -> None:
        """A row for each that is wanted, and for no other."""
        if rows.keys() == wanted.keys():
            return
        for key in rows.keys() - wanted.keys():
            _close(rows.pop(key).box)
        for key in wanted:
            if key not in rows:
                rows[key] = make(key)
        box.children = [rows[key].box for key in sorted(rows)]

    def _node_row(self, node_id: str) -> _NodeRow:
        return _NodeRow(self._widgets)

    def _job_row(self, call_id: str) -> _JobRow:
        entry = self._jobs.find(call_id)
        return _JobRow(self._widgets, entry)


class _NodeRow:
    """A node: its name, how busy its machine is, what it has."""

    def __init__(self, widgets: ModuleType) -> None:
        self._name = widgets.HTML(layout=widgets.Layout(width="16em"))
        self._cpu = _bar(widgets, "CPU")
        self._memory = _bar(widgets, "RAM")
        self._text = widgets.HTML()
        self.box = widgets.HBox([self._name, self._cpu, self._memory, self._text])

    def show(self, node: NodeInfo) -> None:
        dot = "🟢" if node.state == "online" else "⚪"
        self._name.value = f"{dot} <b>{html.escape(node.node_id)}</b> {html.escape(node.state)}"
        self._cpu.value = round(node.cpu or 0.0, 2)
        total = node.memory_total or 0
        self._memory.value = round((node.memory_used or 0) / total, 2) if total else 0.0
        has = [f"{node.running} running", *(f"{node.cores} cores" for _ in range(bool(node.cores)))]
        has += [f"{total / 1e9:.1f} GB"] if total else []
        has += [f"{gpu.name} {gpu.use:.0%}" for gpu in node.gpus]
        self._text.value = html.escape(", ".join(has))


class _JobRow:
    """A job; with a button, if it is one of this notebook."""

    def __init__(self, widgets: ModuleType, entry: Any) -> None:
        self._entry = entry
        self._text = widgets.HTML()
        self._button = widgets.Button(description="Cancel", disabled=entry is None)
        self._button.tooltip = "Interrupt it" if entry else "It was started elsewhere"
        self._button.on_click(self._cancel)
        self.box = widgets.HBox([self._button, self._text])

    def show(self, job: dict[str, Any]) -> None:
        title = self._entry.title if self._entry is not None else job["function"]
        state = self._entry.state if self._entry is not None else job["state"]
        where = job["node_id"] or "any node"
        text = f"{title} on {where}: {state}, {elapsed(job['seconds'])}"
        self._text.value = html.escape(text)

    def _cancel(self, button: Any) -> None:
        self._entry.is_cancelling = True
        self._entry.job.interrupt()
        button.disabled = True


def load_widgets() -> ModuleType:
    """ipywidgets, which not everybody has.

    Raises
    ------
    UsageError
        It isn't installed; what to do.
    """
    try:
        import ipywidgets
    except ImportError:
        raise UsageError(
            f"%remote_panel needs ipywidgets: pip install ipywidgets. {_WITHOUT}"
        ) from None
    module: ModuleType = ipywidgets
    return module


def _close(widget: Any) -> None:
    """Close a widget with all that is in it: ipywidgets keeps the rest for ever."""
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()


def _bar(widgets: ModuleType, name: str) -> Any:
    layout = widgets.Layout(width="14em")
    return widgets.FloatProgress(value=0.0, min=0.0, max=1.0, description=name, layout=layout)
