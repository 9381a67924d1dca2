"""The main thread of a process: runs one call at a time, so that an interrupt (SIGINT) reaches it.

Cells, and what comes for their widgets, run in an IPython shell (``shell.py``), made at the first
cell; shipped functions run without it. ``tests/client/test_remote.py`` and
``tests/client/test_sessions.py`` prove it with real processes.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from easyremote.events import Stream, StreamName
from easyremote.node.blob_store import BlobStore
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
    open_request,
)
from easyremote.protocol.callee import Callee
from easyremote.protocol.held import Outcome, failure, plain_outcome
from easyremote.protocol.requests import InputReply
from easyremote.protocol.streams import Buffer
from easyremote.serialize.files import set_resolver
from easyremote.serialize.values import load

if TYPE_CHECKING:  # IPython takes a third of a second; a shipped function does without it
    from easyremote.node.worker.shell import Shell

__all__ = ["MainThread"]


class MainThread:
    """Runs calls one after the other.

    Parameters
    ----------
    callee
        Holds the calls.
    showing
        Takes what they show.
    on_link
        Runs something on the link's thread.
    """

    def __init__(self, callee: Callee, showing: Showing, on_link: Callable[..., object]) -> None:
        self._callee = callee
        self._showing = showing
        self._on_link = on_link
        self._queue: queue.SimpleQueue[Work] = queue.SimpleQueue()
        #: Is set when one more item of a generator may be welcome.
        self.room = threading.Event()
        self._shell: Shell | None = None
        #: Whose calls these are; a process has one owner.
        self._owner = ""
        self._blobs: BlobStore | None = None
        self._capture: Capture | None = None
        #: What runs, for messages.
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
        self._showing.call_begins(record)
        if held.function in (CELL, COMM):
            self._showing.carry(record)
        if held.function == CELL:
            self._tell_of_late_output()
        try:
            # An interrupt that came while this process started waits for its first call.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            value = run(work)
            if BUILTINS[held.function].encoding == "msgpack":
                return plain_outcome(value)
        except KeyboardInterrupt as error:
            return error_outcome(error)
        except BaseException as error:  # noqa: B036 - SystemExit of user code is its error
            return error_outcome(error, skip=3)
        finally:
            self._showing.call_ended(record)
        return value_outcome(value, "pickle5", self._running, time.monotonic() - began)

    def _end(self, work: Work, outcome: Outcome) -> None:
        if self._capture is not None:
            self._capture.flush()
        if self._showing.is_fork:
            os._exit(1 if outcome.code else 0)  # the cell's other process goes on
        done = threading.Event()

        def end() -> None:
            try:
                self._showing.end(work, outcome)
            except Exception as error:  # a mistake of ours: its caller hears of it
                traceback.print_exc(file=sys.__stderr__)
                text = f"What {self._running} showed can't be sent: {error!r}."
                self._callee.finish(work.held, failure("internal", text))
            finally:
                done.set()

        self._on_link(end)
        while not done.wait(0.5):
            pass  # bounded by the link's thread, which ends the process when it ends

    def _prepare(self, function: str) -> Callable[[Work], object]:
        """What runs such a call; it has taken over the process's output."""
        if function in self._in_shell:
            self._get_shell()
            return self._in_shell[function]
        if self._capture is None:  # cells bring their own, with their shell
            self._capture = Capture(self._printed)
        return self._run_function

    def _get_shell(self) -> Shell:
        if self._shell is None:
            from easyremote.node.worker.shell import Shell

            workplace.enter()
            self._shell = Shell(self._showing.emit, self._blob)
        return self._shell

    def _blob(self, hash_: bytes, sent: Buffer | None) -> Buffer:
        if self._blobs is None:  # with the first blob comes a call, which tells whose it is
            self._blobs = BlobStore(self._owner, os.getppid())
        return self._blobs.get(hash_, sent)

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

    def _run_function(self, work: Work) -> object:
        function, args, kwargs = load(work.take())
        self._running = f"{getattr(function, '__name__', 'the function')}()"
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
        dumped = dump_item(item, self._running)
        sent = threading.Event()

        def send() -> None:
            self._showing.begin(work)
            self._callee.emit(held, dumped.parts, dumped.size, "pickle5")
            sent.set()

        self._on_link(send)
        sent.wait()


async def _await(value: Any) -> Any:
    return await value
