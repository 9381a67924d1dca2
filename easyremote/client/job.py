"""`RemoteJob`: a call that was submitted. A `concurrent.futures.Future` that can be awaited.

What came back is opened on the thread that asks for it, once, and not on the I/O thread
(``outcome.py``). ``tests/client/test_job.py`` and ``test_client.py`` prove it.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from easyremote.client.connection import Line, Waiting, new_call_id
from easyremote.client.outcome import (
    accepted_encodings,
    answer_type,
    check_encoding,
    load_outcome,
    print_shown,
)
from easyremote.errors import CallCancelled, EasyRemoteError, UsageError
from easyremote.events import Event, decode
from easyremote.packing import pack
from easyremote.protocol.answers import OutstandingCall
from easyremote.protocol.builtins import CALL, EXPLAIN, INPUT
from easyremote.protocol.messages import Payload, Submit
from easyremote.protocol.requests import InputReply
from easyremote.protocol.streams import Buffer
from easyremote.times import deadline_of

__all__ = ["RemoteJob"]

T = TypeVar("T")

#: Stands after the last event of a call.
END = object()
_IS_GENERATOR = (
    "{} is a generator, but was called as a plain function. Iterate over it: "
    "client.call(name, args, stream=True), or @remote(stream=True) on the stub."
)


class RemoteJob(Future[T], Generic[T]):
    """A call on its way, or done.

    It can do everything that a `concurrent.futures.Future` can, and ``await job``. `cancel` stops
    the work on the node, not only the waiting.
    """

    def __init__(
        self, line: Line, function: str, call_id: bytes, encoding: str = "pickle5"
    ) -> None:
        # No `Future.__init__`: there may be tens of thousands of jobs, and the garbage collector
        # looks at every object. `_condition` and `_events` make what they need when they are used.
        self._lock = threading.RLock()
        self._state, self._result, self._exception = "PENDING", None, None
        self._line = line
        self._loaded: tuple[Any, EasyRemoteError | None] | None = None
        #: For `Future`, once somebody waits for its end by it, or has asked to be told of it.
        self._made_condition: threading.Condition | None = None
        #: One lock for each thread that waits in `result`; the end releases them.
        self._blocked: tuple[Any, ...] = ()
        self._shown: queue.SimpleQueue[Any] | None = None
        self._has_shown_all = False  # nothing comes after what was shown so far
        self._seen_count = 0
        self._ready: deque[Event] | None = None
        self._on_event: Callable[[], None] | None = None
        #: Why its events were refused; the call ends with this error.
        self._refused: EasyRemoteError | None = None
        #: The call as the I/O thread keeps it, for as long as it is outstanding.
        self.outstanding: OutstandingCall | None = None
        self.function = function
        #: The encoding of its arguments, and so of its value.
        self.encoding = encoding
        self._call_id = call_id
        #: The node that runs it, once that is known: it was named, or the call runs for a while.
        self.node_id = ""

    def __repr__(self) -> str:
        state = "done" if self.done() else "running" if self.running() else "pending"
        away = getattr(self.outstanding, "away", "")
        return f"<RemoteJob {self.function} {self.call_id[:8]} {state}{away}>"

    @property
    def call_id(self) -> str:
        """The call's id, the same everywhere, as hexadecimal digits; each attempt has its own."""
        outstanding = self.outstanding  # the I/O thread takes it away
        return (self._call_id if outstanding is None else outstanding.call_id).hex()

    @property
    def sink(self) -> Waiting:
        """Who takes what comes of the call."""
        return self

    @property
    def _condition(self) -> threading.Condition:  # type: ignore[override]  # `Future` sets it
        """What `Future` waits on, and holds when it looks at who waits."""
        with self._lock:
            if self._made_condition is None:
                self._made_condition = threading.Condition(self._lock)
                self._waiters: list[Any] = []
                self._done_callbacks: list[Callable[[Any], object]] = []
            return self._made_condition

    @property
    def _events(self) -> queue.SimpleQueue[Any]:
        """What the call shows, as it came, and `END`."""
        with self._lock:
            if self._shown is None:
                self._shown = queue.SimpleQueue()
                if self._has_shown_all:
                    self._shown.put(END)
            return self._shown

    # -- the user's side ---------------------------------------------------------------------------

    def result(self, timeout: float | None = None) -> T:
        """The function's value, as soon as it is here.

        Parameters
        ----------
        timeout
            Seconds to wait; None for as long as it takes. The call goes on when they are over.

        Raises
        ------
        CallError
            It ended without a value: it raised (`RemoteError`), was cancelled, lost, ...
        TimeoutError
            It is not here yet.
        """
        self._wait(timeout)
        return self._value()

    def wait_as_if_here(self) -> T:
        """The `result` of a plain call: an interrupt of the waiting stops the work on the node."""
        try:
            return self.result()
        except KeyboardInterrupt:
            self.cancel()
            raise

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The error that `result` would raise; None where it would return."""
        self._wait(timeout)
        return self._outcome()[1]

    def cancel(self) -> bool:
        """Stop the work on the node; the outcome tells when it has stopped. Safe to repeat."""
        if self.done():
            return False
        self._line.cancel(self.sink, kill=False)
        return True

    def kill(self) -> None:
        """Stop it by ending the process it runs in, and with it its session."""
        self._line.cancel(self.sink, kill=True)

    def interrupt(self) -> None:
        """What the stop button does: KeyboardInterrupt in a cell."""
        self._line.cancel(self.sink, kill=False)

    def answer(self, number: int, text: str, error: str = "") -> RemoteJob[bool]:
        """Answer what its cell asks (an ``input_request``), or say why there is no answer."""
        call_id = new_call_id()
        told = RemoteJob[bool](self._line, INPUT, call_id, "msgpack")
        body = pack(InputReply(number, text, error))
        submit = Submit(0, call_id, self.node_id, INPUT, Payload(), self.call_id)
        self._line.submit(told, submit, (body,), len(body))
        return told

    def explain(self, timeout: float = 10.0) -> str:
        """How the call stands at this moment, in one sentence: why it waits, and how long yet.

        Parameters
        ----------
        timeout
            Seconds in which the gateway has to answer; `CallTimeout` where it does not.

        Examples
        --------
        >>> job.explain()                                                # doctest: +SKIP
        '3rd of 5 for gpu-node, about 4 min (train() of key lab-1, 3 x fit() of key lab-2)'
        """
        if self.done():
            _, error = self._outcome()
            return "it is over, and has a value" if error is None else f"it is over: {error}"
        if not self._line.is_open:
            return "the gateway is out of reach now; the call is sent again when it is back"
        call_id = new_call_id()
        asked, body = RemoteJob[str](self._line, EXPLAIN, call_id, "msgpack"), pack(None)
        submit = Submit(0, call_id, "", EXPLAIN, Payload(), self.call_id, timeout=timeout)
        self._line.submit(asked, submit, (body,), len(body))
        return asked.result() or (
            "it is not at the gateway: it waits here until others of this client are over, or it "
            "has just ended"
        )

    @property
    def received(self) -> tuple[int, int]:
        """How many bytes of its value are here, and how many it has; (0, 0) before the first."""
        outstanding = self.outstanding
        answer = None if outstanding is None else outstanding.answer
        return (0, 0) if answer is None else answer.progress

    @property
    def is_connected(self) -> bool:
        """Whether the gateway is in reach at this moment; the call goes on meanwhile."""
        return self._line.is_open

    def done(self) -> bool:
        """Whether its outcome is here."""
        return self._state == "FINISHED"  # it has no other end: see `cancel`

    def cancelled(self) -> bool:
        """Whether it ended because it was cancelled."""
        return self.done() and isinstance(self._outcome()[1], CallCancelled)

    def __await__(self) -> Generator[Any, None, T]:
        yield from asyncio.wrap_future(self)
        # A StopIteration that was raised there would end the line above as if it were the value;
        # raised here, in a generator, it is a RuntimeError, as in any coroutine.
        return self._value()

    def events(self, poll: float) -> Iterator[Event | None]:
        """What the call shows (output, figures, progress), in order, up to its end.

        Each event is given once, whoever asks for it.

        Parameters
        ----------
        poll
            Seconds without an event after which None is given, so that the caller can see to
            other things.

        Yields
        ------
        Event or None
            See `easyremote.events`.
        """
        while True:
            while self._ready:
                yield self._ready.popleft()
            try:
                item = self._events.get(timeout=poll)
            except queue.Empty:
                yield None
                continue
            if item is END:
                self._events.put(END)  # for whoever asks again
                return
            self._was_seen()
            self._ready = deque(decode(item[1]))

    async def events_async(self) -> AsyncIterator[Event]:
        """`events` for async code: each as it comes."""
        async for item in self._arrivals():
            if item is END:
                self._events.put(END)
                return
            self._was_seen()
            for event in decode(item[1]):
                yield event

    # -- the sink of the call core; on the I/O thread ----------------------------------------------

    def started(self, node: str) -> None:
        """Note that the call runs on ``node``; the call core says so."""
        self.node_id = node
        if not self.done() and not self.running():
            self.set_running_or_notify_cancel()

    def event(self, encoding: str, body: Buffer) -> None:
        """Take what the call shows; the call core hands it over."""
        try:
            self._check_event(encoding)
        except EasyRemoteError as error:
            self._refused = self._refused or error
            self.cancel()
            self._events.put(END)
        else:
            self._events.put((encoding, body))
        if self._on_event is not None:
            self._on_event()

    def finish(self, code: str, encoding: str, body: Buffer) -> None:
        """Take the outcome; the call core hands it over."""
        if self.outstanding is not None:
            self._call_id, self.outstanding = self.outstanding.call_id, None  # of the last attempt
        outcome: Any = (code, encoding, body)  # see _outcome()
        with self._lock:
            self._has_shown_all = True
            if self._shown is not None:
                self._shown.put(END)
            if self._made_condition is None:
                self._result, self._state = outcome, "FINISHED"
        if not self.done():
            self.set_result(outcome)
        for blocked in self._blocked:
            blocked.release()
        if self._on_event is not None:
            self._on_event()

    # -- inside ------------------------------------------------------------------------------------

    def _check_event(self, encoding: str) -> None:
        """Refuse an event that this call must not have: nobody takes its items."""
        if encoding == "msgpack":
            return
        check_encoding(encoding, self._accepted, self._shown_name)
        raise UsageError(_IS_GENERATOR.format(self._shown_name))

    @property
    def _accepted(self) -> tuple[str, ...]:
        return accepted_encodings(self.function, self.encoding)

    def _wait(self, timeout: float | None) -> None:
        deadline = deadline_of(timeout, time.monotonic())
        prints = type(self) is RemoteJob and self.function == CALL
        if not self.done():
            self._line.check_may_wait()
        elif not prints:
            return
        if prints:
            self._show_output(deadline)
        if not self.done():
            self._block(-1 if deadline is None else max(deadline - time.monotonic(), 0))

    def _block(self, seconds: float) -> None:
        """Wait for the end as `Future.result` does, in half the time."""
        mine = threading.Lock()
        mine.acquire()
        with self._lock:
            if self.done():
                return
            self._blocked = (*self._blocked, mine)
        if not mine.acquire(timeout=seconds):
            with self._lock:  # else a program that asks again and again would leave one each time
                self._blocked = tuple(each for each in self._blocked if each is not mine)
            raise TimeoutError

    def _show_output(self, deadline: float | None) -> None:
        """Print what a shipped function prints, until it is done or the time is over."""
        poll = 0.5 if deadline is None else min(max(deadline - time.monotonic(), 0), 0.05)
        for event in self.events(poll):
            if event is not None:
                print_shown(event)
            if deadline is not None and time.monotonic() >= deadline:
                return

    def _value(self) -> T:
        value, error = self._outcome()
        if error is not None:
            raise error
        return value  # type: ignore[no-any-return]  # what the user's function returned

    def _outcome(self) -> tuple[Any, EasyRemoteError | None]:
        with self._lock:
            if self._loaded is None and self._refused is not None:
                self._loaded = None, self._refused
            elif self._loaded is None:  # END may come a moment before the result
                outcome: Any = self._result if self.done() else super().result()
                code, encoding, body = outcome
                accepted, kind = self._accepted, answer_type(self.function)
                self._loaded = load_outcome(code, encoding, body, accepted, self._shown_name, kind)
            return self._loaded

    @property
    def _shown_name(self) -> str:
        return "The function" if self.function == CALL else f"{self.function}()"

    async def _arrivals(self) -> AsyncIterator[Any]:
        """What comes, the end included, as it comes."""
        loop = asyncio.get_running_loop()
        arrived = asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody iterates any more
                loop.call_soon_threadsafe(arrived.set)

        self._on_event = wake
        while True:
            arrived.clear()
            try:
                item = self._events.get_nowait()
            except queue.Empty:
                await arrived.wait()
                continue
            yield item

    def _was_seen(self) -> None:
        self._seen_count += 1
        self._line.seen(self.sink, self._seen_count)
