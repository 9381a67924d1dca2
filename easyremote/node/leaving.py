"""How a node ends in order: it takes nothing new, and what runs may finish.

What waits goes back to its clients. The gateway answers GOING_AWAY, and sends nothing new after
that; what it sent before goes back as well. What runs goes on while the connection is broken. Its
outcome is only here until its client has it, so the node stays while a large one is on its way, or
a connection is away that will be back. ``tests/node/test_leaving.py`` proves it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from easyremote.protocol.held import HeldCalls
from easyremote.protocol.link import Link
from easyremote.protocol.messages import Dispatch, GoingAway, HandBack

#: What runs at the time of SIGTERM has so many seconds to finish.
DRAIN_TIMEOUT = 60.0
#: Seconds in which the gateway answers that it sends nothing new.
ANSWER_TIMEOUT = 2.0
#: When nothing runs any more, outcomes that can't leave wait so many seconds for a connection: the
#: node's own, or that of their client to the gateway.
RETURN_TIMEOUT = 5.0
#: Seconds between two looks at what still runs.
LOOK = 0.05

_log = logging.getLogger("easyremote.node")


class Leaving:
    """The end of one node.

    Parameters
    ----------
    calls
        All that it holds.
    """

    def __init__(self, *calls: HeldCalls[Any]) -> None:
        self._calls = calls
        self._asked = asyncio.Event()
        #: Set when the gateway has said that it sends nothing new.
        self._agreed = asyncio.Event()
        self._has_begun = False
        self._has_no_time = False

    def ask(self) -> None:
        """Begin to end. Asked once more, it waits for nothing."""
        self._has_no_time = self._asked.is_set()
        self._asked.set()

    async def asked(self) -> None:
        """Wait until somebody asks for the end."""
        await self._asked.wait()

    def begin(self, link: Link | None) -> None:
        """Take nothing new from now on."""
        self._has_begun = True
        self.opened(link)

    def go_on(self) -> None:
        """Take what is new after all, from the next connection on."""
        self._has_begun = False

    @property
    def is_asked(self) -> bool:
        """Whether somebody has asked for the end."""
        return self._asked.is_set()

    async def until_agreed(self) -> None:
        """Wait until the gateway sends nothing new, for a short time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._agreed.wait(), ANSWER_TIMEOUT)

    def opened(self, link: Link | None) -> None:
        """There is a connection, and the gateway has heard nothing on it yet."""
        self._agreed.clear()
        if self._has_begun and link is not None:
            link.send(GoingAway("the node stops"))

    def agreed(self) -> None:
        """The gateway sends nothing new."""
        self._agreed.set()

    def refuses(self, message: Dispatch, link: Link | None) -> bool:
        """Hand a new call back that came too late; False where the node takes it."""
        if not self._has_begun or link is None:
            return False
        if any(message.call_id in calls for calls in self._calls):
            return False
        link.drop(message.payload)
        link.send(HandBack((message.call,)))
        return True

    async def finish(self, link: Callable[[], Link | None]) -> None:
        """Wait for what runs, and until its outcomes have arrived."""
        _log.info(
            "Stopping: what runs has %.0f s to finish. Ask once more, and it is stopped now.",
            DRAIN_TIMEOUT,
        )
        deadline = time.monotonic() + DRAIN_TIMEOUT
        if link() is not None:
            await self.until_agreed()
        await self._until(deadline, lambda: not any(calls.unfinished for calls in self._calls))
        returning = time.monotonic() + RETURN_TIMEOUT

        def is_over() -> bool:
            present = link()
            is_quiet = present is None or present.is_quiet
            is_late = is_quiet and time.monotonic() > returning
            return is_late or not any(map(len, self._calls))

        await self._until(deadline, is_over)

    async def _until(self, deadline: float, is_so: Callable[[], bool]) -> None:
        while not is_so() and time.monotonic() < deadline:
            if self._has_no_time:
                return
            await asyncio.sleep(LOOK)
