"""`UsageBook`: writes the tally of a gateway to its file, and answers what was used.

The event loop never waits for the file: all of it happens in threads, one step after another.
``tests/gateway/usage/test_usage.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import time

from easyremote.gateway.usage.store import UsageStore
from easyremote.gateway.usage.tally import Tally
from easyremote.protocol.usage import UsageRequest, UsageRow

#: Seconds between two writes.
INTERVAL = 1.0


class UsageBook:
    """What was used on one gateway, now and before."""

    def __init__(self, tally: Tally, store: UsageStore) -> None:
        self._tally, self._store = tally, store
        tally.know(store.functions())
        #: Held by whoever uses the store: an answer has all that was taken before.
        self._lock = asyncio.Lock()

    async def write(self) -> None:
        """Write what is new."""
        async with self._lock:
            await asyncio.to_thread(self._store.write, self._tally.take(), time.time())

    async def rows(self, request: UsageRequest, key: str | None) -> list[UsageRow]:
        """What was used up to this moment.

        Parameters
        ----------
        request
            What each row is for, and since when.
        key
            Whose calls; None for everybody's.

        Raises
        ------
        UsageError
            The file can't be read or written.
        """

        def written(now: float) -> list[UsageRow]:
            self._store.write(fresh, now)
            return self._store.rows(request, key, now)

        async with self._lock:
            fresh = self._tally.take()
            return await asyncio.to_thread(written, time.time())

    def close(self) -> None:
        """Write what is left, and close the file; nothing else uses the book any more."""
        try:
            self._store.write(self._tally.take(), time.time())
        finally:
            self._store.close()
