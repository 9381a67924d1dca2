"""The paths of one job: its log, its error, and to stop it.

``jobs/ID/log`` answers with the pieces from a number on, and waits a while if there are none yet;
``jobs/ID/error`` is the text to copy; ``jobs/ID/cancel`` and ``/kill`` need the permission to
execute. Only jobs of the server's own key are found.
``tests/jupyter_extension/server/test_jobs_handlers.py`` proves it.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Literal

from jupyter_server.auth.decorator import authorized
from tornado import web

from easyremote.errors import EasyRemoteError, GatewayUnreachable
from easyremote.panel.feed import PanelFeed
from easyremote.panel.following import replay
from easyremote.panel.logs import Logs, error_text
from easyremote.panel.messages import (
    EndedJob,
    ErrorText,
    JobRow,
    Snapshot,
    StopAnswer,
    Unavailable,
    unavailable,
)
from easyremote_jupyter.server.gateway_handler import (
    AUTH_RESOURCE,
    PATIENCE,
    GatewayHandler,
    refusal,
)


class JobLogHandler(GatewayHandler):
    """GET: pieces of a job's log, from ``?start=N`` on."""

    def initialize(self, feed: PanelFeed, logs: Logs) -> None:  # type: ignore[override]  # one more
        self.feed = feed
        self.logs = logs

    @web.authenticated
    @authorized
    async def get(self, call_id: str) -> None:
        start = self.get_argument("start", "0")
        if not start.isascii() or not start.isdigit():
            raise web.HTTPError(400, "start is the number of a piece.")
        async with self.gateway() as client:
            node_id = node_of(await self.feed.first_word(), call_id)
            log = self.logs.get(client, call_id, partial(replay, client, node_id, call_id))
            await self.logs.trim()
            try:
                page = await log.page(self.get_argument("epoch", ""), int(start[:12]), PATIENCE)
            except GatewayUnreachable as error:
                raise refusal(unavailable(error, 1)) from None
        self.answer(page)


class JobErrorHandler(GatewayHandler):
    """GET: how a job failed, as text."""

    @web.authenticated
    @authorized
    async def get(self, call_id: str) -> None:
        async with self.gateway() as client:
            node_id = node_of(await self.feed.first_word(), call_id)
            try:
                told = await (await replay(client, node_id, call_id, follow=False, bars_only=True))
            except EasyRemoteError as error:
                raise web.HTTPError(404, str(error)) from None
        self.answer(ErrorText(error_text(told.error) if told.error is not None else ""))


class JobStopHandler(GatewayHandler):
    """POST: stop a job; repeating it is harmless."""

    def initialize(self, feed: PanelFeed, how: Literal["cancel", "kill"]) -> None:  # type: ignore[override]  # one more
        self.feed = feed
        self.how = how

    @web.authenticated
    @authorized("execute", AUTH_RESOURCE)  # type: ignore[untyped-decorator]  # Jupyter's
    async def post(self, call_id: str) -> None:
        async with self.gateway() as client:
            stopped = await asyncio.to_thread(client.stop, call_id, kill=self.how == "kill")
        self.answer(StopAnswer(stopped))


def node_of(word: Snapshot | Unavailable, call_id: str) -> str:
    """Where a job of the newest snapshot runs, or ran."""
    jobs: list[JobRow | EndedJob] = []
    if isinstance(word, Snapshot):
        jobs = [*word.jobs, *word.ended]
    for job in jobs:
        if job.call_id == call_id and job.node_id is not None:
            return job.node_id
    raise web.HTTPError(404, "No node has this job: only the last jobs are kept.")
