"""How the progress bars of a cell are drawn: one display for all of them, or tqdm on a terminal.

In a notebook the bars are HTML without scripts beside plain text, so that what is saved is what
was seen last. Colours are JupyterLab's own, with others where it isn't JupyterLab.
``tests/jupyter_extension/test_bars.py`` proves it.
"""

from __future__ import annotations

import html
import sys
from collections.abc import Callable
from typing import Any, Protocol

from tqdm.std import tqdm

from easyremote.progress import Progress

__all__ = ["Bars", "NotebookBars", "TerminalBars", "bars_html", "bars_text"]

#: More bars than these are counted, not drawn.
MAX_BARS = 20

_COLOUR = {
    "running": "var(--jp-brand-color1, #1976d2)",
    "done": "var(--jp-success-color1, #388e3c)",
    "failed": "var(--jp-error-color1, #d32f2f)",
}
_FONT = "var(--jp-code-font-family, monospace)"
_SIZE = "var(--jp-code-font-size, 13px)"


class Bars(Protocol):
    """The bars of one cell."""

    def update(self, event: Progress) -> None:
        """A bar moved."""

    def redraw(self) -> None:
        """The cell's output was cleared: draw what is still there again."""

    def finish(self) -> None:
        """The cell has ended."""


class NotebookBars:
    """One display for all bars of a cell.

    Parameters
    ----------
    publish
        Shows a mimebundle; the second argument says whether it replaces the last one.
    html
        Whether to add HTML to the text.
    """

    def __init__(self, publish: Callable[[dict[str, str], bool], None], html: bool = True) -> None:
        self._publish = publish
        self._html = html
        self._bars: dict[str, Progress] = {}
        self._is_shown = False

    def update(self, event: Progress) -> None:
        if event["state"] == "done" and not event["leave"]:
            self._bars.pop(event["id"], None)
        else:
            self._bars[event["id"]] = event
        self._draw()

    def redraw(self) -> None:
        self._is_shown = False

    def finish(self) -> None:
        """What was drawn last stays."""

    def _draw(self) -> None:
        bars = list(self._bars.values())
        if not bars and not self._is_shown:
            return
        data = {"text/plain": bars_text(bars)}
        if self._html:
            data["text/html"] = bars_html(bars)
        self._publish(data, self._is_shown)
        self._is_shown = True


class TerminalBars:
    """Real bars of tqdm, on standard error."""

    def __init__(self) -> None:
        self._bars: dict[str, Any] = {}

    def update(self, event: Progress) -> None:
        bar = self._bars.get(event["id"])
        if bar is None:
            bar = self._bars[event["id"]] = tqdm(
                total=event["total"],
                desc=event["desc"] or None,
                unit=event["unit"],
                unit_scale=event.get("scaled", False),
                leave=event["leave"],
                file=sys.stderr,
                mininterval=0,
            )
        bar.start_t = bar._time() - event["elapsed"]
        bar.total, bar.n = event["total"], event["n"]
        bar.set_description(event["desc"] or None, refresh=False)
        bar.set_postfix_str(event.get("postfix", ""), refresh=False)
        bar.refresh()
        if event["state"] != "running":
            bar.close()
            del self._bars[event["id"]]

    def redraw(self) -> None:
        """A terminal shows them where they are."""

    def finish(self) -> None:
        for bar in self._bars.values():
            bar.close()
        self._bars.clear()


def bars_text(bars: list[Progress]) -> str:
    """The bars as tqdm writes them, a line each."""
    lines = [_meter(bar, ncols=80) for bar in bars[-MAX_BARS:]]
    if len(bars) > MAX_BARS:
        lines.insert(0, f"... {len(bars) - MAX_BARS} more")
    return "\n".join(lines)


def bars_html(bars: list[Progress]) -> str:
    """The bars as HTML, a row each."""
    rows = [_row(bar) for bar in bars[-MAX_BARS:]]
    if len(bars) > MAX_BARS:
        rows.insert(0, f"<div>… {len(bars) - MAX_BARS} more</div>")
    return (
        f'<div class="easyremote-progress" style="font-family:{_FONT};font-size:{_SIZE}">'
        f"{''.join(rows)}</div>"
    )


def _row(bar: Progress) -> str:
    share = _share(bar)
    width = 100 if share is None and bar["state"] == "done" else 100 * (share or 0)
    percent = "" if share is None else f"{int(100 * share)}%"
    if bar["state"] == "failed":
        percent = f"✗ {percent}".strip()
    label = f"{bar['desc']}: " if bar["desc"] else ""
    counts = _meter(bar, bar_format="{n_fmt}/{total_fmt} [{elapsed}&lt;{remaining}, {rate_fmt}]")
    if bar["total"] is None:
        counts = _meter(bar, bar_format="{n_fmt} {unit} [{elapsed}, {rate_fmt}]")
    postfix = f" {html.escape(bar['postfix'])}" if bar.get("postfix") else ""
    return (
        '<div style="display:flex;align-items:center;line-height:1.6;white-space:pre;'
        'color:var(--jp-content-font-color1,inherit)">'
        f"<span>{html.escape(label)}{percent:>4} </span>"
        '<span style="flex:1;min-width:60px;max-width:400px;height:10px;border-radius:5px;'
        'overflow:hidden;background:var(--jp-layout-color3,rgba(128,128,128,.35))">'
        f'<span style="display:block;height:100%;width:{width:.1f}%;'
        f'background:{_COLOUR[bar["state"]]}"></span></span>'
        f"<span> {counts}{postfix}</span></div>"
    )


def _share(bar: Progress) -> float | None:
    return min(bar["n"] / bar["total"], 1.0) if bar["total"] else None


def _meter(bar: Progress, **how: Any) -> str:
    text: str = tqdm.format_meter(
        n=bar["n"],
        total=bar["total"],
        elapsed=bar["elapsed"],
        rate=bar["rate"],
        prefix=bar["desc"],
        unit=bar["unit"] if "bar_format" not in how else html.escape(bar["unit"]),
        unit_scale=bar.get("scaled", False),
        postfix=bar.get("postfix") if "bar_format" not in how else None,
        **how,
    )
    return text
