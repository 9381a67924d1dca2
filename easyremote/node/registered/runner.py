"""Runs the calls of registered functions: threads for plain ones, a loop of its own for async ones.

User code never runs on the link's event loop. Threads hand over what they made through one deque,
and wake the loop once for many. To stop a call (it is cancelled, or has run too long), `Stopped`, a
BaseException, is raised in it. Where that does not help within `STOP_TIMEOUT`, because a C function
does not return, the call ends all the same and its thread is replaced. What happens inside a call
is in ``calling.py``. ``tests/node/test_compute_node.py`` proves it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from typing import Any

from easyremote.errors import EasyRemoteError
from easyremote.node.functions import Functions
from easyremote.node.outcomes import error_outcome
from easyremote.node.registered.calling import Run, Stopped, call, call_async, raise_in_thread
from easyremote.node.registered.threads import Threads
from easyremote.node.spool import NodeSpool, refused
from easyremote.protocol.call import NO_SPOOL
from easyremote.protocol.callee import Callee, LocalCall
from easyremote.protocol.held import Outcome, failure
from easyremote.protocol.streams import Buffer
from easyremote.transport.connection import turn

#: Seconds that a call may take to stop when it is told to.
STOP_TIMEOUT = 5.0


class Runner:
    """Runs calls of registered functions.

    Parameters
    ----------
    functions
        What is registered.
    slots
        How many threads at the most.
    node_id
        For error messages.
    spool
        Keeps durable calls; None where there are none.
    """

    def __init__(
        self, functions: Functions, slots: int, node_id: str, spool: NodeSpool | None = None
    ) -> None:
        self._functions = functions
        self._slots = slots
        self._node_id = node_id
        self._spool = spool
        self.callee = Callee(self, spool=spool or NO_SPOOL)
        self._runs: dict[LocalCall, Run] = {}
        self._threads = Threads(self._work)
        #: Calls that have, or need, a thread.
        self._in_threads = 0
        self._made: deque[tuple[Run, str, Any]] = deque()
        self._is_scheduled = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._user_loop: asyncio.AbstractEventLoop | None = None

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """The link's event loop, before anything else."""
        self._loop = loop

    def close(self) -> None:
        """End the threads. A thread that is still in a call ends with the process."""
        self._threads.close()
        if self._user_loop is not None:
            self._user_loop.call_soon_threadsafe(self._user_loop.stop)

    # -- called by the callee, on the link's loop --------------------------------------------------

    def start(self, held: LocalCall, encoding: str, arguments: Buffer) -> None:
        """Run a call, or queue it for a thread."""
        function = self._functions.get(held.function)
        if function is None:
            self.callee.finish(
                held,
                failure(
                    "not-found",
                    f"Node {self._node_id!r} has no function {held.function!r}.",
                    may_have_run=False,
                ),
            )
            return
        run = Run(held, function, encoding, arguments)
        if function.spec.streams:
            run.room = threading.Event()
        self._runs[held] = run
        if function.spec.is_async:
            loop = self._loop_for_users()
            loop.call_soon_threadsafe(self._start_task, run)
            return
        if held.queue_timeout and self._loop is not None:
            run.timer = self._loop.call_later(held.queue_timeout, self._waited_too_long, run)
        self._in_threads += 1
        if self._threads.count < min(self._in_threads, self._slots):
            self._threads.add()
        self._threads.put(run)

    def cancel(self, held: LocalCall, *, kill: bool) -> None:
        """Stop a call; its outcome says when it has stopped."""
        run = self._runs.get(held)
        if run is not None:
            outcome = failure("cancelled", f"{held.function}() was cancelled while it ran.")
            self._stop(run, outcome)

    def window_opened(self, held: LocalCall) -> None:
        """One more item of a generator is welcome."""
        run = self._runs.get(held)
        if run is not None:
            run.seen = held.last_event - len(held.unseen)
            if run.room is not None:
                run.room.set()

    def hand_back(self) -> None:
        """The node stops: what waits for a thread goes back to its client."""
        waiting = []
        for held, run in list(self._runs.items()):
            with run.lock:
                if run.began or run.stopping is not None:
                    continue
                run.stopping = failure("cancelled", "The node stops.")  # its thread leaves it alone
            waiting.append(held)
            del self._runs[held]
            self._in_threads -= not run.function.spec.is_async
        self.callee.hand_back(waiting)

    # -- on the link's loop ------------------------------------------------------------------------

    def _stop(self, run: Run, outcome: Outcome) -> None:
        assert self._loop is not None, "bind() comes first"
        with run.lock:
            if run.is_over or run.stopping is not None:
                return
            if not run.began:
                text = f"{run.held.function}() was cancelled before it ran."
                outcome = failure("cancelled", text, may_have_run=False)
            run.stopping = outcome
            if run.task is not None and self._user_loop is not None:
                self._user_loop.call_soon_threadsafe(run.task.cancel)
            elif run.thread_id:
                raise_in_thread(run.thread_id, Stopped)
        if run.room is not None:
            run.room.set()  # a generator that waits for room looks again, and stops
        if not run.began:
            self._over(run, outcome)  # it waits for a thread: it never starts
        else:
            self._loop.call_later(STOP_TIMEOUT, self._give_up, run, outcome)

    def _give_up(self, run: Run, outcome: Outcome) -> None:
        """The call does not stop: end it for its caller, and replace the thread that is stuck."""
        if not run.is_over and run.held in self._runs:
            if not run.function.spec.is_async:
                self._slots += 1  # the stuck thread is no use until it returns
                self._in_threads += 1
                self._threads.add()
            self._over(run, outcome)

    def _waited_too_long(self, run: Run) -> None:
        with run.lock:
            if run.began or run.stopping is not None:
                return
            text = (
                f"No turn came in time: all threads of {self._node_id!r} are busy. It did not run."
            )
            # A thread that takes the run from the queue later sees this, and leaves it alone.
            run.stopping = failure("timeout", text, may_have_run=False)
        self._over(run, run.stopping)

    def _expire(self, run: Run, limit: float) -> None:
        self._stop(
            run, failure("timeout", f"{run.held.function}() ran longer than {limit:g} s; stopped.")
        )

    def _over(self, run: Run, outcome: Outcome) -> None:
        """End a run. Every run ends here."""
        if self._runs.pop(run.held, None) is None:
            if self._spool is not None and not run.began:
                self._spool.forget(run.held)  # it was written that it begins, and it did not
            return
        run.is_over = True
        run.arguments = b""
        self._in_threads -= not run.function.spec.is_async
        if run.timer is not None:
            run.timer.cancel()
        if outcome.code == "" and run.stopping is not None and run.stopping.code == "timeout":
            outcome = run.stopping
        self.callee.finish(run.held, outcome)

    def _drain(self) -> None:
        """Send what the threads made. STARTED is left out where FINISHED follows at once."""
        self._is_scheduled = False
        made = self._made
        batch = [made.popleft() for _ in range(len(made))]
        ended = {run for run, what, _ in batch if what == "over"}
        with turn:
            for run, what, value in batch:
                if what == "over":
                    self._over(run, value)
                elif run.held not in self._runs:
                    continue
                elif what == "item":
                    self.callee.started(run.held)
                    self.callee.emit(run.held, *value)
                elif run not in ended:
                    self.callee.started(run.held)
                    self._arm(run)

    def _arm(self, run: Run) -> None:
        if run.timer is not None:
            run.timer.cancel()  # it waits no more
        held, spec = run.held, run.function.spec
        limits = [limit for limit in (held.timeout, held.run_timeout, spec.timeout) if limit]
        if limits and self._loop is not None:
            limit = min(limits)
            run.timer = self._loop.call_later(limit, self._expire, run, limit)

    # -- on any thread -----------------------------------------------------------------------------

    def _tell(self, run: Run, what: str, value: Any = None) -> None:
        self._made.append((run, what, value))
        if not self._is_scheduled and self._loop is not None:
            self._is_scheduled = True
            try:
                self._loop.call_soon_threadsafe(self._drain)
            except RuntimeError:
                pass  # the loop is closed: the node has stopped, and nobody waits any more

    # -- threads -----------------------------------------------------------------------------------

    def _work(self, run: Run) -> None:
        try:
            self._tell(run, "over", self._run_in_thread(run))
        except Stopped:
            # It came between the end of the call and here; the call has its outcome.
            self._tell(run, "over", run.stopping)

    def _begin(self, run: Run) -> Outcome | None:
        """Write that a durable call begins; its outcome where it must not."""
        if run.held.is_durable and self._spool is not None:
            try:
                self._spool.begin(run.held)
            except EasyRemoteError as error:
                return refused(error, may_have_run=False)
        return None

    def _run_in_thread(self, run: Run) -> Outcome:
        if run.stopping is None and (refusal := self._begin(run)) is not None:
            return refusal
        with run.lock:
            if run.stopping is not None:
                return run.stopping
            run.thread_id = threading.get_ident()
            run.began = time.monotonic()
        self._tell(run, "started")
        try:
            try:
                with run.span(self._node_id):
                    outcome = call(run, self._tell)
            except Stopped:
                raise
            except BaseException as error:  # noqa: B036 - SystemExit of user code is its error
                outcome = error_outcome(error, node_id=self._node_id, skip=2)
        except Stopped:
            outcome = run.stopping or failure("cancelled", "It was stopped.")
        finally:
            with run.lock:
                run.thread_id = 0
                run.is_over = True
                if run.stopping is not None:
                    raise_in_thread(threading.get_ident(), None)  # if it has not come yet
        return outcome

    # -- async functions ---------------------------------------------------------------------------

    def _loop_for_users(self) -> asyncio.AbstractEventLoop:
        if self._user_loop is None:
            self._user_loop = asyncio.new_event_loop()
            threading.Thread(
                target=self._user_loop.run_forever, name="easyremote-async", daemon=True
            ).start()
        return self._user_loop

    def _start_task(self, run: Run) -> None:
        with run.lock:
            if run.stopping is not None:
                return
            run.began = time.monotonic()
            assert self._user_loop is not None, "it runs this"
            run.task = self._user_loop.create_task(self._run_async(run))
        self._tell(run, "started")

    async def _run_async(self, run: Run) -> None:
        try:
            if run.held.is_durable and (refusal := await asyncio.to_thread(self._begin, run)):
                outcome = refusal
            else:
                with run.span(self._node_id):
                    outcome = await call_async(run, self._tell)
        except asyncio.CancelledError as error:
            outcome = run.stopping or error_outcome(error, node_id=self._node_id, skip=2)
        except BaseException as error:  # noqa: B036 - as in _run_in_thread
            outcome = error_outcome(error, node_id=self._node_id, skip=2)
        self._tell(run, "over", outcome)
