"""The supervisor of sessions and pools, with real processes: what can go wrong around them."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from easyremote.client.client import Client
from easyremote.client.session import Session, ask_for_sessions
from easyremote.errors import CallError, EasyRemoteError, WorkerCrashed
from easyremote.node.processes.pools import FORKS_DELAY
from easyremote.protocol.builtins import CALL, CELL
from easyremote.protocol.messages import Payload, Ping, Pong, Submit
from easyremote.protocol.requests import SessionInfo
from tests.gateway.raw import hello, raw
from tests.processes import LIMIT, Gateway, end, wait_until

REQUEST: dict[str, Any] = {"count": 1, "writes": ["x"], "modules": {}}

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits of another process, and /proc")


def run_cell(client: Client, name: str, code: str = "x = 1") -> Any:
    return Session(client, "gpu-node", name).submit_cell(REQUEST | {"code": code}).result(LIMIT)


def names(client: Client) -> set[str]:
    return {each.session for each in ask_for_sessions(client, "gpu-node").result(LIMIT).sessions}


@contextmanager
def few_descriptors(node: subprocess.Popen[str], more: int) -> Iterator[None]:
    """A node that can open so many descriptors more, and not one beyond."""
    used = {int(path.name) for path in Path(f"/proc/{node.pid}/fd").iterdir()}
    free = (number for number in range(2**16) if number not in used)
    limit = [next(free) for _ in range(more + 1)][-1]
    before = resource.prlimit(node.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(node.pid, resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.prlimit(node.pid, resource.RLIMIT_NOFILE, before)


# -- the fork server


def fork_server(node: subprocess.Popen[str]) -> psutil.Process:
    """The fork server of a node, as soon as it is there."""
    wait_until(lambda: len(psutil.Process(node.pid).children()) == 1)
    return psutil.Process(node.pid).children()[0]


def process_of(client: Client, node_id: str, session: str) -> Any:
    request = REQUEST | {"code": "import os\npid = os.getpid()", "writes": ["pid"]}
    job = Session(client, node_id, session).submit_cell(request)
    return Session(client, node_id).open(job.result(LIMIT))[0]["pid"]


def test_a_node_has_a_fork_server_before_its_first_session(
    client: Client, gateway: Gateway
) -> None:
    node = gateway.start_node("ready")
    forks = fork_server(node)
    assert forks.children() == []
    first, second = process_of(client, "ready", "a"), process_of(client, "ready", "b")
    assert {child.pid for child in forks.children()} == {first, second}
    assert process_of(client, "ready", "a") == first
    end(node)
    assert not any(map(psutil.pid_exists, (forks.pid, first, second)))


def test_a_fork_server_that_was_killed_is_no_trouble(client: Client, gateway: Gateway) -> None:
    node = gateway.start_node("unlucky")
    killed = fork_server(node)
    first = process_of(client, "unlucky", "a")
    killed.kill()
    assert process_of(client, "unlucky", "b")
    wait_until(lambda: not psutil.pid_exists(first))
    assert process_of(client, "unlucky", "a") != first
    end(node)


def test_a_node_that_runs_no_code_has_no_fork_server(client: Client, gateway: Gateway) -> None:
    node = gateway.start_node("no-code", "--no-code")
    with pytest.raises(AssertionError, match="not within"):
        wait_until(lambda: psutil.Process(node.pid).children() != [], FORKS_DELAY + 0.5)
    end(node)


@linux
@pytest.mark.parametrize("more", range(4))
def test_a_session_whose_process_can_not_start_says_so_and_its_name_is_free_again(
    client: Client, node: subprocess.Popen[str], more: int
) -> None:
    name = f"limited-{more}"
    assert run_cell(client, "before")
    with few_descriptors(node, more):
        with pytest.raises(WorkerCrashed) as caught:
            run_cell(client, name)
    assert "Node 'gpu-node' can't start a process to run it" in str(caught.value)
    assert "ulimit" in str(caught.value)
    assert not caught.value.may_have_run
    assert name not in names(client)
    assert run_cell(client, name)
    assert name in names(client)


@linux
def test_a_shipped_function_whose_process_can_not_start_says_so(
    client: Client, gateway: Gateway
) -> None:
    limited = gateway.start_node("limited")  # it has no process yet
    pool = client.on("limited")
    with few_descriptors(limited, 0):
        jobs = [pool.submit(pow, 2, number) for number in range(20)]  # more than processes
        for job in jobs:
            assert isinstance(job.exception(LIMIT), WorkerCrashed)
    assert [pool.submit(pow, 2, number).result(LIMIT) for number in range(5)] == [1, 2, 4, 8, 16]
    end(limited)


def test_arguments_that_never_come_hold_no_process_and_their_session_until_their_client_goes(
    client: Client, gateway: Gateway
) -> None:
    assert run_cell(client, "shared")

    async def announce_and_use() -> asyncio.Task[Any]:
        async with raw(gateway) as stranger:  # it has the same key: the same sessions and pool
            await stranger.send(hello(gateway))
            await stranger.hear()
            for number in range(1, 41):
                function, session = ((CELL, "shared"), (CALL, ""))[number % 2]
                payload = Payload("pickle5", 100_000, b"", number)
                call_id = number.to_bytes(16, "big")
                await stranger.send(
                    Submit(number, call_id, "gpu-node", function, payload, session=session)
                )
            # The pong says that the gateway has read what was sent before.
            await stranger.send(Ping())
            while not isinstance(await stranger.hear(), Pong):
                pass
            later = asyncio.create_task(asyncio.to_thread(run_cell, client, "shared"))
            assert await asyncio.to_thread(run_cell, client, "other")
            job = client.submit(pow, 2, 5)
            assert await asyncio.to_thread(job.result, LIMIT) == 32
            assert not later.done()  # the cells of a session keep their order
        return later

    async def until_it_ran() -> None:
        assert await (await announce_and_use())

    asyncio.run(until_it_ran())


def test_a_time_that_is_not_a_number_ends_no_node(client: Client, gateway: Gateway) -> None:
    assert run_cell(client, "kept")

    async def submit() -> None:
        for value in (float("nan"), float("inf"), -1.0):
            async with raw(gateway) as stranger:
                await stranger.send(hello(gateway))
                await stranger.hear()
                submit = Submit(1, b"n" * 16, "gpu-node", CELL, Payload(), session="kept")
                submit.timeout = submit.run_timeout = value
                await stranger.send(submit)
                await stranger.closed()

    asyncio.run(submit())
    assert "kept" in names(client)


def test_a_process_that_ends_itself_ends_its_call_and_what_waits_gets_a_new_one(
    client: Client, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    wait = f"import os\n{waiting_for(gate)}"
    session = Session(client, "gpu-node", "ends-itself")
    dies = session.submit_cell(REQUEST | {"code": f"{wait}\nos._exit(7)"})
    waits = session.submit_cell(REQUEST | {"code": "y = 2"})
    gate.touch()
    error = dies.exception(LIMIT)
    assert isinstance(error, WorkerCrashed)
    assert error.exit_code == 7
    assert "exit code 7" in str(error)
    assert waits.result(LIMIT)


def test_a_cell_that_is_cancelled_while_it_waits_did_not_run(
    client: Client, tmp_path: Path
) -> None:
    gate, ran = tmp_path / "gate", tmp_path / "ran"
    wait = waiting_for(gate)
    session = Session(client, "gpu-node", "cancelled")
    first = session.submit_cell(REQUEST | {"code": wait})
    second = session.submit_cell(REQUEST | {"code": f"open({str(ran)!r}, 'w')"})
    wait_until(lambda: described(client, "cancelled").waiting == 1)
    second.cancel()
    error = second.exception(LIMIT)
    assert isinstance(error, CallError | EasyRemoteError)
    assert not error.may_have_run
    gate.touch()
    assert first.result(LIMIT)  # the one that runs was not disturbed
    assert run_cell(client, "cancelled")
    assert not ran.exists()


def described(client: Client, name: str) -> SessionInfo:
    (found,) = (
        each
        for each in ask_for_sessions(client, "gpu-node").result(LIMIT).sessions
        if each.session == name
    )
    return found


def waiting_for(gate: Path) -> str:
    return (
        "import pathlib, time\n"
        f"while not pathlib.Path({str(gate)!r}).exists():\n"
        "    time.sleep(0.05)"
    )
