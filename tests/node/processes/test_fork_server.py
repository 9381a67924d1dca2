"""`ForkServer` with real processes: what they get, what ends them, and what the node is told."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from easyremote.config import KEY_VARIABLE
from easyremote.node.ledger import memory_file
from easyremote.node.processes import fork_server as module
from easyremote.node.processes.fork_server import Child, ForkServer
from tests.processes import LIMIT

pytestmark = pytest.mark.asyncio
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, limits another process")


class Started:
    """A process that a fork server has started, with our end of its link."""

    def __init__(self, child: Child, link: socket.socket) -> None:
        self.child, self.link = child, link
        self.seen = psutil.Process(child.pid)

    async def end(self) -> int:
        self.child.signal(signal.SIGKILL)
        exit_code = await self.exit_code()
        self.link.close()  # before, it would end by itself
        return exit_code

    async def exit_code(self) -> int:
        async with asyncio.timeout(LIMIT):
            return await self.child.wait()


async def started(forks: ForkServer) -> Started:
    ours, theirs = socket.socketpair()
    ledger = memory_file()
    try:
        child = await forks.start([], [theirs.fileno(), ledger], {})
    finally:
        theirs.close()
        os.close(ledger)
    return Started(child, ours)


@contextmanager
def limited(process: psutil.Process, limit: int, most: int) -> Iterator[None]:
    """A process for which a limit of the system is lower for a while."""
    before = resource.prlimit(process.pid, limit)
    resource.prlimit(process.pid, limit, (most, before[1]))
    try:
        yield
    finally:
        resource.prlimit(process.pid, limit, before)


def parent_of(started: Started) -> psutil.Process:
    parent = started.seen.parent()
    assert parent is not None
    return parent


async def test_all_processes_have_one_parent_which_is_a_child_of_the_node(
    forks: ForkServer,
) -> None:
    one, other = await started(forks), await started(forks)
    assert parent_of(one) == parent_of(other)
    assert parent_of(one).ppid() == os.getpid()
    async with asyncio.timeout(LIMIT):
        while os.getpgid(one.child.pid) != one.child.pid:  # a moment after it was started
            await asyncio.sleep(0.001)
    assert [await one.end(), await other.end()] == [-signal.SIGKILL] * 2


@linux
async def test_the_system_shows_no_key_of_the_node_to_its_processes(
    forks: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "er_node_secret")
    one = await started(forks)
    for process in (one.seen, parent_of(one)):
        shown = Path(f"/proc/{process.pid}/environ").read_bytes()
        assert b"PATH=" in shown
        assert b"er_node_secret" not in shown
    await one.end()


async def test_a_process_whose_link_closes_ends_and_the_node_hears_how(forks: ForkServer) -> None:
    one = await started(forks)
    one.link.close()
    assert await one.exit_code() == 0
    one.child.signal(signal.SIGTERM)  # too late, and no error


async def test_a_signal_meets_a_process_that_was_started_just_now(forks: ForkServer) -> None:
    many = [await started(forks) for _ in range(10)]
    for each in many:
        each.child.signal(signal.SIGTERM)
    assert [await each.exit_code() for each in many] == [-signal.SIGTERM] * 10


async def test_a_fork_server_that_is_killed_takes_its_processes_along_and_another_one_follows(
    forks: ForkServer,
) -> None:
    one = await started(forks)
    first = parent_of(one)
    first.kill()
    assert await one.exit_code() == -signal.SIGKILL
    psutil.wait_procs([one.seen], LIMIT)
    assert not one.seen.is_running()
    async with asyncio.timeout(LIMIT):
        while first.is_running():  # until its exit code is collected
            await asyncio.sleep(0.01)
    other = await started(forks)
    assert parent_of(other) != first
    await other.end()


async def test_a_fork_server_that_dies_unheard_while_a_process_is_wanted_is_replaced(
    forks: ForkServer,
) -> None:
    one = await started(forks)
    first = parent_of(one)
    first.suspend()
    wanted = asyncio.create_task(started(forks))
    await asyncio.sleep(0)  # the task begins, and asks the fork server that does nothing
    first.kill()
    async with asyncio.timeout(LIMIT):
        other = await wanted
    assert parent_of(other) != first
    await other.end()


async def test_a_fork_server_that_does_not_answer_is_ended(
    forks: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await started(forks)
    first = parent_of(one)
    first.suspend()
    monkeypatch.setattr(module, "START_TIMEOUT", 0.1)
    with pytest.raises(RuntimeError, match=r"no process within 0\.1 s"):
        await started(forks)
    monkeypatch.undo()
    assert await one.exit_code() == -signal.SIGKILL
    other = await started(forks)
    assert parent_of(other) != first
    await other.end()


@linux
@pytest.mark.parametrize("more", range(4))
async def test_a_fork_server_that_has_no_descriptor_left_says_so_and_goes_on(
    forks: ForkServer, more: int
) -> None:
    one = await started(forks)
    server = parent_of(one)
    used = {int(path.name) for path in Path(f"/proc/{server.pid}/fd").iterdir()}
    free = [number for number in range(100) if number not in used]
    with limited(server, resource.RLIMIT_NOFILE, free[more]):
        if more < 3:
            with pytest.raises(OSError, match="Too many open files"):
                await started(forks)
        else:
            await (await started(forks)).end()
    other = await started(forks)
    assert parent_of(other) == server
    assert {int(path.name) for path in Path(f"/proc/{server.pid}/fd").iterdir()} == used
    await one.end()
    await other.end()


async def test_the_end_of_a_fork_server_is_that_of_its_processes(forks: ForkServer) -> None:
    one = await started(forks)
    server = parent_of(one)
    await forks.close()
    assert await one.exit_code() == -signal.SIGKILL
    psutil.wait_procs([one.seen], LIMIT)
    assert not server.is_running()
    assert not one.seen.is_running()
