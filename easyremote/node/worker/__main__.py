"""What runs inside a process for shipped code: ``python -m easyremote.node.worker FD``.

The main thread runs one call at a time, so that an interrupt (SIGINT, from the supervisor) reaches
it; a second thread serves the link to the supervisor, and the calls about what runs: its output
once more, answers to what it asks. Those about files have a third one (``file_calls.py``). Cells,
and what comes for their widgets, run in an IPython shell (``shell.py``), made at the first cell;
shipped functions run without it.
``tests/client/test_remote.py`` proves it.
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
from dataclasses import dataclass, field
from typing import Any

import msgspec

from easyremote.events import (
    CommClose,
    CommMessage,
    CommOpen,
    Display,
    Event,
    Stream,
    StreamName,
    Value,
)
from easyremote.node.blob_store import BlobStore
from easyremote.node.outcomes import dump_item, error_outcome, plain_outcome, value_outcome
from easyremote.node.worker import workplace
from easyremote.node.worker.file_calls import FILE_CALLS, FileCalls
from easyremote.node.worker.file_store import FileStore
from easyremote.node.worker.outlived import Outlived
from easyremote.node.worker.printed import Capture
from easyremote.node.worker.record import Reader, Record, Records
from easyremote.protocol.builtins import CELL, COMM, INPUT, OUTPUT, SESSION, VARIABLES
from easyremote.protocol.callee import Callee, HeldCall, Outcome, failure
from easyremote.protocol.caller import unpack_error
from easyremote.protocol.link import Link
from easyremote.protocol.messages import Message
from easyremote.protocol.streams import Buffer
from easyremote.serialize.files import set_resolver
from easyremote.serialize.values import load
from easyremote.transport.connection import Connection
from easyremote.transport.loop import new_event_loop
from easyremote.transport.pipe import PipeChannel

#: Seconds after which a call that has not ended is said to have started: most have ended by then,
#: and a message of its own for that would wake every process on the way.
STARTED_AFTER = 0.005


@dataclass(slots=True, eq=False)
class Work:
    """One call for the main thread."""

    held: HeldCall
    encoding: str
    arguments: Buffer
    record: Record = field(default_factory=Record)
    #: Whether its caller was told that it started, and reads its record.
    has_begun: bool = False

    def take(self) -> Buffer:
        """The arguments, for whoever lets go of them as soon as they are loaded: they are large."""
        taken, self.arguments = self.arguments, b""
        return taken


class Worker:
    """Runs calls on the main thread; talks to the supervisor on another."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._callee = Callee(self)
        self._loop = new_event_loop()
        #: For messages.
        self._running = ""
        self._records = Records()
        #: The call that runs, or ran last.
        self._work: Work | None = None
        self._reading: dict[HeldCall, tuple[Record, Reader]] = {}
        self._outlived: Outlived[Record] = Outlived()
        self._lock = threading.Lock()
        self._is_fork = False
        self._room = threading.Event()
        self._shell: Any = None
        self._files = FileCalls(
            lambda held, outcome: self._call_soon(self._callee.finish, held, outcome)
        )
        #: Whose calls these are; a process has one owner.
        self._owner = ""
        self._capture: Capture | None = None
        self._in_shell = {
            CELL: self._run_cell,
            SESSION: self._run_session,
            VARIABLES: self._run_plainly,
            COMM: self._run_comm,
        }
        #: Of the call that takes to the notebook what widgets say, while one runs.
        self._carrier: Record | None = None
        #: What they said when none did.
        self._unsent: list[Event] = []
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self._is_fork = True

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
        if held.function == OUTPUT:
            self._replay(held, load(arguments))
        elif held.function == INPUT:
            self._answer(held, load(arguments))
        elif held.function in FILE_CALLS:
            self._files.submit(held, arguments)
        else:
            work = Work(held, encoding, arguments)
            self._loop.call_later(STARTED_AFTER, self._begin, work)
            self._queue.put(work)

    def cancel(self, held: HeldCall, *, kill: bool) -> None:
        """Nobody follows any more; what runs is interrupted by signals."""
        if held in self._reading:
            record, reader = self._reading.pop(held)
            record.readers.remove(reader)
            self._callee.finish(held, failure("cancelled", "It is followed no longer."))

    def window_opened(self, held: HeldCall) -> None:
        self._room.set()
        if held in self._reading:
            record, _ = self._reading[held]
            self._pump(record)
            self._flush(record)

    def _replay(self, held: HeldCall, how: tuple[bool, bool]) -> None:
        """Send what another call has shown, and, if wanted, what it will show until its end."""
        record = self._records.find(held.session)
        self._callee.started(held)
        if record is None:
            self._callee.finish(held, plain_outcome({"state": "queued"}))
            return
        reader = Reader(held, *how)
        record.readers.append(reader)
        self._reading[held] = record, reader
        self._pump(record)
        self._flush(record)

    def _answer(self, held: HeldCall, answer: tuple[int, str, str]) -> None:
        asked = self._shell is not None and self._shell.stdin.answer(*answer)
        self._callee.finish(held, plain_outcome(asked))

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
            self._end(work, outcome)

    def _run(self, work: Work) -> Outcome:
        held, record = work.held, work.record
        began = time.monotonic()
        if not self._owner:
            self._owner = held.owner
            set_resolver(FileStore(held.owner).link)
        run = self._prepare(held.function)
        self._work = work
        if held.function in (CELL, COMM):
            self._carry(record)
        if held.function == CELL:
            self._tell_of_late_output()
        self._outlived.call_begins()
        try:
            # An interrupt that came while this process started waits for its first call.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            value = run(held, work.take())
            if work.encoding == "msgpack":
                return plain_outcome(value)
        except KeyboardInterrupt as error:
            return error_outcome(error)
        except BaseException as error:  # noqa: B036 - SystemExit of user code is its error
            return error_outcome(error, skip=3)
        finally:
            self._outlived.call_ended(record)
        return value_outcome(value, "pickle5", self._running, time.monotonic() - began)

    def _carry(self, record: Record) -> None:
        """What widgets say goes with this call now, and what they have said before it."""
        with self._lock:
            self._carrier = record
            unsent, self._unsent = self._unsent, []
        for event in unsent:
            self.emit(event)

    def _prepare(self, function: str) -> Callable[[HeldCall, Buffer], object]:
        """What runs such a call; it has taken over the process's output."""
        if function in self._in_shell:
            self._get_shell()
            return self._in_shell[function]
        if self._capture is None:  # cells bring their own, with their shell
            self._capture = Capture(self._printed)
        return self._run_function

    def _tell_of_late_output(self) -> None:
        with self._lock:
            late = self._records.take_late()
        for call_id, size in late:
            self._printed(
                "stderr",
                f"[job {call_id[:8]} has printed {size} characters since it ended: "
                f"%remote_job {call_id[:8]} shows them]\n",
            )

    def _run_cell(self, held: HeldCall, arguments: Buffer) -> object:
        self._running = "the cell"
        request = load(arguments)
        del arguments  # what is large in them has another place by now, or lives on by itself
        return self._get_shell().run_cell(request)

    def _run_session(self, held: HeldCall, arguments: Buffer) -> object:
        self._running = "it"
        return self._get_shell().variables.serve(load(arguments))

    def _run_plainly(self, held: HeldCall, arguments: Buffer) -> object:
        self._running = "it"
        return self._get_shell().variables.serve_plain(msgspec.msgpack.decode(arguments))

    def _run_comm(self, held: HeldCall, arguments: Buffer) -> object:
        self._running = "it"
        return self._get_shell().receive_comm(load(arguments))

    def _run_function(self, held: HeldCall, arguments: Buffer) -> object:
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
            assert self._work is not None, "it makes items"
            self._begin(self._work)
            self._callee.emit(held, dumped.parts, dumped.size, "pickle5")
            sent.set()

        self._call_soon(send)
        sent.wait()

    def _printed(self, name: StreamName, text: str) -> None:
        self.emit(Stream(name, text))

    def _get_shell(self) -> Any:
        if self._shell is None:
            from easyremote.node.worker.shell import Shell

            workplace.enter()
            self._shell = Shell(self.emit, BlobStore(self._owner, os.getppid()).get)
        return self._shell

    # -- output: from any thread to the link's -----------------------------------------------------

    def emit(self, event: Event) -> None:
        """Take an event of the shell: output, a figure, progress."""
        if self._is_fork:
            _print_plainly(event)
            return
        with self._lock:
            if isinstance(event, CommOpen | CommMessage | CommClose):
                record = self._carrier
                if record is None:
                    self._unsent.append(event)
            else:
                current = None if self._work is None else self._work.record
                record = self._outlived.of_this_thread() or current
            if record is None:
                return  # printed before any call, or kept for the next one
            now = time.monotonic()
            record.buffer.add(event, now)
            if record.outcome is not None:
                record.late += len(event.text) if isinstance(event, Stream) else 0
            # Waking the other thread for nothing would cost a program that prints most of its time.
            is_due = record.has_room and record.buffer.next_flush(now) is not None
            if record.is_scheduled or not is_due:
                return
            record.is_scheduled = True
        self._call_soon(self._flush, record)

    def _begin(self, work: Work) -> None:
        if work.has_begun:
            return
        work.has_begun = True
        held, record = work.held, work.record
        with self._lock:
            self._records.add(held.call_id, record)
        reader = Reader(held)
        record.readers.append(reader)
        self._reading[held] = record, reader
        self._callee.started(held)
        self._flush(record)  # it may have printed already, and then nobody was there to read

    def _flush(self, record: Record) -> None:
        """On the link's thread: log what is due, send it, and come back for the rest."""
        now = time.monotonic()
        with self._lock:
            record.is_scheduled = False
            if not record.has_room:
                return  # window_opened() comes back
            is_over = record.outcome is not None
            events = record.buffer.take_all() if is_over else record.buffer.take(now)
            later = record.buffer.next_flush(now)
            if later is not None:
                record.is_scheduled = True
                self._loop.call_later(max(later - now, 0.001), self._flush, record)
        if events:
            record.write(events)
            self._pump(record)

    def _pump(self, record: Record) -> None:
        """Send every reader what it has room for; those who have all that comes, are done."""
        for reader in list(record.readers):
            held = reader.held
            must = record.outcome is not None and held.function != OUTPUT  # it ends now
            while must or held.window_is_open:
                batch = record.read(reader)
                if batch is None:
                    if record.outcome is not None or not reader.follows:
                        self._stop_reading(record, reader)
                    break
                self._callee.emit(held, (batch,), len(batch), "msgpack")

    def _stop_reading(self, record: Record, reader: Reader) -> None:
        record.readers.remove(reader)
        del self._reading[reader.held]
        outcome = record.outcome
        if reader.held.function != OUTPUT:
            assert outcome is not None, "its own reader follows it to the end"
            self._callee.finish(reader.held, outcome)
            return
        answer: dict[str, object] = {"state": "running" if outcome is None else "done"}
        if outcome is not None and outcome.code:
            answer["error"] = unpack_error(b"".join(map(bytes, outcome.parts)))
        self._callee.finish(reader.held, plain_outcome(answer))

    def _end(self, work: Work, outcome: Outcome) -> None:
        if self._capture is not None:
            self._capture.flush()
        if self._is_fork:
            os._exit(1 if outcome.code else 0)  # the cell's other process goes on
        record, done = work.record, threading.Event()

        def finish() -> None:
            self._begin(work)
            with self._lock:
                events = record.buffer.take_all()
                record.outcome, self._carrier = outcome, None
            if events:
                record.write(events)
            self._pump(record)
            done.set()

        self._call_soon(finish)
        while not done.wait(0.5):
            pass  # bounded by the link's thread, which ends the process when it ends

    def _call_soon(self, function: Callable[..., None], *args: object) -> None:
        self._loop.call_soon_threadsafe(function, *args)


def _print_plainly(event: Event) -> None:
    """In a forked child: what it shows goes as text to the descriptor that its parent reads."""
    if isinstance(event, Display | Value):
        print(event.data.get("text/plain", ""))  # noqa: T201 - it is the user's display


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
