"""What runs inside a process for shipped code: ``python -m easyremote.node.worker FD``.

The main thread runs one call at a time, so that an interrupt (SIGINT, from the supervisor) reaches
it; a second thread serves the link to the supervisor. Cells run in an IPython shell (``shell.py``),
made at the first cell; shipped functions run without it. ``tests/node/test_worker.py`` proves it.
"""

from __future__ import annotations

import asyncio
import ctypes
import inspect
import os
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from easyremote.node.outcomes import dump_item, error_outcome, value_outcome
from easyremote.node.output import OutputBuffer
from easyremote.node.streams import Capture
from easyremote.protocol.call import CallState
from easyremote.protocol.callee import Callee, HeldCall, Outcome
from easyremote.protocol.link import Link
from easyremote.protocol.messages import Message
from easyremote.protocol.streams import Buffer
from easyremote.serialize.values import load
from easyremote.transport.connection import Connection
from easyremote.transport.pipe import PipeChannel

#: Output that waits for its reader is looked at so often, in seconds.
FLUSH_INTERVAL = 0.05


@dataclass(slots=True, eq=False)
class Work:
    """One call for the main thread."""

    held: HeldCall
    arguments: Buffer


class Worker:
    """Runs calls on the main thread; talks to the supervisor on another."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._callee = Callee(self)
        self._loop = asyncio.new_event_loop()
        self._current: HeldCall | None = None
        #: For messages.
        self._running = ""
        self._output: OutputBuffer | None = None
        self._lock = threading.Lock()
        self._flush_scheduled = False
        self._room = threading.Event()
        self._shell: Any = None
        self._capture: Capture | None = None

    # -- the link's thread -------------------------------------------------------------------------

    def serve(self, sock: socket.socket) -> None:
        """Serve the link until the supervisor is gone."""
        try:
            self._loop.run_until_complete(self._serve(sock))
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
            raise
        finally:
            # Nobody is there to hear of anything; user code may never end by itself.
            os._exit(0)

    async def _serve(self, sock: socket.socket) -> None:
        link = Link(time.monotonic())
        link.open(time.monotonic())
        self._callee.attach(link)
        channel = await PipeChannel.open(sock)
        await Connection(link, channel, self._receive).run()

    def _receive(self, message: Message, now: float) -> None:
        self._callee.receive(message)

    def start(self, held: HeldCall, encoding: str, arguments: Buffer) -> None:
        self._queue.put(Work(held, arguments))

    def cancel(self, held: HeldCall, *, kill: bool) -> None:
        """The supervisor interrupts by signals; nothing comes this way."""

    def window_opened(self, held: HeldCall) -> None:
        self._room.set()
        self._flush()

    # -- the main thread ---------------------------------------------------------------------------

    def run(self) -> None:
        """Run calls, for ever."""
        while True:
            try:
                work = self._queue.get()
            except KeyboardInterrupt:
                continue  # it was meant for a call that has just ended
            if work is None:
                return
            try:
                outcome = self._run(work)
            except KeyboardInterrupt as error:
                outcome = error_outcome(error)  # it came just after the user's code
            self._end(work.held, outcome)

    def _run(self, work: Work) -> Outcome:
        held = work.held
        began = time.monotonic()
        self._output = OutputBuffer()
        self._current = held
        self._call_soon(self._callee.started, held)
        run = self._run_cell if held.function == "$cell" else self._run_function
        try:
            value = run(held, work.arguments)
        except KeyboardInterrupt as error:
            return error_outcome(error)
        except BaseException as error:  # noqa: B036 - SystemExit of user code is its error
            return error_outcome(error, skip=3)
        return value_outcome(value, "pickle5", self._running, time.monotonic() - began)

    def _run_cell(self, held: HeldCall, arguments: Buffer) -> object:
        self._running = "the cell"
        return self._get_shell().run_cell(load(arguments))

    def _run_function(self, held: HeldCall, arguments: Buffer) -> object:
        if self._capture is None:  # cells bring their own, with their shell
            self._capture = Capture(self._printed)
        function, args, kwargs = load(arguments)
        self._running = f"{getattr(function, '__name__', 'the function')}()"
        value = function(*args, **kwargs)
        if inspect.isawaitable(value):
            value = asyncio.run(_await(value))
        elif inspect.isasyncgen(value):
            asyncio.run(self._stream_async(held, value))
            return None
        elif inspect.isgenerator(value):
            for item in value:
                self._send_item(held, item)
            return None
        return value

    async def _stream_async(self, held: HeldCall, items: Any) -> None:
        async for item in items:
            self._send_item(held, item)

    def _send_item(self, held: HeldCall, item: object) -> None:
        while True:
            self._room.clear()
            if held.window_is_open:
                break
            self._room.wait(1.0)
        dumped = dump_item(item, self._running)
        sent = threading.Event()

        def send() -> None:
            self._callee.emit(held, dumped.parts, dumped.size, "pickle5")
            sent.set()

        self._call_soon(send)
        sent.wait()

    def _printed(self, name: str, text: str) -> None:
        self.emit({"type": "stream", "name": name, "text": text})

    def _get_shell(self) -> Any:
        if self._shell is None:
            from easyremote.node.shell import Shell

            self._shell = Shell(self.emit)
        return self._shell

    # -- output: from any thread to the link's -----------------------------------------------------

    def emit(self, event: dict[str, object]) -> None:
        """Take an event of the shell: output, a figure, progress."""
        with self._lock:
            if self._output is None:
                return  # printed by a thread that outlived its cell, before any other cell
            self._output.add(event, time.monotonic())
            if self._flush_scheduled:
                return
            self._flush_scheduled = True
        self._call_soon(self._flush)

    def _flush(self) -> None:
        """On the link's thread: send what is due, and come back for the rest."""
        held = self._current
        now = time.monotonic()
        with self._lock:
            self._flush_scheduled = False
            if self._output is None or held is None or held.state is CallState.FINISHED:
                return
            if not held.window_is_open:
                return  # window_opened() comes back
            events = self._output.take(now)
            later = self._output.next_flush(now)
            if later is not None:
                self._flush_scheduled = True
                self._loop.call_later(max(later - now, 0.001), self._flush)
        if events:
            self._send_events(held, events)

    def _send_events(self, held: HeldCall, events: list[dict[str, object]]) -> None:
        body = msgspec.msgpack.encode(events)
        self._callee.emit(held, (body,), len(body), "msgpack")

    def _end(self, held: HeldCall, outcome: Outcome) -> None:
        if self._capture is not None:
            self._capture.flush()
        done = threading.Event()

        def finish() -> None:
            with self._lock:
                events = self._output.take_all() if self._output is not None else []
            if events:
                self._send_events(held, events)
            self._callee.finish(held, outcome)
            done.set()

        self._call_soon(finish)
        while not done.wait(0.5):
            pass  # bounded by the link's thread, which ends the process when it ends
        self._current = None

    def _call_soon(self, function: Callable[..., None], *args: object) -> None:
        self._loop.call_soon_threadsafe(function, *args)


async def _await(value: Any) -> Any:
    return await value


def _die_with_parent() -> None:
    """Linux: be killed when the supervisor dies, whatever runs here."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)


def main() -> None:
    """Start a worker on the socket pair whose descriptor is the argument."""
    _die_with_parent()
    sock = socket.socket(fileno=int(sys.argv[1]))
    sock.set_inheritable(False)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    worker = Worker()
    threading.Thread(target=worker.serve, args=(sock,), name="link", daemon=True).start()
    sys.argv = [""]
    worker.run()


if __name__ == "__main__":
    main()
