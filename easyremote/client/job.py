"""`RemoteJob`: a call that was submitted. A `concurrent.futures.Future` that can be awaited.

What came back is unpickled on the thread that asks for it, once, and not on the I/O thread.
`RemoteStream` iterates over what a remote generator yields, as it is made.
``tests/client/test_client.py`` proves it.
"""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import msgspec

from easyremote.errors import CallCancelled, EasyRemoteError, ProtocolError, UsageError, from_wire
from easyremote.events import Event, Stream, decode
from easyremote.protocol.builtins import CALL, INPUT
from easyremote.protocol.caller import OutstandingCall, unpack_error
from easyremote.protocol.streams import Buffer
from easyremote.serialize.values import dump, load

if TYPE_CHECKING:
    from easyremote.client.client import Client

T = TypeVar("T")

_END = object()
_IS_GENERATOR = (
    "{} is a generator, but was called as a plain function. Iterate over it: "
    "client.call(name, args, stream=True), or @remote(stream=True) on the stub."
)
_IS_NO_GENERATOR = (
    "{} is no generator: it returned a value, and yielded nothing. Call it without stream=True."
)


class _Condition(threading.Condition):
    """A `threading.Condition` over an RLock, without five bound methods in each instance.

    Outstanding jobs come in tens of thousands, and the garbage collector looks at every object:
    this halves what a call costs its client.
    """

    def __init__(self) -> None:
        self._lock: Any = threading.RLock()
        self._waiters: deque[Any] = deque()

    def acquire(self, *args: Any) -> bool:
        return bool(self._lock.acquire(*args))

    def release(self) -> None:
        self._lock.release()

    def _is_owned(self) -> bool:
        return bool(self._lock._is_owned())

    def _release_save(self) -> Any:
        return self._lock._release_save()

    def _acquire_restore(self, state: Any) -> None:
        self._lock._acquire_restore(state)


class RemoteJob(Future[T], Generic[T]):
    """A call on its way, or done.

    Everything that `concurrent.futures.Future` can, and ``await job``. `cancel` stops the work on
    the node, not only the waiting.
    """

    def __init__(
        self, client: Client, function: str, call_id: bytes, encoding: str = "pickle5"
    ) -> None:
        super().__init__()
        self._condition = _Condition()
        self._client = client
        self._call: OutstandingCall | None = None
        self._loaded: tuple[Any, EasyRemoteError | None] | None = None
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._seen_count = 0
        self._ready: deque[Event] | None = None
        self._on_event: Callable[[], None] | None = None
        #: Items come, although it was called as a plain function.
        self._is_generator = False
        self.function = function
        #: What its arguments travel in, and so its value.
        self.encoding = encoding
        #: The call's id, the same everywhere, as hexadecimal digits.
        self.call_id = call_id.hex()
        #: The node that runs it, once that is known.
        self.node_id = ""

    def __repr__(self) -> str:
        state = "done" if self.done() else "running" if self.running() else "pending"
        return f"<RemoteJob {self.function} {self.call_id[:8]} {state}>"

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
        value, error = self._outcome()
        if error is not None:
            raise error
        return value  # type: ignore[no-any-return]  # what the user's function returned

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The error that `result` would raise; None where it would return."""
        self._wait(timeout)
        return self._outcome()[1]

    def cancel(self) -> bool:
        """Stop the work on the node; the outcome tells when it has stopped. Safe to repeat."""
        if self.done():
            return False
        self._client.cancel_call(self, kill=False)
        return True

    def kill(self) -> None:
        """Stop it by ending the process it runs in, and with it its session."""
        self._client.cancel_call(self, kill=True)

    def interrupt(self) -> None:
        """What the stop button does: KeyboardInterrupt in a cell."""
        self._client.cancel_call(self, kill=False)

    def answer(self, number: int, text: str, error: str = "") -> RemoteJob[bool]:
        """Answer what its cell asks (an ``input_request``), or say why there is no answer."""
        dumped = dump((number, text, error))
        return self._client.start(INPUT, dumped, node_id=self.node_id, session=self.call_id)

    @property
    def is_connected(self) -> bool:
        """Whether the gateway is in reach at this moment; the call goes on meanwhile."""
        return self._client.is_connected

    def cancelled(self) -> bool:
        """Whether it ended because it was cancelled."""
        return self.done() and isinstance(self._outcome()[1], CallCancelled)

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.wrap_future(self).__await__()

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
            if item is _END:
                self._events.put(_END)  # for whoever asks again
                return
            encoding, body = item
            self._was_seen()
            if encoding == "msgpack":
                self._ready = deque(decode(body))

    async def events_async(self) -> AsyncIterator[Event]:
        """`events` for async code: each as it comes."""
        async for item in self._arrivals():
            if item is _END:
                self._events.put(_END)
                return
            encoding, body = item
            self._was_seen()
            if encoding == "msgpack":
                for event in decode(body):
                    yield event

    # -- the sink of the call core; on the I/O thread ----------------------------------------------

    def started(self, node: str) -> None:
        """Note that the call runs on ``node``; the call core says so."""
        self.node_id = node
        if not self.done():
            self.set_running_or_notify_cancel()

    def event(self, encoding: str, body: Buffer) -> None:
        """Take what the call shows; the call core hands it over."""
        if encoding == "pickle5" and not isinstance(self, RemoteStream):
            self._is_generator = True  # nobody takes its items: it would wait for ever
            self.cancel()
        self._events.put((encoding, body))
        if self._on_event is not None:
            self._on_event()

    def finish(self, code: str, encoding: str, body: Buffer) -> None:
        """Take the outcome; the call core hands it over."""
        self._call = None
        self._events.put(_END)  # first: a callback of the result may ask for what was shown
        self.set_result((code, encoding, body))  # type: ignore[arg-type]  # see _outcome()
        if self._on_event is not None:
            self._on_event()

    # -- inside ------------------------------------------------------------------------------------

    def _wait(self, timeout: float | None) -> None:
        prints = type(self) is RemoteJob and self.function == CALL
        if not self.done():
            self._client.check_may_wait()
        elif not prints:
            return
        deadline = None if timeout is None else time.monotonic() + timeout
        if prints:
            self._show_output(deadline)
        left = None if deadline is None else max(deadline - time.monotonic(), 0)
        super().result(left)

    def _show_output(self, deadline: float | None) -> None:
        """Print what a shipped function prints, until it is done or the time is over."""
        poll = 0.5 if deadline is None else min(max(deadline - time.monotonic(), 0), 0.05)
        for event in self.events(poll):
            if event is not None:
                _show(event)
            if deadline is not None and time.monotonic() >= deadline:
                return

    def _outcome(self) -> tuple[Any, EasyRemoteError | None]:
        with self._condition:
            if self._loaded is None and self._is_generator:
                self._loaded = None, UsageError(_IS_GENERATOR.format(self._shown_name))
            elif self._loaded is None:
                outcome: Any = super().result()  # what finish() sets, at this moment at the latest
                self._loaded = _load_outcome(*outcome, expected=self.encoding)
            return self._loaded

    @property
    def _shown_name(self) -> str:
        return "The function" if self.function == CALL else f"{self.function}()"

    async def _arrivals(self) -> AsyncIterator[Any]:
        """What comes, the end included, as it comes."""
        loop = asyncio.get_running_loop()
        arrived = asyncio.Event()

        def wake() -> None:
            if not loop.is_closed():  # else nobody iterates any more
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
        self._client.event_seen(self, self._seen_count)


class RemoteStream(RemoteJob[None], Generic[T]):
    """What a remote generator yields, item by item; iterate over it, also with ``async for``."""

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        self._client.check_may_wait()
        while self._was_shown(item := self._events.get()):
            pass
        return self._take(item)

    def __aiter__(self) -> AsyncIterator[T]:
        return self._items()

    async def _items(self) -> AsyncIterator[T]:
        async for item in self._arrivals():
            if self._was_shown(item):
                continue
            try:
                value = self._take(item)
            except StopIteration:
                return
            yield value

    def arrived(self) -> Iterator[T]:
        """Those that have come by now; it waits for none."""
        while True:
            try:
                item = self._events.get_nowait()
            except queue.Empty:
                return
            if item is _END:
                self._events.put(_END)
                return
            if not self._was_shown(item):
                yield self._take(item)

    def close(self) -> None:
        """Stop the generator on the node. Do it where a loop is left early."""
        self.cancel()

    def _take(self, item: Any) -> T:
        if item is _END:
            self._events.put(_END)
            value, error = self._outcome()
            if error is not None:
                raise error
            if value is not None:
                raise UsageError(_IS_NO_GENERATOR.format(self._shown_name))
            raise StopIteration
        encoding, body = item
        self._was_seen()
        item = msgspec.msgpack.decode(body) if encoding == "msgpack" else load(body)
        return cast(T, item)

    def _was_shown(self, item: Any) -> bool:
        """Print what a shipped generator prints; False for an item, or the end."""
        if item is _END or self.function != CALL or item[0] != "msgpack":
            return False
        self._was_seen()
        for event in decode(item[1]):
            _show(event)
        return True


def _show(event: Event) -> None:
    if isinstance(event, Stream):
        # T201 is about our own prints; these are the user's.
        print(event.text, end="", file=getattr(sys, event.name), flush=True)


def results(jobs: list[RemoteJob[T]], timeout: float | None) -> Iterator[T]:
    """The results in order; those left when the iteration ends are cancelled.

    ``timeout`` in seconds counts from now and for all of them, as in `Executor.map`.
    """
    return _results(jobs, None if timeout is None else time.monotonic() + timeout)


def _results(jobs: list[RemoteJob[T]], deadline: float | None) -> Iterator[T]:
    try:
        for job in jobs:
            yield job.result(None if deadline is None else max(deadline - time.monotonic(), 0))
    finally:
        for job in jobs:
            job.cancel()


def _load_outcome(
    code: str, encoding: str, body: Buffer, *, expected: str
) -> tuple[Any, EasyRemoteError | None]:
    if code:
        return None, from_wire(*unpack_error(body))
    if encoding == "json":
        return msgspec.json.decode(body), None
    if expected == "json":
        return None, ProtocolError(f"a call in JSON was answered in {encoding}")
    if encoding == "msgpack":  # the gateway's own answers
        return msgspec.msgpack.decode(body), None
    if expected != "pickle5":
        text = f"A plain answer was asked for, and one in {encoding} came; it was not opened."
        return None, ProtocolError(text)
    try:
        return load(body), None
    except EasyRemoteError as error:
        return None, error
    except ModuleNotFoundError as missing:
        return None, from_wire(
            "cannot-return",
            f"The result needs the module {missing.name!r}, which is not installed here. "
            f"Install it (pip install {missing.name}), or return plain values.",
            {},
        )
