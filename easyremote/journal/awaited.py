"""`AwaitedJournal`: writes to a journal that an event loop awaits.

The writer's thread wakes the loop once for all writes that have ended since it looked last: under
load a wake-up for each would cost more than the write. ``tests/journal/test_awaited.py`` proves it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from functools import partial

from easyremote.journal.database import Value
from easyremote.journal.journal import Journal, Statement

__all__ = ["AwaitedJournal"]


class AwaitedJournal:
    """A journal for one event loop. Make it anywhere, and call it on the loop's thread."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        #: The writes that have ended, and that the loop does not know of.
        self._ended: deque[tuple[asyncio.Future[None], Exception | None]] = deque()
        self._is_woken = False

    def write(
        self,
        statement: str | Sequence[Statement],
        parameters: Sequence[Value] = (),
        *,
        durable: bool = False,
    ) -> asyncio.Future[None]:
        """As `Journal.write`. A write goes on where nobody awaits it any more."""
        statements = [(statement, parameters)] if isinstance(statement, str) else statement
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._journal.put(statements, partial(self._end, done), durable=durable)
        return done

    def _end(self, done: asyncio.Future[None], error: Exception | None) -> None:
        """On the writer's thread."""
        self._ended.append((done, error))
        if not self._is_woken:
            self._is_woken = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                done.get_loop().call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._is_woken = False  # first: what ends from now on needs a wake-up of its own
        while self._ended:
            done, error = self._ended.popleft()
            if done.cancelled():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
