"""Keeps the content of ``%remote_panel`` up to date, in a thread of the kernel.

Nodes, jobs and bars come from the same feed as the sidebar's; functions and sessions are asked for
every few seconds. It draws nothing: it calls a function with the whole content, on its thread.
``tests/jupyter_extension/live/test_live_panel.py`` proves it in a real
kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from easyremote.client.client import Client
from easyremote.client.session import ask_for_sessions
from easyremote.errors import EasyRemoteError
from easyremote.panel.feed import PanelFeed
from easyremote.panel.messages import JobBars, Snapshot, Unavailable
from easyremote.protocol.requests import SessionInfo
from easyremote.protocol.snapshot import FunctionInfo

__all__ = ["Live", "LiveSource"]

#: Seconds between two updates, and between two questions for functions and sessions.
INTERVAL = 0.5
ASK_INTERVAL = 5.0
#: Nodes that are asked for their sessions, at the most.
MAX_ASKED = 20


@dataclass
class Live:
    """The content of the panel at one moment."""

    gateway: str
    #: The last snapshot; None before the first.
    snapshot: Snapshot | None = None
    #: Why there is nothing to show; else empty.
    trouble: str = ""
    #: The progress bars, by call id.
    bars: dict[str, JobBars] = field(default_factory=dict)
    functions: list[FunctionInfo] = field(default_factory=list)
    #: The sessions, each with its node; see `ask_for_sessions`.
    sessions: list[tuple[str, SessionInfo]] = field(default_factory=list)


class LiveSource:
    """Follows a client's gateway in a thread until it is closed.

    Parameters
    ----------
    client
        The client of this notebook. Another client with its settings is opened and closed here.
    show
        Called with the content, at most twice a second.
    """

    def __init__(self, client: Client, show: Callable[[Live], None]) -> None:
        settings = client.settings
        self._feed = PanelFeed(lambda: Client(settings.gateway, settings.api_key), linger=0)
        self._live = Live(settings.gateway)
        self._show = show
        self._loop = asyncio.new_event_loop()
        self._task = self._loop.create_task(self._run())
        threading.Thread(target=self._work, name="easyremote-panel", daemon=True).start()

    def close(self) -> None:
        """End the thread. Safe to repeat."""
        with contextlib.suppress(RuntimeError):  # the loop has ended already
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

    def _take(self, message: object, moved: dict[str, JobBars]) -> None:
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
                    with contextlib.suppress(EasyRemoteError):  # the feed tells why
                        await asyncio.to_thread(self._ask_now, client)
            await asyncio.sleep(ASK_INTERVAL)

    def _ask_now(self, client: Client) -> None:
        self._live.functions = client.list_functions()
        nodes = [n.node_id for n in client.known_nodes() if n.state == "online" and n.runs_code]
        asked = {node_id: ask_for_sessions(client, node_id) for node_id in nodes[:MAX_ASKED]}
        found = []
        for node_id, answer in asked.items():
            with contextlib.suppress(EasyRemoteError):  # the node has just gone away
                found += [(node_id, each) for each in answer.result().sessions]
        self._live.sessions = found
