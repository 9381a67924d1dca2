"""The bars of the jobs that run, followed at their nodes for as long as somebody watches.

The gateway does not read what a cell shows. So each running job is followed by one call of
``$output`` to its node, shared by all tabs. The number of bars and the length of their texts are
limited before they go to a browser.
``tests/panel/test_following.py`` proves it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from easyremote.errors import EasyRemoteError
from easyremote.events import Event, Progress
from easyremote.panel.messages import Bar, JobBars, JobRow

if TYPE_CHECKING:
    from easyremote.client.client import Client

#: Only these functions show bars; registered functions show none.
FOLLOWED = ("cell", "shipped")
#: How many jobs are followed at a time, and how many bars of one are sent.
MAX_JOBS = 50
MAX_BARS = 20
#: Characters of a description or a postfix.
TEXT_LIMIT = 200

log = logging.getLogger(__name__)


class Shown(Protocol):
    """A call that follows a job: its events, then the state of the job. A `RemoteJob`."""

    def events_async(self) -> AsyncIterator[Event]: ...

    def cancel(self) -> bool: ...

    def __await__(self) -> Any: ...


async def replay(
    client: Client, node_id: str, call_id: str, *, follow: bool = True, bars_only: bool = False
) -> Shown:
    """Start a call that sends again what a job has shown; see `session.replay` of the client."""
    from easyremote.client.session import replay

    # In a thread, because it may have to wait for the connection.
    return await asyncio.to_thread(
        replay, client, node_id, call_id, follow=follow, bars_only=bars_only
    )


class Following:
    """Follows the jobs of one gateway.

    Parameters
    ----------
    follow
        Starts to follow a job, which this node has.
    moved
        Called with the call id of a job whose bars have moved.
    """

    def __init__(
        self, follow: Callable[[str, str], Awaitable[Shown]], moved: Callable[[str], None]
    ) -> None:
        self._follow = follow
        self._moved = moved
        self._bars: dict[str, dict[str, Bar]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        #: Jobs that were followed to their end, or that can't be followed.
        self._done: set[str] = set()

    def update(self, jobs: list[JobRow]) -> None:
        """Follow the jobs that run now, and stop following all others."""
        present = {job.call_id for job in jobs}
        self._done &= present
        for call_id in self._tasks.keys() - present:
            self._tasks.pop(call_id).cancel()
        for call_id in self._bars.keys() - present:
            del self._bars[call_id]
        for job in jobs:
            if self._is_to_follow(job):
                assert job.node_id is not None, "it runs there"
                self._tasks[job.call_id] = asyncio.create_task(
                    self._run(job.call_id, job.node_id), name=f"easyremote-follow-{job.call_id}"
                )

    def bars(self, call_id: str) -> JobBars:
        """The bars of a job: those that run come first, the outermost of them at the top."""
        bars = sorted(
            self._bars.get(call_id, {}).values(),
            key=lambda bar: (bar.state != "running", bar.position),
        )
        return JobBars(bars[:MAX_BARS], len(bars))

    @property
    def call_ids(self) -> list[str]:
        """The jobs that have bars."""
        return list(self._bars)

    async def aclose(self) -> None:
        """Stop following all jobs."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_to_follow(self, job: JobRow) -> bool:
        return (
            job.function in FOLLOWED
            and job.state == "running"
            and job.node_id is not None
            and job.call_id not in self._done
            and job.call_id not in self._tasks
            and len(self._tasks) < MAX_JOBS
        )

    async def _run(self, call_id: str, node_id: str) -> None:
        state = "done"
        try:
            shown = await self._follow(node_id, call_id)
            try:
                async for event in shown.events_async():
                    self._take(call_id, event)
                state = (await shown).state
            finally:
                shown.cancel()
        except EasyRemoteError as error:
            log.info("EasyRemote: the bars of %s are not known: %s", call_id[:8], error)
        if self._tasks.get(call_id) is asyncio.current_task():
            del self._tasks[call_id]
            if state != "queued":  # a queued job is followed again at the next update
                self._done.add(call_id)

    def _take(self, call_id: str, event: Event) -> None:
        if not isinstance(event, Progress):
            return
        bar = _bar(event)
        bars = self._bars.setdefault(call_id, {})
        if bar.state == "done" and not event.leave:
            bars.pop(bar.id, None)
        else:
            bars[bar.id] = bar
        self._moved(call_id)


def _bar(event: Progress) -> Bar:
    """A bar with finite numbers and short texts, as a browser needs it."""
    bar = msgspec.convert(event, Bar, from_attributes=True)
    return msgspec.structs.replace(
        bar,
        desc=bar.desc[:TEXT_LIMIT],
        unit=bar.unit[:TEXT_LIMIT],
        postfix=bar.postfix[:TEXT_LIMIT],
        n=bar.n if math.isfinite(bar.n) else 0.0,
        **{
            name: value if value is not None and math.isfinite(value) else None
            for name, value in (("total", bar.total), ("rate", bar.rate), ("eta", bar.eta))
        },
    )
