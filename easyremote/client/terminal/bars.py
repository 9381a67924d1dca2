"""Shows the progress bars of code on a node on this terminal, as bars of tqdm.

``tests/jupyter_extension/output/test_bars.py`` and ``tests/client/test_run.py`` prove it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from easyremote.events import Progress

__all__ = ["TerminalBars", "shown_bars"]


class TerminalBars:
    """Bars of tqdm on standard error."""

    def __init__(self) -> None:
        self._bars: dict[str, Any] = {}
        #: Text of the last line that has no end yet, by stream.
        self._begun: dict[str, str] = {}

    def whole_lines(self, stream: str, text: str) -> str:
        """The whole lines of a text: a bar would be drawn over a line without its end."""
        text = self._begun.pop(stream, "") + text
        if not self._bars:
            return text
        whole, newline, self._begun[stream] = text.rpartition("\n")
        return whole + newline

    def update(self, event: Progress) -> None:
        bar = self._bars.get(event.id)
        if bar is None:
            bar = self._bars[event.id] = _tqdm()(
                total=event.total,
                desc=event.desc or None,
                unit=event.unit,
                unit_scale=event.scaled,
                leave=event.leave,
                file=sys.stderr,
                mininterval=0,
            )
        bar.start_t = bar._time() - event.elapsed
        bar.total, bar.n = event.total, event.n
        bar.set_description(event.desc or None, refresh=False)
        bar.set_postfix_str(event.postfix, refresh=False)
        if event.state == "failed":
            bar.colour = "red"
        bar.refresh()
        if event.state != "running":
            bar.close()
            del self._bars[event.id]

    def tick(self) -> None:
        """Nothing to do: the bars are drawn when they change."""

    def redraw(self) -> None:
        """Nothing to do: a terminal keeps the bars."""

    def aside(self) -> AbstractContextManager[None]:
        return _tqdm().external_write_mode()  # type: ignore[no-any-return]  # tqdm has no types

    def finish(self, failed: bool) -> None:
        for bar in self._bars.values():
            if failed:
                bar.colour = "red"
            bar.close()
        self._bars.clear()


def _tqdm() -> Any:
    """tqdm's class, imported at the first bar: it takes a quarter of the time of ``%load_ext``."""
    from tqdm.std import tqdm

    return tqdm


@contextmanager
def shown_bars() -> Iterator[Callable[[Progress], None]]:
    """Bars for the work in this block; bars that are not done at its end have failed."""
    bars = TerminalBars()
    try:
        yield bars.update
    finally:
        bars.finish(failed=True)
