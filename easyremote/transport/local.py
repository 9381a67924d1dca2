"""Two Links in one event loop, joined without a socket: for a caller inside the gateway."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from easyremote.protocol.link import Link
from easyremote.protocol.messages import Message

Receive = Callable[[Message, float], None]

_log = logging.getLogger("easyremote.local")


class LocalPair:
    """Joins two open links; what one queues, the other receives in the next turn of the loop.

    Parameters
    ----------
    near, far
        Called with the messages that come to each end.
    flush
        Called after each batch of messages.
    failed
        Called with a message whose handling raised, at either end, and the error, which is logged:
        the call of that message ends, the others go on.
    """

    def __init__(
        self,
        near: Receive,
        far: Receive,
        flush: Callable[[float], None],
        failed: Callable[[Message, Exception], None],
    ) -> None:
        now = time.monotonic()
        self.near, self.far = Link(now), Link(now)
        self._near, self._far = near, far
        self._flush, self._failed = flush, failed
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
            self._move(self.near, self.far, self._far, now)
            self._move(self.far, self.near, self._near, now)
            self._flush(now)

    def _move(self, source: Link, target: Link, receive: Receive, now: float) -> None:
        while (data := source.data_to_send()) is not None:
            try:
                for message in target.receive_data(data, now):
                    self._hand_over(message, receive, now)
            except Exception:  # a chunk completed a payload; its call has ended
                _log.exception("A payload could not be handled")

    def _hand_over(self, message: Message, receive: Receive, now: float) -> None:
        try:
            receive(message, now)
        except Exception as error:
            _log.exception("A %s could not be handled", type(message).__name__)
            self._failed(message, error)

    def close(self) -> None:
        self.near.close()
        self.far.close()
