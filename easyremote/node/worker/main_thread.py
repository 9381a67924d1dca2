"""The main thread of a process: runs one call at a time, so that an interrupt (SIGINT) reaches it.

Cells, and what comes for their widgets, run in an IPython shell (``shell.py``), made at the first
cell; shipped functions run without it. ``tests/client/test_remote.py`` and
``tests/client/test_sessions.py`` prove it with real processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import queue
import signal
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from easyremote.errors import CallLost
from easyremote.events import Stream, StreamName
from easyremote.node.blob_store import BlobMissing, BlobStore
from easyremote.node.folders import NODE
from easyremote.node.forking import INTERRUPT
from easyremote.node.gpus.limit import GpuLimit
from easyremote.node.gpus.visible import SEES_ALL, see_only
from easyremote.node.ledger import Ledger
from easyremote.node.outcomes import dump_item, error_outcome, value_outcome
from easyremote.node.worker import workplace
from easyremote.node.worker.file_store import FileStore
from easyremote.node.worker.printed import Capture
from easyremote.node.worker.showing import Showing, Work
from easyremote.protocol.builtins import (
    BUILTINS,
    CELL,
    COMM,
    SESSION,
    VARIABLES,
    is_builtin,
    job_name,
    open_request,
)
from easyremote.protocol.callee import Callee, LocalCall
from easyremote.protocol.held import Outcome, plain_outcome
from easyremote.protocol.messages import INLINE_LIMIT, Finished, Payload, encode
from easyremote.protocol.requests import InputReply
from easyremote.protocol.streams import Buffer
from easyremote.serialize.calls import Functions
from easyremote.serialize.files import set_resolver
from easyremote.serialize.values import load
from easyremote.tracing import NO_SPAN, is_on, run_span

if TYPE_CHECKING:  # IPython takes a third of a second; a shipped function does without it
    from easyremote.node.registered.opened import OpenedFunctions
    from easyremote.node.worker.shell import Shell

__all__ = ["MainThread"]


#: A call that is over with its outcome, None where it did not run, and what to do then.
Ended = tuple[Work, Outcome | None, Callable[[], object]]


class MainThread:
    """Runs calls one after the other.

    Parameters
    ----------
    callee
        Holds the calls.
    showing
        Takes what they show.
    ledger
        Where functions are noted that begin and end.
    on_link
        Runs something on the link's thread.
    post
        Takes the end of a call.
    """

    def __init__(
        self,
        callee: Callee,
        showing: Showing,
        ledger: Ledger,
        on_link: Callable[..., object],
        post: Callable[[Ended], None],
    ) -> None:
        self._callee = callee
        self._showing = showing
        self._ledger = ledger
        self._on_link = on_link
        self._post = post
        self._queue: queue.SimpleQueue[Work] = queue.SimpleQueue()
        #: Is set when one more item of a generator may be welcome.
        self.room = threading.Event()
        self._shell: Shell | None = None
        self._functions = Functions()
        #: The registered functions that this process is for; None in one for shipped code.
        self.functions: OpenedFunctions | None = None
        self._takes_interrupts = False
        #: Of whom these calls are; a process has one owner.
        self._blobs: BlobStore | None = None
        self._gpu_limit = GpuLimit()
        self._capture: Capture | None = None
        #: What runs; and its name, for messages.
        self.running: Work | None = None
        self._running = ""
        self._in_shell = {
            CELL: self._run_cell,
            SESSION: self._run_session,
            VARIABLES: self._run_plainly,
            COMM: self._run_comm,
        }

    # -- on the link's thread ----------------------------------------------------------------------

    def submit(self, work: Work) -> None:
        """Run a call after those that came before."""
        self._queue.put(work)

    def answer(self, reply: InputReply) -> bool:
        """Give what runs the answer to what it asks; False if it does not ask that."""
        return self._shell is not None and self._shell.stdin.answer(reply)

    # -- on the main thread ------------------------------------------------------------------------

    def interrupt(self, number: int, frame: types.FrameType | None) -> None:
        """Handle `INTERRUPT`: raise SIGINT in the call that is meant, and in no other.

        It may come late: when that call is over, and the next one has begun.
        """
        if self.running is not None and self._ledger.is_interrupted(self.running.number):
            signal.raise_signal(signal.SIGINT)

    def warm_up(self) -> None:
        """Make the shell before the first cell, and do once what takes long the first time."""
        try:
            self._get_shell().warm_up()
        except Exception:  # the first cell meets it again, and tells its user
            traceback.print_exc(file=sys.__stderr__)

    def run(self) -> None:
        """Run calls, for ever."""
        while True:
            try:
                work = self._queue.get()
            except KeyboardInterrupt:
                continue  # it was meant for a call that has just ended
            is_function = work.held.is_function
            try:
                self.running = work
                if self._ledger.is_interrupted(work.number):
                    raise KeyboardInterrupt  # before it was here
                if is_function and not self._ledger.begin(work.number):
                    self._post((work, None, _nothing))  # its supervisor has taken it back
                    continue
                outcome = self._run(work)
            except KeyboardInterrupt as error:
                outcome = error_outcome(error)  # it came just after the user's code
            while work.is_open:
                try:
                    self._end(work, outcome)
                except KeyboardInterrupt:
                    continue  # as above

    def _run(self, work: Work) -> Outcome:
        held, record = work.held, work.record
        began = work.began = time.monotonic()
        if self._blobs is None and self.functions is None:
            self._blobs = BlobStore(held.owner, NODE)
            set_resolver(FileStore(held.owner).link)
        if held.needs is not None and held.needs.gpu_memory:
            self._gpu_limit.promise(held.needs.gpu_memory)
        run = self._prepare(held.function)
        self._showing.call_begins(record)
        if held.function in (CELL, COMM):
            self._showing.carry(record)
        if held.function == CELL:
            self._tell_of_late_output()
        if held.gpus and not see_only(held.gpus):
            print(SEES_ALL, file=sys.stderr)  # noqa: T201 - it is for the cell's user
        try:
            self._take_interrupts()
            with self._span(held):
                value = run(work)
            if is_builtin(held.function) and BUILTINS[held.function].encoding == "msgpack":
                return plain_outcome(value)
        except KeyboardInterrupt as error:
            return error_outcome(error)
        except BaseException as error:  # noqa: B036 - SystemExit of user code is its error
            return error_outcome(error, skip=3)
        finally:
            self._showing.call_ended(record)
        return value_outcome(value, work.encoding, self._running, time.monotonic() - began)

    @staticmethod
    def _span(held: LocalCall) -> contextlib.AbstractContextManager[None]:
        """The block in which a call runs, for OpenTelemetry; only work has one."""
        if not is_on() or not (held.is_function or held.function == CELL):
            return NO_SPAN
        return run_span(f"{job_name(held.function)} runs", held.trace)

    def _take_interrupts(self) -> None:
        """An interrupt that came while this process started has waited for its first call."""
        if not self._takes_interrupts:
            self._takes_interrupts = True
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, INTERRUPT})

    def _end(self, work: Work, outcome: Outcome) -> None:
        if self._capture is not None:
            self._capture.flush()
        if self._showing.is_fork:
            os._exit(1 if outcome.code else 0)  # the cell's other process goes on
        self.running = None
        written = self._written(work, outcome)
        if written:
            self._ledger.end(work.number, written)
            self._post((work, outcome, _nothing))
            work.is_open = False
            return
        sent = threading.Lock()
        sent.acquire()
        self._post((work, outcome, sent.release))
        while not sent.acquire(timeout=0.5):
            pass  # bounded by the link's thread, which ends the process when it ends
        if self._shell is not None:
            self._shell.call_over()
        work.is_open = False
        if work.held.is_function:
            self._ledger.end(work.number)

    def _written(self, work: Work, outcome: Outcome) -> bytes:
        """The outcome of a function as its supervisor finds it if this process dies now.

        Empty where it is not kept: then the next call has to wait until this one's outcome is sent.
        """
        is_quiet = not work.has_begun and not work.record.buffer.has_events
        if not work.held.is_function or not is_quiet or outcome.size > INLINE_LIMIT:
            return b""
        payload = Payload(outcome.encoding, outcome.size, b"".join(outcome.parts))
        finished = Finished(
            work.number, payload, outcome.code, outcome.may_have_run, outcome.seconds
        )
        written = encode(finished)
        return written if self._ledger.holds(written) else b""

    def _prepare(self, function: str) -> Callable[[Work], object]:
        """What runs such a call; it has taken over the process's output."""
        if function in self._in_shell:
            self._get_shell()
            return self._in_shell[function]
        if self.functions is not None:
            return self._run_function  # what it prints goes to its node's output
        if self._capture is None:  # cells bring their own, with their shell
            self._capture = Capture(self._printed)
        return self._run_function

    def _get_shell(self) -> Shell:
        if self._shell is None:
            from easyremote.node.worker.shell import Shell

            workplace.enter()
            self._shell = Shell(self._showing.emit, self._blob)
        return self._shell

    def _blob(self, hash_: bytes, piece: Buffer | None) -> Buffer:
        assert self._blobs is not None, "a call has begun"
        return self._blobs.get(hash_, piece)

    def _tell_of_late_output(self) -> None:
        for call_id, size in self._showing.take_late():
            self._printed(
                "stderr",
                f"[job {call_id[:8]} has printed {size} characters since it ended: "
                f"%remote_job {call_id[:8]} shows them]\n",
            )

    def _printed(self, name: StreamName, text: str) -> None:
        self._showing.emit(Stream(name, text))

    # -- kinds of calls ----------------------------------------------------------------------------

    def _run_cell(self, work: Work) -> object:
        self._running = "the cell"
        # What is large in the arguments has another place once they are loaded, or lives on by
        # itself: nothing here holds on to them.
        request = load(work.take())
        work.record.is_background = request.get("background", False)
        return self._get_shell().run_cell(request)

    def _run_session(self, work: Work) -> object:
        self._running = "it"
        return self._get_shell().variables.serve(load(work.take()))

    def _run_plainly(self, work: Work) -> object:
        self._running = "it"
        return self._get_shell().variables.serve_plain(open_request(VARIABLES, work.take()))

    def _run_comm(self, work: Work) -> object:
        self._running = "it"
        return self._get_shell().receive_comm(open_request(COMM, work.take()))

    def _open(self, work: Work) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        """The function of a call, and its arguments."""
        if self.functions is not None:
            return self.functions.open(work.held.function, work.encoding, work.take())
        try:
            return self._functions.open(work.take(), self._blob)
        except BlobMissing:
            raise CallLost(
                "A large argument had to make room on its node before the function's turn came. "
                "The function did not run; submit it again.",
                may_have_run=False,
            ) from None

    def _run_function(self, work: Work) -> object:
        function, args, kwargs = self._open(work)
        name = getattr(function, "__name__", "the function")
        self._running = f"{work.held.function if self.functions is not None else name}()"
        value = function(*args, **kwargs)
        if inspect.isawaitable(value):
            value = asyncio.run(_await(value))
        elif inspect.isasyncgen(value):
            asyncio.run(self._stream_async(work, value))
            return None
        elif inspect.isgenerator(value):
            for item in value:
                self._send_item(work, item)
            return None
        return value

    async def _stream_async(self, work: Work, items: Any) -> None:
        async for item in items:
            self._send_item(work, item)

    def _send_item(self, work: Work, item: object) -> None:
        held = work.held
        while True:
            self.room.clear()
            if held.window_is_open:
                break
            self.room.wait(1.0)
        dumped = dump_item(item, self._running, work.encoding)
        sent = threading.Event()

        def send() -> None:
            self._showing.begin(work)
            self._callee.emit(held, dumped.parts, dumped.size, work.encoding)
            sent.set()

        self._on_link(send)
        sent.wait()


def _nothing() -> None:
    """Nobody waits for it."""


async def _await(value: Any) -> Any:
    return await value
