"""What a program leaves of its processes and their calls, and how the next one goes on with them.

A process holds its calls itself, with all that nobody has seen yet (`Callee`), and says it again
after RESUMED. So what is left here is only which process has which calls, and in which order.
``tests/node/handover/test_processes.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Sequence

from easyremote.node.handover.state import (
    Ending,
    ProcessLeft,
    RelayedCallLeft,
    State,
    blank,
    common,
)
from easyremote.node.processes.fork_server import Child
from easyremote.node.processes.process import Process, RelayedCall
from easyremote.node.processes.sessions import Sessions

__all__ = ["Left", "is_settled", "take_over"]


class Left:
    """All that is left of the processes of a node, and of the calls that are passed on to them.

    Parameters
    ----------
    sessions
        The supervisor; it changes nothing meanwhile.
    now
        On the event loop's clock.
    """

    def __init__(self, sessions: Sessions, now: float) -> None:
        self._processes = [each for each in sessions.processes if each.child is not None]
        self._places = {process: place for place, process in enumerate(self._processes)}
        held = sessions.calls.all
        unwanted = [call for each in self._processes for call in each.calls.values()]
        self._calls = list(dict.fromkeys([*held, *unwanted]))
        self._call_places = {call: place for place, call in enumerate(self._calls)}
        is_held = set(held)
        self.relayed = [_call(call, call in is_held, now) for call in self._calls]
        self.processes = [self._process(process) for process in self._processes]
        self.known = [
            (owner, call_id, self._places[process])
            for owner, call_id, process in sessions.known
            if process in self._places
        ]
        self.promises = [
            (call, self._places[process], uuids)
            for call, process, uuids in sessions.gpus.promises
            if isinstance(call, bytes) and isinstance(process, Process)
        ]

    def _process(self, process: Process) -> ProcessLeft:
        return ProcessLeft(
            pid=process.pid,
            descriptors=process.descriptors,
            standing=process.link.standing,
            owner=process.owner,
            session=process.session,
            queue=[self._call_places[call] for call in process.queue],
            calls=[self._call_places[call] for call in process.calls.values()],
            last=process.last,
            withdrawn=sorted(process.withdrawn),
            last_used=process.last_used,
            origin=process.origin,
            devices=process.devices,
            promised=process.promised,
            is_paused=process.is_paused,
        )


def _call(call: RelayedCall, is_held: bool, now: float) -> RelayedCallLeft:
    return RelayedCallLeft(
        **common(call),
        encoding=call.encoding,
        arguments=bytes(call.arguments),
        inner=call.inner,
        is_done=call.is_done,
        seconds=call.seconds,
        stopping=Ending.of(call.stopping),
        left=max(call.timers[0].when() - now, 0.0) if call.timers else None,
        is_held=is_held,
    )


def is_settled(sessions: Sessions) -> bool:
    """Whether each call has its process, and no process begins or ends."""
    processes = list(sessions.processes)
    are_there = sessions.alive == set(processes) and all(
        process.child is not None and not process.is_ending for process in processes
    )
    return are_there and all(call.process is not None for call in sessions.calls.unfinished)


def take_over(sessions: Sessions, state: State) -> None:
    """Go on with the processes and calls of the program before this one."""
    children = sessions.processes.forks.take_over(state.forks)
    calls = [_restored(call) for call in state.relayed]
    processes = [_taken_over(process, children[process.pid], calls) for process in state.processes]
    pairs = list(zip(calls, state.relayed, strict=True))
    sessions.calls.take_over((call for call, left in pairs if left.is_held), state.relayed_before)
    for call, left in pairs:
        if left.left is not None:
            sessions.stopping.take_over(call, left.left)
    for owner, name, place in state.known:
        sessions.known.note(owner, name, processes[place])
    needs = {call.call_id: call.needs for call in calls}
    for call_id, place, uuids in state.promises:
        if (needed := needs.get(call_id)) is not None:
            sessions.gpus.promises.promise(call_id, processes[place], uuids, needed)
    _go_on(sessions, processes)


def _go_on(sessions: Sessions, processes: Sequence[Process]) -> None:
    for process in processes:
        sessions.processes.take_over(process)
    for process in processes:
        if process.is_retired:
            sessions.clear(process)  # what has not begun there gets a process of the newer code
        sessions.freed(process)


def _restored(left: RelayedCallLeft) -> RelayedCall:
    call = blank(RelayedCall)
    left.restore(call)
    call.encoding, call.arguments = left.encoding, left.arguments
    call.inner, call.is_done, call.seconds = left.inner, left.is_done, left.seconds
    call.stopping = left.stopping.outcome() if left.stopping is not None else None
    return call


def _taken_over(left: ProcessLeft, child: Child, calls: Sequence[RelayedCall]) -> Process:
    process = Process(left.owner, left.session, {})
    process.take_over(child, left.descriptors, left.standing, is_paused=left.is_paused)
    process.queue.extend(calls[place] for place in left.queue)
    process.calls = {calls[place].inner: calls[place] for place in left.calls}
    for place in {*left.queue, *left.calls}:
        calls[place].process = process
    process.last, process.withdrawn = left.last, set(left.withdrawn)
    process.last_used, process.origin = left.last_used, left.origin
    process.devices, process.promised = left.devices, left.promised
    return process
