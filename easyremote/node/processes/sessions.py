"""Which process has which call: the supervisor of the processes that run shipped code.

A session is a process that keeps state between cells; shipped functions run in a pool of processes
of their owner. A call takes its place when its arguments are whole. Each process runs one call at a
time, the first of its queue; questions about what runs, and files, go beside the queue. The node
never unpickles what it passes on (``relay.py``).
``tests/node/processes/test_sessions.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence

from easyremote.errors import EasyRemoteError
from easyremote.node.folders import remove_folders
from easyremote.node.policy import NodePolicy
from easyremote.node.processes.blob_calls import BlobCalls
from easyremote.node.processes.gpu_gate import GpuGate
from easyremote.node.processes.known import KnownCalls
from easyremote.node.processes.memory import MemoryWatch
from easyremote.node.processes.pools import Pool, Processes
from easyremote.node.processes.process import Process, RelayedCall, memory_of
from easyremote.node.processes.relay import RelayedCalls
from easyremote.node.processes.stopping import Stopping
from easyremote.node.spool import NodeSpool
from easyremote.protocol.builtins import (
    BUILTINS,
    COMM,
    END,
    FILES,
    HAVE,
    INPUT,
    KEEP,
    OUTPUT,
    RESTART,
    SEND,
    SESSIONS,
    VARIABLES,
)
from easyremote.protocol.call import CallState
from easyremote.protocol.held import Outcome, failure, plain_outcome
from easyremote.protocol.messages import Message, Resources
from easyremote.protocol.requests import SessionsAnswer, WidgetAnswer

#: A function that runs for so many seconds holds up what was sent ahead behind it.
SLOW = 0.01

_log = logging.getLogger("easyremote.node")


class Sessions:
    """The supervisor of one node.

    Parameters
    ----------
    node_id
        For messages.
    policy
        How many processes there are, and how long they are kept.
    spool
        Keeps durable calls.
    """

    def __init__(self, node_id: str, policy: NodePolicy, spool: NodeSpool) -> None:
        self._node_id, self._spool = node_id, spool
        self.processes = Processes(self._serve, policy)
        self.calls = RelayedCalls(self, spool)
        self.stopping = Stopping(node_id, self)
        self._blobs = BlobCalls(self.finish)
        self.memory = MemoryWatch(self.processes, self.stopping.kill)
        self.gpus = GpuGate(node_id, self, self.processes, self.stopping)
        self.known = KnownCalls()
        #: All processes, from their start to their end: also those that are no session's any more.
        self.alive: set[Process] = set()
        #: The builtins whose calls wait in no queue, and who answers them.
        self.at_once: dict[str, Callable[[RelayedCall], None]] = {
            END: self._end_session,
            RESTART: self._end_session,
            HAVE: self._blobs.have,
            KEEP: self._blobs.keep,
            SESSIONS: self._answer_sessions,
            OUTPUT: self._place_beside,
            INPUT: self._place_beside,
            SEND: self._place_for_files,
            FILES: self._place_for_files,
        }

    # -- what `RelayedCalls` asks ------------------------------------------------------------------

    def place(self, call: RelayedCall) -> None:
        """Give a call to its session's process, or to one of its owner's pool."""
        row = BUILTINS.get(call.function)
        if row is not None and call.encoding != row.encoding:
            text = f"{call.function} takes no arguments in {call.encoding[:80]!r}."
            self.calls.finish(call, failure("protocol", text, may_have_run=False))
        elif (at_once := self.at_once.get(call.function)) is not None:
            at_once(call)
        elif self.gpus.concerns(call):
            self.gpus.ask(call)
        elif call.is_function:
            self._place_in_pool(call)
        else:
            self.run(call)

    def stop(self, call: RelayedCall, *, kill: bool) -> None:
        """Stop a call that has no outcome yet."""
        self.stopping.stop(call, kill=kill)

    def left(self, call: RelayedCall) -> None:
        """A call waits and runs no more; its process is free for the next one."""
        self.stopping.left(call)
        self.gpus.left(call)
        process = call.process
        if process is None:
            waiting = self.processes.pool(self.processes.pool_name(call)).waiting
            if call in waiting:
                waiting.remove(call)
        elif call in process.queue:
            if process.queue[0] is call:
                process.is_slow = False
            process.queue.remove(call)
            process.note_use(call)
            if call.is_done and call.is_function:
                pool = self.processes.pool(process.owner)
                pool.ran(call.seconds)
                self._run_next(process)
                self._send_ahead(pool)
            else:
                self._run_next(process)

    def freed(self, process: Process) -> None:
        """A process may be free for the next call: one came back from it, or is over."""
        self._run_next(process)
        self.processes.end_retired(process)

    # -- what `Stopping` asks ----------------------------------------------------------------------

    def finish(self, call: RelayedCall, outcome: Outcome) -> None:
        """End a call with an outcome of the node's own."""
        self.calls.finish(call, outcome)

    def withdraw(self, call: RelayedCall) -> bool:
        """Take a call back from its process; False where it has begun there, or may have."""
        process = call.process
        if process is None or process.ledger is None or not self.calls.take_back(call):
            return False
        self._run_next(process)
        return True

    def clear(self, process: Process) -> None:
        """Take back what was sent ahead to a process and has not begun there; it waits again."""
        pool = self.processes.pool(process.owner)
        back = [c for c in list(process.queue)[1:] if c.inner and self.calls.take_back(c)]
        pool.waiting.extendleft(reversed(back))
        while pool.waiting and (free := self.processes.free(process.owner)) is not None:
            self.run_at(free, pool.waiting.popleft())

    def hand_back(self) -> None:
        """Return the calls that wait for a process and will get none here any more."""
        self.turn_away([*self.processes.waiting(), *self.gpus.take_all()])

    # -- what `GpuGate` asks -----------------------------------------------------------------------

    def run(self, call: RelayedCall) -> None:
        """Have the process of its session run a call that needs no GPU."""
        if (outcome := self._without_session(call)) is not None:
            self.calls.finish(call, outcome)
        else:
            self.run_at(self.processes.session(call.owner, call.session), call)

    def end_process(self, process: Process, why: str) -> None:
        """End a process; no call goes to it any more."""
        self.processes.remove(process)
        self.stopping.end(process, why, lambda: self.gpus.gone(process))

    def turn_away(self, calls: Sequence[RelayedCall], reading: Resources | None = None) -> None:
        """Hand calls back: there is too little for them now, as the reading says."""
        for call in calls:
            self.stopping.left(call)
        self.calls.hand_back(calls, reading)

    def make_way(self, why: str) -> None:
        """End what runs, because the machine is not lent any more. Safe to repeat."""
        self.hand_back()
        for process in self.processes:
            for call in [each for each in process.queue if not each.inner]:
                process.queue.remove(call)
                call.process = None
                self.stopping.left(call)
                self.calls.hand_back([call])
            self.stopping.make_way(process, why)

    # -- queues ------------------------------------------------------------------------------------

    def _place_in_pool(self, call: RelayedCall) -> None:
        owner = self.processes.pool_name(call)
        free = self.processes.free(owner)
        if free is not None:
            self.run_at(free, call)
            return
        pool = self.processes.pool(owner)
        pool.waiting.append(call)
        self.stopping.waits(call)
        self._send_ahead(pool)

    def _send_ahead(self, pool: Pool) -> None:
        """Send what waits to processes that are busy with quick functions."""
        while pool.waiting and (process := pool.ahead(pool.waiting[0])) is not None:
            call = pool.waiting.popleft()
            self._note_place(process, call)
            self.calls.send_ahead(process, call)
            if process.watched is None:
                self._watch(process)

    def _watch(self, process: Process) -> None:
        """See to it that nothing waits behind a function that turns out to be slow."""

        def look() -> None:
            process.watched = None
            if len(process.queue) < 2:
                return
            if process.queue[0] is head:
                process.is_slow = True
                self.clear(process)
            else:
                self._watch(process)

        head = process.queue[0]
        process.watched = asyncio.get_running_loop().call_later(SLOW, look)

    def run_at(self, process: Process, call: RelayedCall) -> None:
        """Have a process run a call after those that it has."""
        self._note_place(process, call)
        self._run_next(process)
        if not call.inner:
            self.stopping.waits(call)

    def _note_place(self, process: Process, call: RelayedCall) -> None:
        call.process = process
        self.known.note(call.owner, call.call_id.hex(), process)
        process.queue.append(call)
        process.origin = call.origin or process.origin
        process.note_use(call)

    def _run_next(self, process: Process) -> None:
        """Send the first of the queue to the process, unless it has it already."""
        if not process.queue:
            if not process.session and not process.is_dead and process.is_free:
                waiting = self.processes.pool(process.owner).waiting
                if waiting:
                    self.run_at(process, waiting.popleft())
            return
        call = process.queue[0]
        is_next = call.state is CallState.DISPATCHED and not process.is_dead
        if is_next and self._spool.has_begun(call, self._noted):
            self.stopping.left(call)  # it waits no more
            process.promised = max(process.promised, memory_of(call))
            if call.inner:
                self.calls.begins(call)
            else:
                self.calls.pass_to(process, call)
            self.stopping.began(call)

    def _noted(self, call: RelayedCall, refusal: Outcome | None) -> None:
        """The disk has taken that a durable call begins, or has not."""
        if refusal is not None and not call.is_finished:
            self.calls.finish(call, refusal)
        elif call.process is not None:
            self._run_next(call.process)

    def _without_session(self, call: RelayedCall) -> Outcome | None:
        """The outcome of a call that starts no session, where there is none."""
        if self.processes.has_session(call.owner, call.session):
            return None
        if call.function == COMM:
            return plain_outcome(WidgetAnswer(is_open=False))  # its widgets went with it
        if call.function == VARIABLES:
            text = f"Node {self._node_id!r} has no such session any more."
            return failure("not-found", text, may_have_run=False)
        return None

    # -- beside the queues -------------------------------------------------------------------------

    def _place_for_files(self, call: RelayedCall) -> None:
        """Hand a call about files to its session's process, or any of its owner's, now."""
        if call.function == FILES and not self.processes.has_session(call.owner, call.session):
            text = f"There is no session {call.session} on {self._node_id!r}, so it has no files."
            self.calls.finish(call, failure("not-found", text, may_have_run=False))
            return
        if call.session:
            process = self.processes.session(call.owner, call.session)
        else:
            process = self.processes.any_pooled(call.owner)
        process.last_used = time.monotonic()
        self.calls.pass_to(process, call)

    def _place_beside(self, call: RelayedCall) -> None:
        """Hand a call about another one to that one's process, now."""
        if (process := self.known.find(call.owner, call.session)) is not None:
            self.calls.pass_to(process, call)
            return
        text = f"Node {self._node_id!r} holds nothing of a job {call.session[:8]!r}."
        self.calls.finish(call, failure("not-found", text, may_have_run=False))

    def _answer_sessions(self, call: RelayedCall) -> None:
        answer = SessionsAnswer(self.processes.sessions_of(call.owner))
        self.calls.finish(call, plain_outcome(answer))

    def _end_session(self, call: RelayedCall) -> None:
        """End a session's process with what runs in it; what waits there gets a new process."""
        process = self.processes.take_session(call.owner, call.session)
        if process is None or process.task is None:
            self.calls.finish(call, plain_outcome(False))
            return

        def ended() -> None:
            if call.function == RESTART:
                self.processes.session(call.owner, call.session).origin = process.origin
            self.calls.finish(call, plain_outcome(True))

        self.stopping.end(process, "Its session was ended from outside.", ended)

    # -- processes ---------------------------------------------------------------------------------

    async def _serve(self, process: Process) -> None:
        """One process, from its start to its end."""
        self.alive.add(process)
        try:
            if process.child is None:  # else the program before this one has started it
                await process.start(self.processes.forks)
        except Exception as error:  # whatever it was, the calls that wait for the process are told
            _log.exception("No process can be started for %s.", process.title)
            self._not_started(process, error)
        else:
            await self._until_ended(process)
        finally:
            self.alive.discard(process)

    async def _until_ended(self, process: Process) -> None:
        exit_code = await process.serve(self._receive_from)
        try:
            self._gone(process, exit_code)
        except Exception:  # a mistake of ours: the node goes on
            _log.exception("The end of the process of %s can't be handled.", process.title)
        if process.child is not None:
            await asyncio.to_thread(remove_folders, os.getpid(), process.child.pid)

    def _receive_from(self, process: Process, message: Message) -> None:
        try:
            self.calls.receive_from(process, message)
        except EasyRemoteError:
            raise  # the process broke the protocol: it is ended
        except Exception:
            kind = type(message).__name__
            _log.exception("A %s of the process of %s can't be handled.", kind, process.title)
            call = process.calls.get(getattr(message, "call", 0))
            if call is not None:
                text = f"Node {self._node_id!r} can't handle a {kind} of the process that ran it."
                self.calls.finish(call, failure("internal", text))

    def _not_started(self, process: Process, error: Exception) -> None:
        """There is no process: its calls fail, and its name is free again."""
        process.is_dead = True
        self.processes.remove(process)
        calls = [*process.queue, *(call for call in process.calls.values() if not call.has_turn)]
        pool = self.processes.pool(process.owner)
        if not process.session and not pool.processes:
            calls += pool.waiting  # nobody else would take them
            pool.waiting.clear()
        process.queue.clear()
        for call in calls:
            self.calls.lost(process, call, self.stopping.no_process(error))

    def _gone(self, process: Process, exit_code: int) -> None:
        """The process ended: its calls fail, what waited for it gets a new one."""
        process.is_dead = True
        self.processes.remove(process)
        self.calls.hear_last(process)
        waiting = [call for call in process.queue if not call.inner]
        sent = [call for call in process.queue if call.inner]
        waiting += [c for c in sent if c.state is CallState.DISPATCHED and self.calls.take_back(c)]
        process.queue.clear()
        for call in list(process.calls.values()):
            outcome = self.stopping.crash(call, exit_code, starved=self.memory.starved(exit_code))
            if call.stopping is not None and not call.is_finished:
                outcome = call.stopping
            self.calls.lost(process, call, outcome)
        self.gpus.gone(process)
        if not process.session:
            pool = self.processes.pool(process.owner)
            waiting += pool.waiting
            pool.waiting.clear()
        for call in waiting:
            call.process = None
            self.place(call)
        process.close()
