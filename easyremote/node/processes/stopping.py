"""How a call in a process is stopped, and what its caller is told of it.

Signals come from here, so that they reach code that holds the GIL: SIGINT first, then SIGTERM, then
SIGKILL to the whole group of processes. A process that dies ends its call with a typed error.
``tests/node/processes/test_sessions.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Protocol

from easyremote.node.processes.process import TERMINATE_TIMEOUT, Process, RelayedCall
from easyremote.protocol.builtins import CELL, starts_work
from easyremote.protocol.call import CallState
from easyremote.protocol.held import Outcome, failure
from easyremote.protocol.messages import Cancel

#: Seconds between an interrupt and SIGTERM, where the interrupt does not help.
INTERRUPT_TIMEOUT = 5.0
_CANCELLED = "The function was cancelled while it ran."


class Keeper(Protocol):
    """What knows which process has which call."""

    def finish(self, call: RelayedCall, outcome: Outcome) -> None:
        """End a call that no process runs."""

    def withdraw(self, call: RelayedCall) -> bool:
        """Take a call back from its process; False where it has begun there, or may have."""

    def clear(self, process: Process) -> None:
        """Take back all calls but the first from a process."""


class Stopping:
    """Stops the calls of one node's processes.

    Parameters
    ----------
    node_id
        For messages.
    keeper
        Ends and takes back calls that no process runs yet.
    """

    def __init__(self, node_id: str, keeper: Keeper) -> None:
        self._node_id = node_id
        self._keeper = keeper

    def waits(self, call: RelayedCall) -> None:
        """A call waits for its turn: see to it that it does not wait too long."""
        if call.queue_timeout and not call.timers:
            loop = asyncio.get_running_loop()
            call.timers.append(loop.call_later(call.queue_timeout, self._waited_too_long, call))

    def began(self, call: RelayedCall) -> None:
        """A process runs a call now: see to it that it does not run too long."""
        limits = [limit for limit in (call.timeout, call.run_timeout) if limit]
        if limits:
            loop = asyncio.get_running_loop()
            limit = min(limits)
            call.timers.append(loop.call_later(limit, self._ran_too_long, call, limit))

    def take_over(self, call: RelayedCall, left: float) -> None:
        """Go on watching a call, of whose time so many seconds are left."""
        loop = asyncio.get_running_loop()
        if call.state is CallState.DISPATCHED:
            call.timers.append(loop.call_later(left, self._waited_too_long, call))
        elif call.stopping is not None:
            self._escalate(call)
        else:
            limit = min(limit for limit in (call.timeout, call.run_timeout) if limit)
            call.timers.append(loop.call_later(left, self._ran_too_long, call, limit))

    def left(self, call: RelayedCall) -> None:
        """A call waits and runs no more."""
        for timer in call.timers:
            timer.cancel()
        call.timers.clear()

    def stop(self, call: RelayedCall, *, kill: bool) -> None:
        """Cancel a call: take it out of its queue, interrupt it, or kill its process."""
        process = call.process
        if process is None or not call.inner or self._is_withdrawn(call):
            text = "It was cancelled before it ran."
            self._keeper.finish(call, failure("cancelled", text, may_have_run=False))
        elif call.is_function:
            text = "It was cancelled, and its process killed." if kill else _CANCELLED
            self._interrupt(call, failure("cancelled", text), kill=kill)
        elif not call.has_turn:  # a question that its process answers beside what runs
            process.link.send(Cancel(call.inner))
        elif kill:
            call.stopping = failure("cancelled", "It was cancelled, and its process killed.")
            process.signal(signal.SIGKILL)
        else:
            process.interrupt(call)

    def _is_withdrawn(self, call: RelayedCall) -> bool:
        return call.is_function and self._keeper.withdraw(call)

    def _interrupt(self, call: RelayedCall, why: Outcome, *, kill: bool = False) -> None:
        """Interrupt a function, or kill its process; no other function must be hit by that."""
        process = call.process
        assert process is not None, "a process has it"
        self._keeper.clear(process)
        if not call.runs:
            return  # it has just ended: its outcome is on its way
        call.stopping = why
        if kill:
            process.signal(signal.SIGKILL)
        else:
            process.interrupt(call)
            self._escalate(call)

    def end(self, process: Process, why: str, then: Callable[[], None]) -> None:
        """End a process with what it runs; ``then`` is called when it has ended."""
        assert process.task is not None, "it was started"
        if process.queue:
            process.queue[0].stopping = failure("cancelled", why)
        process.signal(signal.SIGTERM)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(TERMINATE_TIMEOUT, process.signal, signal.SIGKILL)

        def ended(_: object) -> None:
            timer.cancel()
            then()

        process.task.add_done_callback(ended)

    def kill(self, process: Process, why: Outcome) -> None:
        """Kill a process, and all that it has started; what it runs ends with this outcome."""
        if process.queue:
            self._keeper.clear(process)
            process.queue[0].stopping = why
        process.signal(signal.SIGKILL)

    def crash(self, call: RelayedCall, exit_code: int, *, starved: bool = False) -> Outcome:
        """The outcome of a call whose process died; the kernel may have ended it to get memory."""
        may_have_run = not call.is_function or call.has_begun
        if starved:
            return failure(
                "out-of-memory",
                f"{self._node_id!r} had no memory left, and its system killed the process that ran "
                "it. Have it use less, or run it where there is more memory.",
                may_have_run=may_have_run,
            )
        how = f"exit code {exit_code}"
        if exit_code < 0:
            how = f"signal {signal.Signals(-exit_code).name}"
        lost = " The variables of its session are lost." if call.function == CELL else ""
        return failure(
            "crashed",
            f"The process that ran it on {self._node_id!r} died: {how}.{lost}",
            may_have_run=may_have_run,
            exit_code=exit_code,
        )

    def no_process(self, error: Exception) -> Outcome:
        """The outcome of a call for which no process can be started."""
        return failure(
            "crashed",
            f"Node {self._node_id!r} can't start a process to run it: {error}. It did not run. "
            "Try again when less runs there, or have the node's owner raise its limits (ulimit -a "
            "shows them) and start it again.",
            may_have_run=False,
        )

    def _waited_too_long(self, call: RelayedCall) -> None:
        if not call.is_finished and (not call.inner or self._is_withdrawn(call)):
            busy = f"all processes of {self._node_id!r} are busy."
            if call.function == CELL:
                busy = f"another cell runs in this session of {self._node_id!r}."
            text = f"No turn came in time: {busy} It did not run."
            self._keeper.finish(call, failure("timeout", text, may_have_run=False))

    def _ran_too_long(self, call: RelayedCall, limit: float) -> None:
        is_starting = call.is_function and not call.has_begun
        if is_starting or (call.process is not None and call.process.is_paused):
            loop = asyncio.get_running_loop()
            call.timers.append(loop.call_later(limit, self._ran_too_long, call, limit))
            return
        what = "The cell" if call.function == CELL else "The function"
        self._end(call, failure("timeout", f"{what} ran longer than {limit:g} s; stopped."))

    def make_way(self, process: Process, why: str) -> None:
        """End what a process runs, because its machine is not lent any more. Safe to repeat."""
        call = process.queue[0] if process.queue else None
        if call is None or call.stopping is not None or not starts_work(call.function):
            return
        if _is_met(call):
            text = (
                f"The owner of {self._node_id!r} has what runs there cancelled when the machine is "
                f"not lent any more (--when-busy cancel): {why}."
            )
            self._end(call, failure("cancelled", text))

    def _end(self, call: RelayedCall, why: Outcome) -> None:
        """End a call that runs, whatever it takes."""
        if call.is_function:
            self._interrupt(call, why)
        else:
            call.stopping = why
            if call.process is not None and _is_met(call):
                call.process.interrupt(call)
            self._escalate(call)

    def _escalate(self, call: RelayedCall) -> None:
        """If the interrupt does not help: SIGTERM, then SIGKILL."""
        loop = asyncio.get_running_loop()
        kill_after = INTERRUPT_TIMEOUT + TERMINATE_TIMEOUT
        call.timers += [
            loop.call_later(INTERRUPT_TIMEOUT, self._signal, call, signal.SIGTERM),
            loop.call_later(kill_after, self._signal, call, signal.SIGKILL),
        ]

    def _signal(self, call: RelayedCall, number: int) -> None:
        if call.process is not None and _is_met(call):
            call.process.signal(number)


def _is_met(call: RelayedCall) -> bool:
    """Whether a signal to its process meets this call."""
    return call.runs if call.is_function else call.has_turn
