"""The line above a long cell: where it runs and since when, and at its end how long it took.

The line appears after `DELAY` seconds, in one display, and is drawn once a second. The load of the
machine, and why the cell waits, come from the gateway's feed, which is asked only while the line is
shown.
``tests/jupyter_extension/output/test_header.py`` proves it.
"""

from __future__ import annotations

import html
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from easyremote.errors import EasyRemoteError

__all__ = ["Header", "elapsed", "machine_text"]

#: Seconds; a cell that ends sooner has no header.
DELAY = 2.0
INTERVAL = 1.0

Bundle = dict[str, str]


class Header:
    """The header of one cell.

    Parameters
    ----------
    publish
        Shows a mimebundle; the second argument says whether it replaces the last one.
    node_id
        Where the cell runs.
    feed
        Starts to follow what the gateway says of its nodes; `RemoteStream` or the like.
    """

    def __init__(
        self, publish: Callable[[Bundle, bool], None], node_id: str, feed: Callable[[], Any]
    ) -> None:
        self._publish = publish
        self._node_id = node_id
        self._feed = _Feed(feed, node_id)
        self._began = self._drawn = time.monotonic()
        self._is_shown = False

    def tick(self, call_id: str = "", *, runs: bool = True) -> None:
        """Draw it if it is time.

        Parameters
        ----------
        call_id
            The id of the cell's call, until it is over.
        runs
            Whether it has begun: then there is a reason only where it stands still.
        """
        now = time.monotonic()
        if now - self._began < DELAY or now - self._drawn < INTERVAL:
            return
        self._drawn = now
        load = self._feed.load()
        why = self._feed.why(call_id)
        if call_id and not (why or runs):
            why = "waiting for its turn"
        parts = [f"{self._node_id} {elapsed(now - self._began)}", why, load]
        self._draw(" · ".join(filter(None, parts)))

    def redraw(self) -> None:
        """The cell's output was cleared: it needs a new display."""
        self._is_shown = False

    def finish(self) -> None:
        """The cell has ended: keep only where it ran and how long it took."""
        self._feed.close()
        seconds = time.monotonic() - self._began
        if seconds >= DELAY:
            self._draw(f"{self._node_id} {elapsed(seconds)}")

    def _draw(self, text: str) -> None:
        self._publish({"text/plain": text, "text/html": _html(text)}, self._is_shown)
        self._is_shown = True


class _Feed:
    """Follows what the gateway says: the load of the node's machine, and why calls wait."""

    def __init__(self, feed: Callable[[], Any], node_id: str) -> None:
        self._feed = feed
        self._node_id = node_id
        self._thread: threading.Thread | None = None
        self._stream: Any = None
        self._is_closed = False
        self._load = ""
        self._why: dict[str, str] = {}

    def why(self, call_id: str) -> str:
        """Why a call waits, or stands still."""
        return self._why.get(call_id, "")

    def load(self) -> str:
        """How busy the machine is."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._follow, name="easyremote-header", daemon=True
            )
            self._thread.start()
        return self._load

    def close(self) -> None:
        self._is_closed = True
        if self._stream is not None:
            self._stream.close()

    def _follow(self) -> None:
        try:
            self._stream = self._feed()
            for snapshot in self._stream:
                if self._is_closed:  # while it was opened
                    self._stream.close()
                self._load = machine_text(snapshot["nodes"], self._node_id)
                self._why = {job["call_id"]: job["why"] for job in snapshot["jobs"]}
        except EasyRemoteError:
            self._load, self._why = "", {}  # closed, or the gateway is away


def machine_text(nodes: Iterable[dict[str, Any]], node_id: str) -> str:
    """The load of a node's machine, in a few words."""
    node = next((node for node in nodes if node["node_id"] == node_id), None)
    if node is None:
        return ""
    parts = [
        f"GPU {gpu['use']:.0%} {_gigabytes(gpu['memory_used'], gpu['memory_total'])}"
        for gpu in node["gpus"]
    ]
    if node["cpu"] is not None:
        parts.append(f"CPU {node['cpu']:.0%}")
        parts.append(f"memory {_gigabytes(node['memory_used'], node['memory_total'])}")
    return " · ".join(parts)


def elapsed(seconds: float) -> str:
    """``01:23``, or ``2:01:23``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def _gigabytes(used: int, total: int) -> str:
    return f"{used / 1e9:.1f}/{total / 1e9:.0f} GB"


def _html(text: str) -> str:
    return (
        '<div class="easyremote-header" style="color:var(--jp-ui-font-color2,gray);'
        'font-size:var(--jp-ui-font-size0,11px)">'
        f"{html.escape(text)}</div>"
    )
