"""One call of a registered function, on the thread or in the task that runs it.

`Run` is what is known of the call there and on the link's loop. `call` and `call_async` load the
arguments, call the function, send the items of a generator, and make the outcome.
``tests/node/registered/test_runner.py`` and ``tests/node/test_compute_node.py`` prove it.
"""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from easyremote.node.functions import RegisteredFunction
from easyremote.node.outcomes import (
    bad_arguments,
    dump_item,
    error_outcome,
    load_arguments,
    value_outcome,
)
from easyremote.protocol.builtins import job_name
from easyremote.protocol.callee import EVENT_WINDOW, EVENT_WINDOW_BYTES, LocalCall
from easyremote.protocol.held import Outcome
from easyremote.protocol.streams import Buffer
from easyremote.tracing import NO_SPAN, is_on, run_span

__all__ = ["Run", "Stopped", "Tell", "call", "call_async", "raise_in_thread"]


class Stopped(BaseException):
    """Raised in user code to stop it: cancelled, or over its time."""


@dataclass(slots=True, eq=False)
class Run:
    """One call that runs, or waits for a thread."""

    held: LocalCall
    function: RegisteredFunction
    encoding: str
    arguments: Buffer
    lock: threading.Lock = field(default_factory=threading.Lock)
    thread_id: int = 0
    task: asyncio.Task[None] | None = None
    #: The outcome that the call gets when it has stopped; None while it need not stop.
    stopping: Outcome | None = None
    #: Items of a generator: how many were made, and how many its caller has seen.
    made: int = 0
    seen: int = 0
    last_size: int = 0
    #: Is set when `seen` changes; None for a function that is no generator.
    room: threading.Event | None = None
    began: float = 0.0
    #: Rings when the call has waited too long for a thread, then when it has run too long.
    timer: asyncio.TimerHandle | None = None
    is_over: bool = False

    def has_room(self) -> bool:
        """Whether one more item is welcome; fewer where items are large."""
        window = EVENT_WINDOW_BYTES // max(self.last_size, 1)
        return self.made - self.seen < min(EVENT_WINDOW, max(window, 1))

    def must_wait(self, room: threading.Event) -> bool:
        """Whether the next item has to wait for `room`."""
        if self.has_room():
            return False
        room.clear()
        return not self.has_room()  # it may have come just before the clear

    def take(self) -> tuple[tuple[Any, ...], dict[str, Any]] | Outcome:
        """The arguments, loaded; or the outcome, where they don't fit the function."""
        args, kwargs = load_arguments(self.encoding, self.arguments)
        self.arguments = b""
        if self.encoding == "json":
            try:
                inspect.signature(self.function.shown).bind(*args, **kwargs)
            except TypeError as error:
                return error_outcome(bad_arguments(error, self.function.call))
        return args, kwargs

    def value(self, value: object) -> Outcome:
        """The outcome of a function that returned this."""
        seconds = time.monotonic() - self.began
        return value_outcome(value, self.encoding, self.title, seconds)

    def span(self, node_id: str) -> AbstractContextManager[None]:
        """The block in which it runs, for OpenTelemetry."""
        if not is_on():
            return NO_SPAN
        return run_span(f"{job_name(self.held.function)} runs", self.held.trace, node=node_id)

    @property
    def title(self) -> str:
        """What to call it in a message."""
        return f"{self.held.function}()"


#: Takes what becomes of a run to the link's loop: what it is, and the thing itself.
Tell = Callable[[Run, str, Any], None]


def call(run: Run, tell: Tell) -> Outcome:
    """Call a plain function, or go through a generator."""
    taken = run.take()
    if isinstance(taken, Outcome):
        return taken
    args, kwargs = taken
    value = run.function.ready()(*args, **kwargs)
    del args, kwargs, taken
    if run.function.spec.streams:
        _stream(run, iter(value), tell)
        value = None
    return run.value(value)


async def call_async(run: Run, tell: Tell) -> Outcome:
    """Call a coroutine function, or go through an async generator."""
    taken = run.take()
    if isinstance(taken, Outcome):
        return taken
    args, kwargs = taken
    function = run.function
    if function.instance is not None and not function.instance.is_made:
        await asyncio.to_thread(function.instance.get)  # other async functions go on meanwhile
    value = function.ready()(*args, **kwargs)
    del args, kwargs, taken
    if inspect.isasyncgen(value):
        await _stream_async(run, value, tell)
        value = None
    else:
        value = await value
    return run.value(value)


def _stream(run: Run, items: Iterator[Any], tell: Tell) -> None:
    room = run.room
    assert room is not None, "start() made it"
    for item in items:
        while run.must_wait(room) and run.stopping is None:
            room.wait(timeout=1.0)
        if run.stopping is not None:
            raise Stopped
        _tell_item(run, item, tell)


async def _stream_async(run: Run, items: AsyncIterator[Any], tell: Tell) -> None:
    room = run.room = run.room or threading.Event()
    async for item in items:
        while run.must_wait(room):
            await asyncio.to_thread(room.wait, 1.0)
        _tell_item(run, item, tell)


def _tell_item(run: Run, item: object, tell: Tell) -> None:
    dumped = dump_item(item, run.title, run.encoding)
    run.last_size = dumped.size
    tell(run, "item", (dumped.parts, dumped.size, run.encoding))
    run.made += 1


def raise_in_thread(thread_id: int, error: type[BaseException] | None) -> None:
    """Have an exception raised in a thread, at its next bytecode; None takes that back."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread_id), ctypes.py_object(error) if error is not None else None
    )
