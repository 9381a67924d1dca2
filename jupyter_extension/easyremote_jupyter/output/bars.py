"""How the progress bars of a cell are drawn: one display for all of them, or tqdm on a terminal.

In a notebook the bars are HTML without scripts, and plain text beside it, so that a saved notebook
shows their last state. The colours are those of JupyterLab's theme, with others elsewhere.
``tests/jupyter_extension/output/test_bars.py`` proves it.
"""

from __future__ import annotations

import contextlib
import html
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from easyremote.client.terminal.bars import TerminalBars
from easyremote.errors import UsageError
from easyremote.events import Progress
from easyremote_jupyter.widgets.box import VIEW, view_of

__all__ = ["Bars", "NotebookBars", "TerminalBars", "bars_html", "bars_text", "widget_bars"]

#: Seconds between two drawings of a cell's bars.
INTERVAL = 0.1
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

    def whole_lines(self, stream: str, text: str) -> str:
        """The part of a text to write now; the rest is kept for the next text or the end."""

    def update(self, event: Progress) -> None:
        """A bar moved."""

    def tick(self) -> None:
        """Draw what has moved, if it is time."""

    def redraw(self) -> None:
        """The cell's output was cleared: draw the remaining bars again."""

    def aside(self) -> AbstractContextManager[None]:
        """Make room while other text is written."""

    def finish(self, failed: bool) -> None:
        """The cell has ended; if it failed, the bars that still ran have failed too."""


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
        self._is_shown = self._has_moved = False
        self._drawn = float("-inf")

    def whole_lines(self, stream: str, text: str) -> str:
        return text

    def update(self, event: Progress) -> None:
        if event.state == "done" and not event.leave:
            self._bars.pop(event.id, None)
        else:
            self._bars[event.id] = event
        self._has_moved = True
        self.tick()

    def tick(self) -> None:
        if self._has_moved and time.monotonic() - self._drawn >= INTERVAL:
            self._draw()

    def redraw(self) -> None:
        self._is_shown = False

    def aside(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def finish(self, failed: bool) -> None:
        running = [bar for bar in self._bars.values() if bar.state == "running"]
        if failed and running:
            for bar in running:
                bar.state = "failed"
            self._has_moved = True
        if self._has_moved:
            self._draw()

    def _draw(self) -> None:
        self._has_moved = False
        self._drawn = time.monotonic()
        bars = list(self._bars.values())
        if not bars and not self._is_shown:
            return
        data = {"text/plain": bars_text(bars)}
        if self._html:
            data["text/html"] = bars_html(bars)
        self._publish(data, self._is_shown)
        self._is_shown = True


def widget_bars(publish: Callable[[dict[str, str], bool], None]) -> Bars:
    """Bars in an ipywidget while they move, in HTML and text when the cell has ended.

    Raises
    ------
    UsageError
        ipywidgets is not installed.
    """
    try:
        from ipywidgets import HTML
    except ModuleNotFoundError:
        raise UsageError(
            "--progress widget needs ipywidgets, which is not installed here: "
            "pip install ipywidgets, or leave the option out."
        ) from None
    return _WidgetBars(publish, HTML)


class _WidgetBars(NotebookBars):
    def __init__(
        self, publish: Callable[[dict[str, str], bool], None], make: Callable[..., Any]
    ) -> None:
        super().__init__(self._show)
        self._publish_bundle, self._make = publish, make
        self._widget: Any = None

    def _show(self, data: dict[str, str], update: bool) -> None:
        if self._widget is None or not update:
            self._widget = self._make(value=data["text/html"])
            bundle: Any = data | {VIEW: view_of(self._widget)}
            self._publish_bundle(bundle, update)
        else:
            self._widget.value = data["text/html"]

    def finish(self, failed: bool) -> None:
        super().finish(failed)
        if self._widget is not None:
            bars = list(self._bars.values())
            data = {"text/plain": bars_text(bars), "text/html": bars_html(bars)}
            self._publish_bundle(data, True)
            self._widget.close()


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
    width = 100 if share is None and bar.state == "done" else 100 * (share or 0)
    percent = "" if share is None else f"{int(100 * share)}%"
    if bar.state == "failed":
        percent = f"✗ {percent}".strip()
    label = f"{bar.desc}: " if bar.desc else ""
    counts = _meter(bar, bar_format="{n_fmt}/{total_fmt} [{elapsed}&lt;{remaining}, {rate_fmt}]")
    if bar.total is None:
        counts = _meter(bar, bar_format="{n_fmt} {unit} [{elapsed}, {rate_fmt}]")
    postfix = f" {html.escape(bar.postfix)}" if bar.postfix else ""
    return (
        '<div style="display:flex;align-items:center;line-height:1.6;white-space:pre;'
        'color:var(--jp-content-font-color1,inherit)">'
        f"<span>{html.escape(label)}{percent:>4} </span>"
        '<span style="flex:1;min-width:60px;max-width:400px;height:10px;border-radius:5px;'
        'overflow:hidden;background:var(--jp-layout-color3,rgba(128,128,128,.35))">'
        f'<span style="display:block;height:100%;width:{width:.1f}%;'
        f'background:{_COLOUR[bar.state]}"></span></span>'
        f"<span> {counts}{postfix}</span></div>"
    )


def _share(bar: Progress) -> float | None:
    return min(bar.n / bar.total, 1.0) if bar.total else None


def _meter(bar: Progress, **how: Any) -> str:
    from tqdm.std import tqdm  # here: it takes a quarter of the time of %load_ext

    text: str = tqdm.format_meter(
        n=bar.n,
        total=bar.total,
        elapsed=bar.elapsed,
        rate=bar.rate,
        prefix=bar.desc,
        unit=bar.unit if "bar_format" not in how else html.escape(bar.unit),
        unit_scale=bar.scaled,
        postfix=bar.postfix or None if "bar_format" not in how else None,
        **how,
    )
    return text
