"""What is left of processes and their calls; the test plays the processes and the gateway."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from easyremote.node.handover.processes import Left, is_settled, take_over
from easyremote.node.handover.state import State, read, written
from easyremote.node.ledger import memory_file
from easyremote.node.policy import NodePolicy
from easyremote.node.processes.fork_server import Child
from easyremote.node.processes.process import Process, RelayedCall
from easyremote.node.processes.sessions import Sessions
from easyremote.node.spool import NodeSpool
from easyremote.options.requirements import Requirements
from easyremote.protocol.builtins import CELL
from easyremote.protocol.call import CallState
from easyremote.protocol.frames import control_record
from easyremote.protocol.held import failure
from easyremote.protocol.link import Link, Standing
from easyremote.protocol.messages import Dispatch, Finished, Message, Payload, encode
from tests.processes import LIMIT
from tests.protocol.wires import open_link

pytestmark = pytest.mark.asyncio

NEEDS = Requirements(gpu=1, gpu_memory=5)
PID = 4711


class FakeChild:
    """A process that lives until it is told to end."""

    pid = PID

    def __init__(self) -> None:
        self.exit_code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGKILL) and not self.exit_code.done():
            self.exit_code.set_result(-number)

    async def wait(self) -> int:
        return await asyncio.shield(self.exit_code)


class Node:
    """A supervisor with one process, whose side of the link the test has."""

    def __init__(self, folder: Path) -> None:
        self.child = FakeChild()
        policy = NodePolicy(slots=4, processes=4, allow_code=True)
        self.sessions = Sessions("gpu-node", policy, NodeSpool(folder, "gpu-node", "key"))
        self.link = open_link()
        self.sessions.calls.attach(self.link)

    @property
    def process(self) -> Process:
        (process,) = self.sessions.processes
        return process

    def start(self, session: str, descriptors: tuple[int, int]) -> None:
        process = Process("ann", session, {})
        child = cast(Child, self.child)
        process.take_over(child, descriptors, Standing(b"", 0, 0), is_paused=False)
        self.sessions.processes.take_over(process)
        process.is_retired = False

    def dispatch(self, number: int, function: str = CELL, **more: Any) -> RelayedCall:
        payload = Payload("pickle5", 3, b"abc")
        message = Dispatch(
            number, bytes([number]) * 16, 1, function, payload, "s", owner="ann", **more
        )
        self.sessions.calls.receive(message)
        return next(call for call in self.sessions.calls.all if call.call == number)

    def state(self) -> State:
        left = Left(self.sessions, asyncio.get_running_loop().time())
        for process in left.processes:  # the test is one process: it can't inherit them
            process.descriptors = (os.dup(process.descriptors[0]), os.dup(process.descriptors[1]))
        return State(
            is_trial=False,
            instance=b"",
            started=0.0,
            began=0.0,
            asker=0,
            rules={},
            forks=[],
            processes=left.processes,
            relayed=left.relayed,
            relayed_before=self.sessions.calls.forgotten,
            registered=[],
            registered_before=b"",
            known=left.known,
            promises=left.promises,
        )

    def take_over(self, state: State) -> None:
        forks: Any = self.sessions.processes.forks
        forks.take_over = lambda handed: {PID: self.child}
        take_over(self.sessions, read(written(state)))

    async def close(self) -> None:
        for call in self.sessions.calls.unfinished:  # else what waits gets a process of its own
            self.sessions.calls.finish(call, failure("lost", "The test is over."))
        await self.sessions.processes.close()


@pytest_asyncio.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[tuple[Node, Node]]:
    """A program of a node, and the one that takes over."""
    both = Node(tmp_path), Node(tmp_path)
    yield both
    for each in both:
        await each.close()


@pytest.fixture
def theirs() -> Iterator[tuple[socket.socket, tuple[int, int]]]:
    """A process's end of its link, and what its supervisor gets."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(LIMIT)
    yield theirs, (ours.detach(), memory_file())
    theirs.close()


async def heard(sock: socket.socket, link: Link) -> list[Message]:
    """What a supervisor has said to a process."""
    return list(link.receive_data(await asyncio.to_thread(sock.recv, 65536), 0.0))


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT):
        while not is_so():
            await asyncio.sleep(0.001)


async def test_the_next_program_goes_on_with_the_queue_of_a_session(
    nodes: tuple[Node, Node], theirs: tuple[socket.socket, tuple[int, int]]
) -> None:
    before, after = nodes
    sock, descriptors = theirs
    before.start("s", descriptors)
    runs = before.dispatch(1, run_timeout=600.0, needs=Requirements(memory=7))
    waits = before.dispatch(2, queue_timeout=600.0)
    assert not before.process.is_quiet, "the first one was not sent yet"
    await until(lambda: is_settled(before.sessions) and before.process.is_quiet)
    link = open_link()
    (first,) = await heard(sock, link)
    assert isinstance(first, Dispatch)
    before.sessions.gpus.promises.promise(runs.call_id, before.process, ("GPU-1",), NEEDS)
    runs.needs = NEEDS
    before.process.promised, before.process.devices = 7, ("GPU-1",)
    ended = control_record(encode(Finished(first.call, Payload("pickle5", 1, b"v"))))
    sock.sendall(ended[:7])  # the program is replaced in the middle of what the process says
    await until(lambda: before.process.link.standing.rest == ended[:7])
    before.process.hold()
    after.take_over(before.state())
    process = after.process
    assert (process.session, process.promised, process.devices) == ("s", 7, ("GPU-1",))
    first_again, second_again = process.queue
    assert [first_again.call_id, second_again.call_id] == [runs.call_id, waits.call_id]
    assert (first_again.state, second_again.state) == (CallState.RUNNING, CallState.DISPATCHED)
    assert all(0 < call.timers[0].when() - _now() <= 600.0 for call in process.queue)
    assert list(after.sessions.gpus.promises) == [(runs.call_id, process, ("GPU-1",))]
    assert after.sessions.known.find("ann", runs.call_id.hex()) is process
    assert after.sessions.calls.attach(after.link) == [first_again, second_again]
    # The process ends the first call; the second one comes to it, with its arguments.
    sock.sendall(ended[7:])
    await until(lambda: first_again.is_finished)
    (second,) = await heard(sock, link)
    assert isinstance(second, Dispatch)
    assert (second.call_id, second.payload.data) == (waits.call_id, b"abc")


async def test_a_call_that_nobody_wants_any_more_still_occupies_its_process(
    nodes: tuple[Node, Node], theirs: tuple[socket.socket, tuple[int, int]]
) -> None:
    before, after = nodes
    before.start("s", theirs[1])
    before.dispatch(1)
    await until(lambda: before.process.is_quiet)
    before.sessions.calls.resumed(before.sessions.calls.attach(before.link), (0,))
    assert before.sessions.calls.all == []
    before.process.hold()
    after.take_over(before.state())
    assert after.sessions.calls.all == []
    assert len(after.process.calls) == 1
    assert after.sessions.calls.forgotten == bytes([1]) * 16


async def test_a_process_of_functions_gets_no_new_call_and_ends_when_it_has_none(
    nodes: tuple[Node, Node], theirs: tuple[socket.socket, tuple[int, int]]
) -> None:
    before, after = nodes
    before.start("", theirs[1])
    await until(lambda: before.process.is_quiet)
    before.process.hold()
    after.take_over(before.state())
    assert after.process.is_ending, "it has no call"
    assert not after.process.is_free
    assert after.sessions.processes.may_grow("ann")


def _now() -> float:
    return asyncio.get_running_loop().time()
