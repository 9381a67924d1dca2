"""One browser's view of the feed: the newest message, and the bars that have moved since. Pure.

It never queues: a newer message replaces one that a slow browser has not taken yet.
``tests/panel/test_feed.py`` proves it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from easyremote.panel.messages import BarsMoved, JobBars, Message

__all__ = ["Subscription"]


class Subscription:
    """Also an async iterator over the newest messages, without the bars.

    Parameters
    ----------
    first
        The newest message.
    bars
        Gives the bars of a job.
    moved
        The jobs that have bars already.
    """

    def __init__(
        self, first: Message, bars: Callable[[str], JobBars], moved: list[str] | None = None
    ) -> None:
        self._newest: Message | None = first
        self._bars = bars
        self._moved = set(moved or ())
        self._unseen = asyncio.Event()
        self._unseen.set()

    def put_nowait(self, message: Message) -> None:
        self._newest = message
        self._unseen.set()

    def move_nowait(self, call_id: str) -> None:
        """The bars of this job have moved."""
        self._moved.add(call_id)
        self._unseen.set()

    async def wait(self) -> None:
        """Wait until there is something to take."""
        await self._unseen.wait()

    def take_message(self) -> Message | None:
        """Take the newest message; None if it was taken before."""
        message, self._newest = self._newest, None
        self._settle()
        return message

    def take_progress(self) -> BarsMoved | None:
        """Take the bars that have moved since the last call."""
        moved, self._moved = self._moved, set()
        self._settle()
        return BarsMoved({call_id: self._bars(call_id) for call_id in moved}) if moved else None

    def _settle(self) -> None:
        if self._newest is None and not self._moved:
            self._unseen.clear()

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        while (message := self.take_message()) is None:
            self.take_progress()
            await self.wait()
        return message
