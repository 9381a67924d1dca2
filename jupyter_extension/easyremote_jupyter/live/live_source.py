"""What ``%remote_panel`` shows, kept up to date: the sidebar's own feed, in a thread of the kernel.

Nodes, jobs and bars come as they do for the sidebar; functions and sessions are asked for every few
seconds. It draws nothing: whoever shows it is called, on the
thread, with all of it. ``tests/jupyter_extension/live/test_live_panel.py`` proves it in a real
kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from easyremote.client.client import Client
from easyremote.client.info import FunctionInfo
from easyremote.client.session import ask_for_sessions
from easyremote.errors import EasyRemoteError
from easyremote.panel.feed import Feed
from easyremote.panel.messages import Bars, Snapshot, Unavailable

__all__ = ["Live", "LiveSource"]

#: Seconds between two states, and between two questions for functions and sessions.
INTERVAL = 0.5
ASK_INTERVAL = 5.0
#: How many nodes are asked for their sessions.
MAX_ASKED = 20


@dataclass
class Live:
    """All that is shown, at one moment."""

    gateway: str
    #: None before the first one.
    snapshot: Snapshot | None = None
    #: Why there is nothing to show.
    trouble: str = ""
    #: By call id.
    bars: dict[str, Bars] = field(default_factory=dict)
    functions: list[FunctionInfo] = field(default_factory=list)
    #: With the node of each; see `ask_for_sessions`.
    sessions: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


class LiveSource:
    """Follows the gateway of a client from a thread, until it is closed.

    Parameters
    ----------
    client
        Of this notebook: another one like it is opened, and closed in the end.
    show
        Takes what there is, twice a second at most.
    """

    def __init__(self, client: Client, show: Callable[[Live], None]) -> None:
        settings = client.settings
        self._feed = Feed(lambda: Client(settings.gateway, settings.api_key), linger=0)
        self._live = Live(settings.gateway)
        self._show = show
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(self._run())
        threading.Thread(target=self._work, name="easyremote-panel", daemon=True).start()

    def close(self) -> None:
        """Follow nothing any more. Safe to repeat."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._task.cancel)

    def _work(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _run(self) -> None:
        try:
            with self._feed.subscribe() as subscription:
                asking = asyncio.create_task(self._ask())
                try:
                    while True:
                        await subscription.wait()
                        message = subscription.take_message()
                        progress = subscription.take_progress()
                        self._take(message, progress.jobs if progress is not None else {})
                        self._show(self._live)
                        await asyncio.sleep(INTERVAL)
                finally:
                    asking.cancel()
        finally:
            await self._feed.aclose()

    def _take(self, message: object, moved: dict[str, Bars]) -> None:
        live = self._live
        if isinstance(message, Snapshot):
            live.snapshot, live.trouble = message, ""
        elif isinstance(message, Unavailable):
            live.snapshot, live.trouble = None, message.message
        present = {job.call_id for job in live.snapshot.jobs} if live.snapshot else set()
        live.bars = {key: bars for key, bars in (live.bars | moved).items() if key in present}

    async def _ask(self) -> None:
        while True:
            async with self._feed.client() as client:
                if isinstance(client, Client):
                    with contextlib.suppress(EasyRemoteError):  # the feed says what is wrong
                        await asyncio.to_thread(self._ask_now, client)
            await asyncio.sleep(ASK_INTERVAL)

    def _ask_now(self, client: Client) -> None:
        self._live.functions = client.list_functions()
        nodes = [n.node_id for n in client.known_nodes() if n.state == "online" and n.runs_code]
        asked = {node_id: ask_for_sessions(client, node_id) for node_id in nodes[:MAX_ASKED]}
        found = []
        for node_id, answer in asked.items():
            with contextlib.suppress(EasyRemoteError):  # it has just gone
                found += [(node_id, each) for each in answer.result()]
        self._live.sessions = found
