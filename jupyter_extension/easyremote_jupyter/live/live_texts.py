"""Writes the content of ``%remote_panel`` as HTML and as text. Pure.

The colours are JupyterLab's, with others where there is no JupyterLab. There are no scripts.
``tests/jupyter_extension/live/test_live_texts.py`` proves it.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from easyremote.events import Progress
from easyremote.panel.messages import EndedJob, JobBars, JobRow, NodeRow
from easyremote_jupyter.live.live_source import Live
from easyremote_jupyter.output.bars import bars_html, bars_text
from easyremote_jupyter.output.header import elapsed
from easyremote_jupyter.output.tables import html_table, text_table

__all__ = ["Section", "Title", "folds", "head", "job_html", "nodes_html", "page_html", "page_text"]

#: Jobs that are over and shown, at the most.
RECENT = 5
_DOTS = {
    "online": "var(--jp-success-color1,green)",
    "suspect": "var(--jp-warn-color1,orange)",
}
_ENDS = {"": "done", "cancelled": "cancelled", "timeout": "out of time", "lost": "lost"}
_WEAK = "color:var(--jp-ui-font-color2,gray)"
#: Returns the title of a job in this notebook.
Title = Callable[[JobRow | EndedJob], str]


class Section(NamedTuple):
    """A table with a title; `empty` is its text where it has no rows."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    empty: str

    def as_html(self) -> str:
        if not self.rows:
            return f'<div style="{_WEAK}">{html.escape(self.empty)}</div>'
        return html_table(self.headings, self.rows)

    def as_text(self) -> str:
        return text_table(self.headings, self.rows) if self.rows else self.empty


def head(live: Live) -> str:
    """The first line: the gateway and its state."""
    if live.trouble:
        return f"{live.gateway}: {live.trouble}"
    if live.snapshot is None:
        return f"{live.gateway}: connecting ..."
    online = sum(node.state == "online" for node in live.snapshot.nodes)
    return f"{live.gateway}: {online} of {len(live.snapshot.nodes)} nodes online"


def nodes_html(nodes: Sequence[NodeRow]) -> str:
    """A line for each node: its state, its work and its load."""
    if not nodes:
        how = "No nodes yet. Start one on the machine with the GPU: easyremote node"
        return f'<div style="{_WEAK}">{how}</div>'
    lines = "".join(
        f"<tr><td>{_dot(node)} <b>{html.escape(node.node_id)}</b> "
        f"{html.escape(_activity(node))}</td>{_meters(node)}</tr>"
        for node in sorted(nodes, key=lambda node: node.node_id)
    )
    return f"<table>{lines}</table>"


def job_html(job: JobRow, title: str, bars: JobBars | None) -> str:
    """A job that runs or waits, with its progress bars."""
    shown = bars_html(_plain(bars)) if bars else ""
    return f"<div>{html.escape(_job(job, title))}</div>{shown}"


def _recent(live: Live, title: Title) -> Section:
    """The newest jobs that are over."""
    ended = live.snapshot.ended[:RECENT] if live.snapshot else []
    rows = [
        (
            job.call_id[:8],
            title(job),
            job.node_id or "",
            _ENDS.get(job.code, "failed"),
            elapsed(job.seconds),
        )
        for job in ended
    ]
    return Section("Recent", ("Job", "Cell", "Node", "End", "Time"), rows, "Nothing has run yet.")


def _functions(live: Live) -> Section:
    """The functions that nodes have registered."""
    rows = [
        (each.node_id, f"{each.name}{each.signature}", each.needs, each.doc.split("\n")[0])
        for each in sorted(live.functions, key=lambda each: (each.node_id, each.name))
    ]
    return Section(
        "Functions",
        ("Node", "Function", "Needs", ""),
        rows,
        "No node online has registered a function.",
    )


def _sessions(live: Live) -> Section:
    """The sessions of this key, which keep variables."""
    rows = [
        (node_id, what.session, "busy" if what.busy else f"idle {elapsed(what.idle)}")
        for node_id, what in live.sessions
    ]
    return Section("Sessions", ("Node", "Session", ""), rows, "No sessions yet: a cell starts one.")


def folds(live: Live, title: Title) -> tuple[Section, ...]:
    """The sections that are folded at first."""
    return _recent(live, title), _functions(live), _sessions(live)


def page_html(live: Live, title: Title) -> str:
    """The whole panel, for a front end without widgets."""
    parts = [f"<b>{html.escape(head(live))}</b>"]
    if live.snapshot is not None:
        parts.append(nodes_html(live.snapshot.nodes))
        for job in live.snapshot.jobs:
            shown = job_html(job, title(job), live.bars.get(job.call_id))
            how = f"%remote_cancel {job.call_id[:8]}"
            parts.append(f'{shown}<div style="{_WEAK}">{how}</div>')
    parts += [
        f"<details><summary>{section.title}</summary>{section.as_html()}</details>"
        for section in folds(live, title)
    ]
    return f'<div class="easyremote-panel">{"".join(parts)}</div>'


def page_text(live: Live, title: Title) -> str:
    """The whole panel as text."""
    nodes = live.snapshot.nodes if live.snapshot else []
    lines = [head(live), *(f"  {n.node_id}: {_activity(n)}, {_load(n)}" for n in nodes)]
    for job in live.snapshot.jobs if live.snapshot else []:
        lines.append(f"{_job(job, title(job))} (%remote_cancel {job.call_id[:8]})")
        if bars := live.bars.get(job.call_id):
            lines.append(bars_text(_plain(bars)))
    for section in folds(live, title):
        lines += ["", section.title, section.as_text()]
    return "\n".join(lines)


def _plain(bars: JobBars) -> list[Progress]:
    """The bars for drawing, with whole numbers as counts."""
    return [
        Progress(
            **msgspec.structs.asdict(bar)
            | {"n": _whole(bar.n), "total": bar.total if bar.total is None else _whole(bar.total)},
            leave=True,
        )
        for bar in bars.bars
    ]


def _whole(number: float) -> float:
    return int(number) if number == int(number) else number


def _dot(node: NodeRow) -> str:
    colour = _DOTS.get(node.state, "var(--jp-ui-font-color2,gray)")
    return f'<span style="color:{colour}">{"●" if node.state == "online" else "○"}</span>'


def _activity(node: NodeRow) -> str:
    if node.state != "online":
        return node.state
    return f"{node.running} of {node.slots} running" if node.running else "idle"


def _job(job: JobRow, title: str) -> str:
    place = f", {job.place}. in the queue" if job.place is not None else ""
    where = job.node_id or "any node"
    state = "stands still" if job.state == "running" and job.why else job.state
    why = f" ({job.why})" if job.why else ""
    return f"{title} on {where}: {state}{place}, {elapsed(job.seconds)}{why}"


def _shares(node: NodeRow) -> list[tuple[str, float]]:
    """The meters of a node, from 0 to 1; a meter that is not known is left out."""
    shares = [("CPU", node.cpu)]
    if node.memory_total:
        shares.append(("RAM", (node.memory_used or 0) / node.memory_total))
    for number, gpu in enumerate(node.gpus):
        name = "GPU" if len(node.gpus) == 1 else f"GPU {number}"
        shares.append((name, gpu.use))
        if gpu.memory_total:
            shares.append((f"{name} memory", (gpu.memory_used or 0) / gpu.memory_total))
    return [(name, share) for name, share in shares if share is not None]


def _load(node: NodeRow) -> str:
    return ", ".join(f"{name} {share:.0%}" for name, share in _shares(node)) or "load unknown"


def _meters(node: NodeRow) -> str:
    return "".join(
        f'<td style="text-align:left">{name} {share:.0%}'
        '<div style="width:7em;height:4px;background:var(--jp-layout-color3,lightgray)">'
        f'<div style="width:{min(share, 1):.0%};height:4px;'
        'background:var(--jp-brand-color1,#1976d2)"></div></div></td>'
        for name, share in (_shares(node) if node.state != "offline" else [])
    )
