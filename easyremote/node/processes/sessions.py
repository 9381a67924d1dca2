"""The supervisor's side of the processes that run shipped code.

A session is a process that keeps state between cells; shipped functions run in a pool of processes
of their owner. Both speak the node's own protocol over a socket pair, and what they say is passed
on, chunk by chunk: the node never unpickles it. Interrupts are signals from here, so that they
reach code that holds the GIL; if a process dies, its call fails with a typed error, and the node
lives. ``tests/client/test_remote.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import OrderedDict, deque
from collections.abc import Sequence

from easyremote.node.blob_store import BlobStore
from easyremote.node.folders import remove_folders
from easyremote.node.outcomes import plain_outcome
from easyremote.node.processes.pools import SESSION_IDLE, Processes
from easyremote.node.processes.process import TERMINATE_TIMEOUT, Process, RelayedCall
from easyremote.protocol.builtins import (
    CALL,
    CELL,
    COMM,
    END,
    FILES,
    HAVE,
    INPUT,
    OF_NODES,
    OUTPUT,
    RESTART,
    SEND,
    SESSION,
    SESSIONS,
    VARIABLES,
)
from easyremote.protocol.callee import Outcome, failure
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    Attach,
    Cancel,
    Delivered,
    Dispatch,
    Event,
    Finished,
    HandBack,
    Message,
    Payload,
    Seen,
    Started,
)

#: Bytes of a hash.
HASH_SIZE = 32
#: Calls whose processes are known, for those two.
KNOWN_CALLS = 1000
#: An interrupt, then SIGTERM, then SIGKILL: seconds between the first two.
INTERRUPT_TIMEOUT = 5.0


class Sessions:
    """All processes of one node that run shipped code.

    Parameters
    ----------
    pool_size
        How many processes run shipped functions of one owner at a time.
    node_id
        For error messages.
    session_idle
        A session that nobody used for so many seconds is ended.
    allow_install
        Whether sessions may install packages for themselves.
    """

    def __init__(
        self,
        pool_size: int,
        node_id: str,
        session_idle: float = SESSION_IDLE,
        *,
        allow_install: bool = True,
    ) -> None:
        #: What there is of them; who ends those that nobody uses, and all at last.
        self.processes = Processes(
            self._serve, pool_size, session_idle, allow_install=allow_install
        )
        self._node_id = node_id
        self._upstream: Link | None = None
        self._by_id: dict[bytes, RelayedCall] = {}
        self._by_number: dict[int, RelayedCall] = {}
        #: For the pool of their owner.
        self._waiting: dict[str, deque[RelayedCall]] = {}
        #: Which process has, or had, a call: by owner and call id.
        self._known: OrderedDict[tuple[str, str], Process] = OrderedDict()
        self._last = 0

    # -- the gateway's side ------------------------------------------------------------------------

    def attach(self, link: Link) -> list[RelayedCall]:
        """A connection is open; the calls to name in RESUME (`resumed` wants them back)."""
        self._upstream = link
        self._by_number.clear()
        return list(self._by_id.values())

    def detach(self, link: Link) -> None:
        """The connection broke; the processes go on."""
        if self._upstream is link:
            self._upstream = None

    def resumed(self, named: Sequence[RelayedCall], numbers: Sequence[int]) -> None:
        """The gateway's answer to RESUME: the calls' numbers now, 0 for "forget it"."""
        for call, number in zip(named, numbers, strict=False):
            if number:
                call.number = number
                self._by_number[number] = call
                self._send_again(call)
            else:
                self.stop(call, kill=False)
                self._forget(call)

    def owns(self, message: Message) -> bool:
        """Whether a message of the gateway is about a call of ours."""
        if isinstance(message, Dispatch):
            return message.function in OF_NODES
        return getattr(message, "call", 0) in self._by_number

    def receive(self, message: Message) -> None:
        """Handle a message of the gateway."""
        if isinstance(message, Dispatch):
            self._dispatch(message)
            return
        call = self._by_number.get(getattr(message, "call", 0))
        if call is None:
            return
        match message:
            case Seen() if call.process is not None:
                call.process.link.send(Seen(call.inner, message.seq))
            case Cancel():
                self.stop(call, kill=message.kill)
            case Attach():
                self._send_again(call)

    def delivered(self, number: int) -> None:
        """The outcome of this call is safe: forget it."""
        call = self._by_number.get(number)
        if call is not None and call.is_finished:
            if call.process is not None:
                call.process.link.send(Delivered((call.inner,)))
            self._forget(call)

    def _dispatch(self, message: Dispatch) -> None:
        link = self._upstream
        assert link is not None, "messages come from an attached link"
        known = self._by_id.get(message.call_id)
        if known is not None:
            link.drop(message.payload)
            if message.fence >= known.fence:
                known.fence = message.fence
                self._by_number.pop(known.number, None)
                known.number = message.call
                self._by_number[known.number] = known
                self._send_again(known)
            return
        call = RelayedCall(
            message.call,
            message.call_id,
            message.fence,
            message.function,
            message.owner,
            message.session,
            min(filter(None, (message.timeout, message.run_timeout)), default=0.0),
            message,
            link.relay(message.payload),
        )
        if call.arguments is not None:
            call.arguments.on_reset = lambda: self._arguments_lost(call)
        self._by_id[call.call_id] = call
        self._by_number[call.number] = call
        self._place(call)
        if message.queue_timeout and not call.is_running and not call.is_finished:
            loop = asyncio.get_running_loop()
            call.timers.append(loop.call_later(message.queue_timeout, self._gave_up, call))

    def _arguments_lost(self, call: RelayedCall) -> None:
        """The rest will not come, because who sent it is gone: it can't start; others can."""
        call.is_finished = True
        self._forget(call)
        self._withdraw(call)

    def _place(self, call: RelayedCall) -> None:
        """Give the call to its session's process, or to one of its owner's pool."""
        if call.function in (END, RESTART):
            self._end_session(call)
            return
        if call.function == HAVE:
            self._end(call, plain_outcome(self._known_blobs(call)))
            return
        if call.function == SESSIONS:
            self._end(call, plain_outcome(self.processes.sessions_of(call.owner)))
            return
        if call.function in (OUTPUT, INPUT):
            self._place_beside(call)
            return
        if call.function in (SEND, FILES):
            self._place_for_files(call)
            return
        if (outcome := self._without_session(call)) is not None:
            self._end(call, outcome)
            return
        if call.function in (CELL, SESSION, VARIABLES, COMM):
            self._enqueue(self.processes.session(call.owner, call.session), call)
        elif (free := self.processes.free(call.owner)) is not None:
            self._enqueue(free, call)
        else:
            self._waiting.setdefault(call.owner, deque()).append(call)

    def _place_for_files(self, call: RelayedCall) -> None:
        """Hand a call about files to its session's process, or any of its owner's, now."""
        has_session = self.processes.has_session(call.owner, call.session)
        if call.function == FILES and not has_session:
            text = f"There is no session {call.session} on {self._node_id!r}, so it has no files."
            self._end(call, failure("not-found", text, may_have_run=False))
            return
        if call.session:
            process = self.processes.session(call.owner, call.session)
        else:
            process = self.processes.any_pooled(call.owner)
        process.last_used = time.monotonic()
        call.process = process
        self._send(process, call)

    def _without_session(self, call: RelayedCall) -> Outcome | None:
        """The outcome of a call that starts no session, where there is none."""
        if self.processes.has_session(call.owner, call.session):
            return None
        if call.function == COMM:
            return plain_outcome({"is_open": False})  # its widgets went with it
        if call.function == VARIABLES:
            text = f"Node {self._node_id!r} has no such session any more."
            return failure("not-found", text, may_have_run=False)
        return None

    def _place_beside(self, call: RelayedCall) -> None:
        """Hand a call about another one to that one's process, now."""
        for (owner, call_id), process in reversed(self._known.items()):
            is_meant = owner == call.owner and call_id.startswith(call.session or "nothing")
            if is_meant and not process.is_dead:
                call.process = process
                self._send(process, call)
                return
        text = f"Node {self._node_id!r} holds nothing of a job {call.session[:8]!r}."
        self._end(call, failure("not-found", text, may_have_run=False))

    def _enqueue(self, process: Process, call: RelayedCall) -> None:
        call.process = process
        self._known[call.owner, call.call_id.hex()] = process
        if len(self._known) > KNOWN_CALLS:
            self._known.popitem(last=False)
        process.queue.append(call)
        process.origin = call.dispatch.origin or process.origin
        _note_use(process, call)
        if len(process.queue) == 1:
            self._run_next(process)

    def _run_next(self, process: Process) -> None:
        """Send the first of the queue to the process."""
        if not process.queue:
            waiting = self._waiting.get(process.owner)
            if waiting and not process.session and not process.is_dead:
                self._enqueue(process, waiting.popleft())
            return
        call = process.queue[0]
        self._send(process, call)
        call.is_running = True
        if call.timeout:
            loop = asyncio.get_running_loop()
            call.timers.append(loop.call_later(call.timeout, self._expire, call))

    def _send(self, process: Process, call: RelayedCall) -> None:
        message = call.dispatch
        self._last += 1
        call.inner = self._last
        process.calls[call.inner] = call
        payload = message.payload
        if call.arguments is not None:
            stream = call.arguments.forward(process.link)
            payload = Payload(payload.encoding, payload.size, b"", stream)
        process.link.send(
            Dispatch(
                call.inner, call.call_id, 0, call.function, payload, call.session, 0.0, call.owner
            )
        )
        message.payload = Payload()  # the process has it

    # -- the processes' side -----------------------------------------------------------------------

    def _receive_from(self, process: Process, message: Message) -> None:
        call = process.calls.get(getattr(message, "call", 0))
        if call is None:
            return
        link = self._upstream
        match message:
            case Started():
                if link is not None:
                    link.send(Started(call.number))
            case Event():
                if link is None:
                    process.link.drop(message.payload)
                else:
                    payload = process.link.pass_on(message.payload, link)
                    link.send(Event(call.number, message.seq, payload))
            case Finished():
                self._finished(process, call, message)

    def _finished(self, process: Process, call: RelayedCall, message: Finished) -> None:
        first = not call.is_finished
        call.is_finished = True
        if call.stopping is not None and message.code:
            # It reports the interrupt that stopped it; what counts is why it was stopped.
            call.outcome = call.stopping
        if call.outcome is not None:
            process.link.drop(message.payload)
            self._send_outcome(call, call.outcome, message.events)
        elif self._upstream is None:
            process.link.drop(message.payload)
        else:
            payload = process.link.pass_on(message.payload, self._upstream)
            self._upstream.send(
                Finished(
                    call.number,
                    payload,
                    message.code,
                    message.may_have_run,
                    message.seconds,
                    call.fence,
                    message.events,
                )
            )
        if first:
            self._leave(process, call)

    def _leave(self, process: Process, call: RelayedCall) -> None:
        """The call runs no more; the next one's turn."""
        for timer in call.timers:
            timer.cancel()
        call.is_running = False
        if call in process.queue:
            process.queue.remove(call)
            _note_use(process, call)
            self._run_next(process)

    def _send_again(self, call: RelayedCall) -> None:
        if call.outcome is not None and call.is_finished:
            self._send_outcome(call, call.outcome, 0)
        elif call.process is not None and call.inner:
            call.process.link.send(Attach(call.inner))

    def _send_outcome(self, call: RelayedCall, outcome: Outcome, events: int) -> None:
        if self._upstream is not None:
            payload = self._upstream.offer(outcome.parts, outcome.size, outcome.encoding)
            self._upstream.send(
                Finished(
                    call.number,
                    payload,
                    outcome.code,
                    outcome.may_have_run,
                    outcome.seconds,
                    call.fence,
                    events,
                )
            )

    # -- stopping ----------------------------------------------------------------------------------

    def stop(self, call: RelayedCall, *, kill: bool) -> None:
        """Cancel a call: an interrupt, or the end of its process."""
        if call.is_finished:
            return
        if call.function in (OUTPUT, INPUT, SEND, FILES) and call.process is not None:
            call.process.link.send(Cancel(call.inner))
        elif not call.is_running:
            self._end(call, failure("cancelled", "It was cancelled before it ran."))
        elif kill:
            call.stopping = failure("cancelled", "It was cancelled, and its process killed.")
            self._kill(call)
        else:
            if call.function == CALL:
                call.stopping = failure("cancelled", "The function was cancelled while it ran.")
                self._escalate(call)
            self._signal(call, signal.SIGINT)

    def _expire(self, call: RelayedCall) -> None:
        what = "The cell" if call.function == CELL else "The function"
        call.stopping = failure("timeout", f"{what} ran longer than {call.timeout:g} s; stopped.")
        self._signal(call, signal.SIGINT)
        self._escalate(call)

    def _gave_up(self, call: RelayedCall) -> None:
        """It has waited as long as it may, here and at the gateway."""
        if not call.is_running and not call.is_finished:
            text = f"No turn came in time: {self._busy_with(call)} It did not run."
            self._end(call, failure("timeout", text, may_have_run=False))

    def _busy_with(self, call: RelayedCall) -> str:
        if call.function == CELL:
            return f"another cell runs in this session of {self._node_id!r}."
        return f"all processes of {self._node_id!r} are busy."

    def _escalate(self, call: RelayedCall) -> None:
        """If the interrupt does not help: SIGTERM, then SIGKILL."""
        loop = asyncio.get_running_loop()
        call.timers += [
            loop.call_later(INTERRUPT_TIMEOUT, self._signal, call, signal.SIGTERM),
            loop.call_later(INTERRUPT_TIMEOUT + TERMINATE_TIMEOUT, self._kill, call),
        ]

    def _kill(self, call: RelayedCall) -> None:
        self._signal(call, signal.SIGKILL)

    def _signal(self, call: RelayedCall, number: int) -> None:
        if call.process is not None and call.is_running:
            call.process.signal(number)

    def _known_blobs(self, call: RelayedCall) -> list[bytes]:
        hashes = call.dispatch.payload.data
        starts = range(0, len(hashes), HASH_SIZE)
        store = BlobStore(call.owner, os.getpid())
        return store.known(hashes[start : start + HASH_SIZE] for start in starts)

    def _end_session(self, call: RelayedCall) -> None:
        """End a session's process with what runs in it; what waits there gets a new one."""
        process = self.processes.take_session(call.owner, call.session)
        if process is None or process.task is None:
            self._end(call, plain_outcome(False))
            return
        if process.queue:
            process.queue[0].stopping = failure("cancelled", "Its session was ended from outside.")
        process.signal(signal.SIGTERM)
        timer = asyncio.get_running_loop().call_later(
            TERMINATE_TIMEOUT, process.signal, signal.SIGKILL
        )

        def ended(_: object) -> None:
            timer.cancel()
            if call.function == RESTART:
                self.processes.session(call.owner, call.session).origin = process.origin
            self._end(call, plain_outcome(True))

        process.task.add_done_callback(ended)

    def _end(self, call: RelayedCall, outcome: Outcome) -> None:
        """An outcome of our own for a call."""
        call.is_finished = True
        call.outcome = outcome
        self._send_outcome(call, outcome, 0)
        self._withdraw(call)

    def _withdraw(self, call: RelayedCall) -> None:
        """It waits, or runs, no more."""
        for waiting in self._waiting.values():
            if call in waiting:
                waiting.remove(call)
        if call.process is not None:
            self._leave(call.process, call)

    def _forget(self, call: RelayedCall) -> None:
        self._by_id.pop(call.call_id, None)
        self._by_number.pop(call.number, None)
        if call.process is not None:
            call.process.calls.pop(call.inner, None)

    def hand_back(self) -> None:
        """Return what waits and will not run here any more."""
        numbers = []
        for waiting in self._waiting.values():
            for call in waiting:
                numbers.append(call.number)
                self._forget(call)
            waiting.clear()
        if numbers and self._upstream is not None:
            self._upstream.send(HandBack(tuple(numbers)))

    @property
    def unfinished(self) -> list[RelayedCall]:
        return [call for call in self._by_id.values() if not call.is_finished]

    # -- processes ---------------------------------------------------------------------------------

    async def _serve(self, process: Process) -> None:
        """One process, from its start to its end."""
        self._gone(process, await process.serve(self._receive_from))
        if process.popen is not None:
            await asyncio.to_thread(remove_folders, os.getpid(), process.popen.pid)

    def _gone(self, process: Process, exit_code: int) -> None:
        """The process ended: its running call fails, what waited for it gets a new one."""
        process.is_dead = True
        self.processes.remove(process)
        beside = [call for call in process.calls.values() if call not in process.queue]
        running = [call for call in process.queue if call.is_running]
        running += [call for call in beside if not call.is_finished]
        waiting = [call for call in process.queue if not call.is_running]
        process.queue.clear()
        for call in running:
            self._end(call, call.stopping or self._crash(call, exit_code))
        for call in list(process.calls.values()):
            if call.outcome is None:  # finished, but its outcome went with the process
                call.outcome = self._crash(call, exit_code)
            call.process = None
        waiting += self._waiting.pop(process.owner, ()) if not process.session else ()
        for call in waiting:
            self._place(call)

    def _crash(self, call: RelayedCall, exit_code: int) -> Outcome:
        how = f"exit code {exit_code}"
        if exit_code < 0:
            how = f"signal {signal.Signals(-exit_code).name}"
        lost = " The variables of its session are lost." if call.function == CELL else ""
        hint = " (out of memory?)" if exit_code == -signal.SIGKILL else ""
        return failure(
            "crashed",
            f"The process that ran it on {self._node_id!r} died: {how}{hint}.{lost}",
            exit_code=exit_code,
        )


def _note_use(process: Process, call: RelayedCall) -> None:
    """Its idle time begins anew, unless the call only looks at it."""
    if call.is_use:
        process.last_used = time.monotonic()
