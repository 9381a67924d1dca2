"""A client's connection to its gateway: dialled when it is first needed, again when it breaks.

`Line` is one connection with the calls on it; a job holds the line that its call went by.
`GatewayConnection` is what a `Client` has: it gives the line of this process, and makes a new one
after a fork or where the gateway refused the last one. ``tests/client/test_client.py`` and
``test_leaks.py`` prove it with real processes.
"""

from __future__ import annotations

import asyncio
import os
import platform
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

import easyremote
from easyremote import tracing
from easyremote.client.io_thread import io_thread
from easyremote.config import Settings
from easyremote.errors import Closed, EasyRemoteError, GatewayUnreachable, UsageError
from easyremote.options.retries import Retry
from easyremote.protocol.answers import OutstandingCall, Sink
from easyremote.protocol.attempts import RetryingCaller
from easyremote.protocol.builtins import job_name, starts_work
from easyremote.protocol.link import Link
from easyremote.protocol.messages import PROTOCOL, Hello, Message, Submit, Welcome
from easyremote.protocol.streams import Buffer

__all__ = ["CONNECT_LIMIT", "GatewayConnection", "Line", "Traffic", "Waiting", "new_call_id"]
__all__ += ["say_last_words"]

#: Seconds that the first connection may take. Later breaks are covered by the calls' own deadlines.
CONNECT_LIMIT = 15.0
#: Seconds between two looks at the deadlines.
TICK = 0.25
_STARTED = time.monotonic()
#: The lines that run in this process; and whether the program is at its end.
_lines: set[Line] = set()
_program_ends = False


#: Random ids for the calls to come. Drawing lets go of the GIL. Done at each call, that is a third
#: of what a call costs. Done again and again within 5 ms, it starves the I/O thread.
_ids: list[bytes] = []
_DRAWN = 2048


def new_call_id() -> bytes:
    """The id of a new call: 16 random bytes."""
    while True:
        try:
            return _ids.pop()
        except IndexError:
            drawn = os.urandom(16 * _DRAWN)
            _ids.extend(drawn[start : start + 16] for start in range(0, len(drawn), 16))


def _chance() -> float:
    """A random number from 0 to 1."""
    return int.from_bytes(os.urandom(4)) / 2**32


if hasattr(os, "register_at_fork"):  # a child that had the same ids would take the parent's calls
    os.register_at_fork(after_in_child=_ids.clear)


class Traffic(NamedTuple):
    """Bytes that a client has sent to its gateway, and those that came back."""

    sent: int
    received: int


class Waiting(Sink, Protocol):
    """Who waits for a call: a `RemoteJob`."""

    encoding: str
    #: The call as the I/O thread keeps it; None before it is submitted, and after its end.
    outstanding: OutstandingCall | None


class _Traced:
    """Hands what comes of a call to who waits for it, and to the span of the call.

    The span also ends where nobody refers to a stream any more.
    """

    def __init__(self, job: Waiting, submit: Submit) -> None:
        self._span = tracing.CallSpan(job_name(submit.function), call_id=submit.call_id.hex())
        submit.trace = self._span.header
        self._sink, self.event = job, job.event

    def started(self, node: str) -> None:
        self._span.began(node)
        self._sink.started(node)

    def finish(self, code: str, encoding: str, body: Buffer) -> None:
        self._span.end(code)
        self._sink.finish(code, encoding, body)


class Line:
    """One connection to a gateway, which is dialled again when it breaks, and its calls."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._calls = RetryingCaller(new_call_id, _chance)
        self._io = io_thread()
        self._instance = os.urandom(16)
        self._task: asyncio.Task[None] | None = None
        #: The process that may use it; a forked child needs a line of its own.
        self.pid = os.getpid()
        #: Set at the first answer of the gateway, also where that is a refusal.
        self.ready = threading.Event()
        #: Why there is no connection, and none is on its way that calls could wait for.
        self.error: EasyRemoteError | None = None
        self.is_open = False
        #: How many connections there have been, and the bytes that passed on those that are over.
        self.opened_count = 0
        #: Called on the I/O thread when there is a new link; it has to return at once.
        self.told_opened: Callable[[], None] = lambda: None
        self._before = Traffic(0, 0)
        self._link: Link | None = None
        #: No connection will come any more.
        self._is_over = False
        self.is_stopped = False
        #: Set when what was left to say has left, after `stop`.
        self.said_all = threading.Event()

    # -- from any thread ---------------------------------------------------------------------------

    def dial(self) -> None:
        """Begin to connect, and stay connected until `stop`."""
        self._io.start(self._run())

    def stop(self) -> None:
        """End the connection, and with it the calls here; they run on at their nodes."""
        self.is_stopped = True
        self._io.call(self._stop)

    def submit(
        self,
        job: Waiting,
        submit: Submit,
        parts: Sequence[Buffer],
        size: int,
        retry: Retry | None = None,
    ) -> None:
        """Send a call as soon as there is a connection; ``retry`` is its caller's policy."""
        sink: Sink = job
        if tracing.is_on() and starts_work(submit.function):
            sink = _Traced(job, submit)
        self._io.call(Line._submit, self, job, sink, submit, parts, size, retry)  # no bound method

    def cancel(self, job: Waiting, *, kill: bool) -> None:
        """Ask for the end of a call; safe to repeat."""
        self._io.call(self._cancel, job, kill)

    def seen(self, job: Waiting, count: int) -> None:
        """So many events of a call were consumed: its node may make more."""
        self._io.call(self._seen, job, count)

    def check_may_wait(self) -> None:
        """Refuse to wait where that would be for ever.

        Raises
        ------
        InternalError
            This is the I/O thread.
        UsageError
            The line is of the process that this one was forked from.
        """
        self._io.check_not_current()
        if self.pid != os.getpid():
            raise UsageError(
                "This call was started before the process was forked: only the parent process "
                "gets its result. Start it again here."
            )

    @property
    def traffic(self) -> Traffic:
        """The bytes that have passed."""
        link, before = self._link, self._before
        if link is None:
            return before
        return Traffic(before.sent + link.bytes_sent, before.received + link.bytes_received)

    def has_calls(self) -> bool:
        """Whether calls are outstanding."""
        return len(self._calls) > 0

    # -- on the I/O thread -------------------------------------------------------------------------

    async def _run(self) -> None:
        self._task = asyncio.current_task()
        ticker = asyncio.get_running_loop().create_task(self._tick())
        _lines.add(self)
        try:
            if self.is_stopped:
                raise asyncio.CancelledError
            await self._stay_connected()
        except EasyRemoteError as error:
            self._end(error)
        except asyncio.CancelledError:
            if not _program_ends:  # else daemon threads would print the error
                self._end(GatewayUnreachable("The Client was closed."))
        finally:
            ticker.cancel()
            _lines.discard(self)
            self.said_all.set()

    async def _stay_connected(self) -> None:
        # Here, because aiohttp takes longer to import than all of ours.
        from easyremote.transport.dial import stay_connected

        await stay_connected(self._settings, self)

    def _stop(self) -> None:
        self._calls.deliver()
        if self._task is not None:
            self._task.cancel()

    def _end(self, error: EasyRemoteError) -> None:
        self._is_over, self.error = True, error
        self.ready.set()
        self._calls.fail_all(error)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            now = time.monotonic()
            due = self._calls.next_timeout()
            if due is not None and due <= now:
                self._calls.handle_timeout(now)

    def _submit(
        self,
        job: Waiting,
        sink: Sink,
        submit: Submit,
        parts: Sequence[Buffer],
        size: int,
        retry: Retry | None,
    ) -> None:
        job.outstanding = self._calls.submit(
            submit, parts, size, job.encoding, sink, time.monotonic(), retry
        )
        if self._is_over and self.error is not None:  # it ended after this call had taken the line
            self._calls.fail_all(self.error)

    def _cancel(self, job: Waiting, kill: bool) -> None:
        if job.outstanding is not None:
            self._calls.cancel(job.outstanding, kill=kill)

    def _seen(self, job: Waiting, count: int) -> None:
        if job.outstanding is not None:
            self._calls.seen(job.outstanding, count)

    # -- as the owner of a connection (`easyremote.transport.dial.Owner`) --------------------------

    def hello(self) -> Hello:
        versions = {"easyremote": easyremote.__version__, "python": platform.python_version()}
        key = str(self._settings.key("client"))
        uptime = time.monotonic() - _STARTED
        return Hello(PROTOCOL, "client", key, platform.node(), self._instance, uptime, versions)

    def opened(self, link: Link, welcome: Welcome, now: float) -> None:
        self.opened_count += 1
        self.is_open, self.error = True, None
        self._link = link
        self._calls.attach(link, welcome.max_calls, now)
        self.ready.set()
        self.told_opened()

    def receive(self, message: Message, now: float) -> None:
        self._calls.receive(message, now)

    def failed(self, message: Message, error: Exception) -> None:
        self._calls.failed(message, error)

    def flush(self, now: float) -> None:
        self._calls.flush(now)

    def closed(self, link: Link | None, error: EasyRemoteError | None, now: float) -> None:
        self.is_open = False
        self._before, self._link = self.traffic, None
        if link is not None:
            self._calls.detach(link, now)
        if error is not None and not self.opened_count:  # later on, calls wait for the next one
            self.error = error
            self.ready.set()


class GatewayConnection:
    """The lines of one Client, one at a time.

    Parameters
    ----------
    settings
        The gateway and the key.
    make_line
        Makes each of them. `easyremote.testing` has lines that lead to no real gateway.
    """

    def __init__(self, settings: Settings, make_line: Callable[[Settings], Line] = Line) -> None:
        self.settings = settings
        self._make_line = make_line
        self._line: Line | None = None
        #: A line for which nobody has waited yet. If it has failed, that may be long ago.
        self._begun: Line | None = None
        self._lock = threading.Lock()
        self.is_closed = False

    @property
    def number(self) -> int:
        """Which connection it is, counted from 1; 0 where there is none at this moment."""
        line = self._line
        if line is None or not line.is_open or line.pid != os.getpid():
            return 0
        return line.opened_count

    @property
    def traffic(self) -> Traffic:
        """The bytes that have passed on the present line."""
        return self._line.traffic if self._line is not None else Traffic(0, 0)

    @property
    def may_wait(self) -> bool:
        """Whether the caller may wait for an answer: not on the thread that brings answers."""
        return not io_thread().is_current

    def line(self) -> Line:
        """The line of this process, dialled where there is none.

        Raises
        ------
        EasyRemoteError
            What stands in the way.
        """
        line = self._line
        is_begun = line is self._begun  # nobody has looked yet what became of it
        if line is None or is_begun or line.error is not None or line.pid != os.getpid():
            return self._dial()
        return line

    def begin(self) -> None:
        """Begin to dial, so that the first call has a line; nobody waits for it."""
        with self._lock:
            if self._line is None and not self.is_closed:
                self._line = self._begun = self._make_line(self.settings)
                self._line.dial()

    def close(self) -> None:
        """Close it for good. Safe to repeat."""
        self.is_closed = True
        with self._lock:
            line, self._line = self._line, None
            if line is not None and line.pid == os.getpid():
                line.stop()

    def _dial(self) -> Line:
        with self._lock:
            if self.is_closed:
                raise Closed("This Client is closed. Make a new one: easyremote.Client().")
            line, begun, self._begun = self._line, self._begun, None
            if line is not None and line is begun and line.error is not None:
                line.stop()
                line = None
            if line is None or line.pid != os.getpid():
                line = self._line = self._make_line(self.settings)
                line.dial()
        line.check_may_wait()
        if line.error is None and not line.ready.wait(CONNECT_LIMIT):
            raise GatewayUnreachable(f"{self.settings.gateway} did not answer in {CONNECT_LIMIT} s")
        error = line.error
        if error is not None and not line.is_open:
            with self._lock:  # the next call may find it running: dial anew then
                if self._line is line and not line.has_calls():
                    self._line = None
                    line.stop()
            raise error
        return line


def say_last_words(connections: Iterable[GatewayConnection], limit: float) -> None:
    """Close connections at the end of the program, which takes the I/O thread along.

    It waits until they are closed, but ``limit`` seconds at the most: what a client has not
    confirmed, a node holds for minutes.
    """
    global _program_ends
    _program_ends = True
    for connection in connections:
        connection.close()
    deadline = time.monotonic() + limit
    for line in [each for each in _lines.copy() if each.is_stopped and each.pid == os.getpid()]:
        line.said_all.wait(max(deadline - time.monotonic(), 0.0))
