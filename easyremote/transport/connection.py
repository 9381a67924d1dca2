"""A Link on a live connection: one task reads, one writes, a timer watches the clock.

The reader hands what comes to the link's owner and awaits nothing else. What is queued meanwhile
leaves together at the end of that `turn`. What finds the channel full is left to the writer, and so
is what is queued outside of a turn. A peer that does not read is cut off: when too many messages
wait for it, or when one send takes too long. A `Channel` carries the bytes: a WebSocket
(``websocket.py``) or a pipe (``pipe.py``).
``tests/transport/test_connection.py`` proves it over real sockets.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from easyremote.errors import EasyRemoteError
from easyremote.protocol.link import DEAD_AFTER, MAX_BACKLOG, Link, LinkState
from easyremote.protocol.messages import Message

#: Closing waits this many seconds for the last messages to leave.
CLOSE_TIMEOUT = 2.0
#: A peer that does not take one send (64 KiB) within so many seconds does not read.
STALL_LIMIT = DEAD_AFTER
#: If the clock is looked at so many seconds too late, this process was stopped, or the machine.
LATE = 5.0


class Channel(Protocol):
    """What carries bytes; its methods raise an OSError where the connection broke."""

    #: Why the peer closed the channel, as far as it said.
    reason: str

    async def receive(self) -> bytes | None:
        """The next bytes; None at the end."""

    def send(self, data: bytes) -> bool:
        """Take bytes. False where too much is under way: `drain` comes before the next ones."""

    async def drain(self) -> None:
        """Wait until less is under way."""

    async def close(self, reason: str) -> None:
        """Close, and tell the peer why."""


class _Turn(threading.local):
    """A block of code on one thread: the connections send at its end what was queued in it.

    To wake their writers instead would cost one more turn of the event loop for each message.
    """

    is_on = False

    def __init__(self) -> None:
        self._waiting: list[Connection] = []

    def note(self, connection: Connection) -> None:
        """A connection has something to send."""
        self._waiting.append(connection)

    def __enter__(self) -> None:
        self.is_on = True

    def __exit__(self, *_: object) -> None:
        waiting = self._waiting
        try:
            while waiting:
                waiting.pop().send_now()
        finally:
            self.is_on = False


#: ``with turn:`` goes around what queues messages on the thread of the event loop.
turn = _Turn()


class Connection:
    """Runs a link over a channel.

    Parameters
    ----------
    link
        The link; who owns it, talks to it only on this event loop.
    channel
        What carries its bytes.
    receive
        Called with every message and the time.
    flush
        Called after each batch of messages, with the time.
    """

    def __init__(
        self,
        link: Link,
        channel: Channel,
        receive: Callable[[Message, float], None],
        flush: Callable[[float], None] | None = None,
    ) -> None:
        self.link = link
        self._channel = channel
        self._receive = receive
        self._flush = flush
        #: The writer waits for it while there is nothing to do. It is no `asyncio.Event`: waiting
        #: for an Event costs more.
        self._idle: asyncio.Future[None] | None = None
        #: Closes the connection, once somebody has ended it.
        self._closing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        #: Whether the channel takes no more at present.
        self._is_full = False
        #: The number of the wait for the channel, 0 for none; and how many there have been.
        self._sending = self._sends = 0
        #: The wait that was on when the clock was last looked at, and since when it is.
        self._stuck, self._stuck_since = 0, 0.0
        link.wake = self._woken
        #: Why the connection was closed, for the log and for the peer.
        self.reason = ""

    async def run(self) -> None:
        """Serve the connection until it is over, whoever ends it.

        Raises
        ------
        EasyRemoteError
            The owner raised it: the peer broke the protocol, or was refused.
        """
        writing = asyncio.create_task(self._write())
        self._watch(time.monotonic())
        try:
            await self._read()
        except ConnectionError as error:
            self.reason = self.reason or str(error)
        except EasyRemoteError as error:
            self.reason = error.message
            raise
        finally:
            if self._timer is not None:
                self._timer.cancel()
            writing.cancel()
            try:
                await asyncio.gather(writing, return_exceptions=True)
                await self._last_words()
            finally:  # cancelled here, too, by a server whose peer has gone
                self.link.close()

    def end(self, reason: str) -> None:
        """Close from this side: what is queued leaves, then `run` returns."""
        self.reason = self.reason or reason
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(self.reason))

    def send_now(self) -> None:
        """Send what is queued, as much as the channel takes; the rest is left to the writer."""
        idle = self._idle
        if idle is None or idle.done():  # the writer is at it
            return
        try:
            while not self._is_full and self._send_next():
                pass
        except OSError as error:
            self._broke(error)
        if self._is_full and self.link.has_output:
            idle.set_result(None)

    def _woken(self) -> None:
        if turn.is_on:
            turn.note(self)
        elif self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        if self.link.state is LinkState.OVERRUN:
            self.end(f"{MAX_BACKLOG >> 20} MiB that were sent to you were not read")

    async def _close(self, reason: str) -> None:
        # In two steps: a peer that does not read has to be closed all the same, or `_read` goes on.
        await _bounded(self._send_rest())
        await _bounded(self._channel.close(reason))

    async def _send_rest(self) -> None:
        while self.link.has_output:
            if self._is_full:
                await self._drain()
            if not self._send_next():
                break

    async def _last_words(self) -> None:
        """Send what is still queued (REFUSED, GOING AWAY), then close, within `CLOSE_TIMEOUT`."""
        self.end(self.reason)
        assert self._closing is not None, "it was just begun, or before"
        await asyncio.shield(self._closing)

    async def _read(self) -> None:
        link, receive, flush = self.link, self._receive, self._flush
        while (data := await self._channel.receive()) is not None:
            now = time.monotonic()
            with turn:
                for message in link.receive_data(data, now):
                    receive(message, now)
                if flush is not None:
                    flush(now)
        self.reason = self.reason or self._channel.reason

    async def _write(self) -> None:
        make_future = asyncio.get_running_loop().create_future
        try:
            while True:
                await self._send_rest()
                self._idle = make_future()
                await self._idle
        except OSError as error:
            self._broke(error)

    def _send_next(self) -> bool:
        """Give the channel what comes next; False where nothing is queued."""
        data = self.link.data_to_send()
        if data is None:
            return False
        self._is_full = not self._channel.send(data)
        return True

    async def _drain(self) -> None:
        self._sends += 1
        self._sending = self._sends
        await self._channel.drain()
        self._sending = 0
        self._is_full = False

    def _broke(self, error: OSError) -> None:
        # The reader sees the same end of the connection, and tells.
        self.reason = self.reason or str(error)

    def _watch(self, now: float) -> None:
        """Look at the clock when the link wants it. A timer costs less than a task."""
        due = max(self.link.next_timeout(), now + 0.01)
        self._timer = asyncio.get_running_loop().call_later(due - now, self._look, due)

    def _look(self, due: float) -> None:
        now = time.monotonic()
        if now > due + LATE:  # we were stopped: what the peer has said is not read yet
            self.link.last_received = now
        if why := self._why_over(now):
            self.end(why)
        elif self._closing is None:
            self._watch(now)

    def _why_over(self, now: float) -> str:
        """Why the peer has to be given up; empty where it is alive."""
        if not self.link.handle_timeout(now):
            return "silent for too long"
        if self._sending != self._stuck or self.link.is_excused:
            self._stuck, self._stuck_since = self._sending, now
        elif self._sending and now >= self._stuck_since + STALL_LIMIT:
            return f"what was sent to you was not read for {STALL_LIMIT:g} s"
        return ""


async def _bounded(step: Coroutine[Any, Any, None]) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await step
    except (TimeoutError, OSError):
        pass  # it is as closed as it can be: the peer does not read the last messages
