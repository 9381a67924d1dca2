"""The paths under ``{base_url}easyremote/``: two to read, and two to watch.

``nodes`` and ``jobs`` answer with the newest snapshot; ``stream`` is a WebSocket with a snapshot,
then what changes, at most twice a second, and the load of the nodes every ``?pace=SECONDS``.
``poll`` is for browsers behind a proxy that lets no WebSocket through: they ask again and again,
and ``?after=SAMPLE`` says which part of the history they have. All paths need a logged-in user who
may read the resource ``easyremote``. The list of paths is fixed: nothing that a browser sends
becomes an address, and no answer contains a key.
``tests/jupyter_extension/server/test_handlers.py`` proves it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable
from typing import Any, Literal

import msgspec
from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized, ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado import web
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from easyremote.panel.deltas import Deltas
from easyremote.panel.feed import PanelFeed
from easyremote.panel.messages import Delta, Polled, Retry, Snapshot, encode
from easyremote_jupyter.server.gateway_handler import AUTH_RESOURCE, GatewayHandler

#: Seconds between two snapshots to one browser, and between two states of its bars.
SNAPSHOT_INTERVAL = 0.5
PROGRESS_INTERVAL = 0.1
#: Seconds between two states of the load of nodes; a browser may choose others within the limits.
METRICS_INTERVAL = 1.0
METRICS_LIMITS = (SNAPSHOT_INTERVAL, 60.0)
#: The only message that a browser sends is a few bytes long.
MAX_MESSAGE_BYTES = 1024


class SnapshotHandler(GatewayHandler):
    """GET: one part of the newest snapshot, or 503 and the reason why there is none."""

    def initialize(self, feed: PanelFeed, part: Literal["nodes", "jobs"]) -> None:  # type: ignore[override]  # one more
        self.feed = feed
        self.part = part

    @web.authenticated
    @authorized
    async def get(self) -> None:
        self.finish(msgspec.json.encode({self.part: getattr(await self.snapshot(), self.part)}))


class PollHandler(GatewayHandler):
    """GET: the newest message, and all bars; POST: what the stream takes."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        word = await self.feed.first_word()
        known, history = self.get_argument("after", ""), self.feed.history
        after = int(known) if known.isdecimal() and int(known) <= history.sample else 0
        message = Deltas(lambda: history.series(after)).next(word)
        assert not isinstance(message, Delta), "nothing was told before"
        if isinstance(message, Snapshot):
            message.after = after
        self.answer(Polled(message, self.feed.progress()))

    @web.authenticated
    @authorized("read", AUTH_RESOURCE)  # type: ignore[untyped-decorator]  # Jupyter's
    async def post(self) -> None:
        self.read(Retry)
        self.feed.retry()
        self.set_status(204)


class StreamHandler(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """WebSocket: the feed, for one browser tab."""

    auth_resource = AUTH_RESOURCE
    max_message_size = MAX_MESSAGE_BYTES

    def initialize(self, feed: PanelFeed) -> None:
        self.feed = feed
        self._writer: asyncio.Task[None] | None = None

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        allowed = self.authorizer.is_authorized(self, self.current_user, "read", AUTH_RESOURCE)
        if not await ensure_async(allowed):
            raise web.HTTPError(403)
        upgrade: Awaitable[None] | None = super().get(*args, **kwargs)
        if upgrade is not None:
            await upgrade

    def open(self, *args: str, **kwargs: str) -> None:
        super().open(*args, **kwargs)
        self._pace = paced(self.get_argument("pace", ""))
        self._writer = asyncio.create_task(self._write(), name="easyremote-stream")

    def on_message(self, message: str | bytes) -> None:
        try:
            msgspec.json.decode(message, type=Retry)
        except msgspec.DecodeError:
            self.close(1007, "not a message of the EasyRemote panel")
        else:
            self.feed.retry()

    def on_close(self) -> None:
        if self._writer is not None:
            self._writer.cancel()

    async def _write(self) -> None:
        with self.feed.subscribe() as subscription, contextlib.suppress(WebSocketClosedError):
            deltas = Deltas(lambda: self.feed.history.series())
            next_snapshot = next_metrics = 0.0
            while True:
                await subscription.wait()
                # A write waits while the browser is slow; a newer message replaces those that wait.
                now = time.monotonic()
                if now >= next_snapshot and (message := subscription.take_message()) is not None:
                    next_snapshot = now + SNAPSHOT_INTERVAL
                    has_metrics = now >= next_metrics
                    if has_metrics:
                        next_metrics = now + self._pace - SNAPSHOT_INTERVAL / 2  # it may be early
                    await self.write_message(encode(deltas.next(message, has_metrics=has_metrics)))
                if (progress := subscription.take_progress()) is not None:
                    await self.write_message(encode(progress))
                await asyncio.sleep(PROGRESS_INTERVAL)


def paced(wish: str) -> float:
    """Seconds between two states of the load: the wish of the browser, within the limits."""
    try:
        seconds = float(wish)
    except ValueError:
        return METRICS_INTERVAL
    least, most = METRICS_LIMITS
    return min(most, max(least, seconds))  # in this order, what is no number is the least
