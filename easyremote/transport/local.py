"""Two Links in one event loop, joined without a socket: for a caller inside the gateway."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from easyremote.protocol.link import Link
from easyremote.protocol.messages import Message

Receive = Callable[[Message, float], None]


class LocalPair:
    """Joins two open links; what one queues, the other receives in the next turn of the loop."""

    def __init__(self, near: Receive, far: Receive, flush: Callable[[float], None]) -> None:
        now = time.monotonic()
        self.near, self.far = Link(now), Link(now)
        self._near, self._far, self._flush = near, far, flush
        self._scheduled = False
        for link in (self.near, self.far):
            link.open(now)
            link.wake = self._schedule

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.pump)

    def pump(self) -> None:
        """Pass on what is queued, now."""
        self._scheduled = False
        now = time.monotonic()
        while self.near.has_output or self.far.has_output:
            while (data := self.near.data_to_send()) is not None:
                for message in self.far.receive_data(data, now):
                    self._far(message, now)
            while (data := self.far.data_to_send()) is not None:
                for message in self.near.receive_data(data, now):
                    self._near(message, now)
            self._flush(now)

    def close(self) -> None:
        self.near.close()
        self.far.close()
