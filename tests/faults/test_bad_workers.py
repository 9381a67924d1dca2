"""Code that does its process harm: the right error, soon; nobody else is hurt; nothing is left."""

from __future__ import annotations

import inspect
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from easyremote.client.client import Client
from easyremote.client.job import RemoteJob
from easyremote.client.session import Session
from easyremote.errors import (
    CallCancelled,
    CallTimeout,
    OutOfMemory,
    PoisonCall,
    RemoteError,
    WorkerCrashed,
)
from tests.faults import bad_program as bad
from tests.node.processes.test_sessions import REQUEST
from tests.processes import LIMIT, Gateway, end, wait_until

#: Seconds in which an error comes, and those for which this machine may be busy otherwise.
SOON, BUSY = 2.0, 8.0
PROGRAM = Path(bad.__file__)
WAYS = ("registered", "shipped", "cell")
DEATHS = {
    "segfault": -signal.SIGSEGV,
    "leave": 7,
    "kill_itself": -signal.SIGKILL,
    "abort": -signal.SIGABRT,
    "fork_bomb": 9,
}


@pytest.fixture(scope="module")
def bad_node(gateway: Gateway) -> Iterator[psutil.Process]:
    process = gateway.start_node("bad", str(PROGRAM))
    yield psutil.Process(process.pid)
    end(process)


@pytest.fixture(scope="module")
def asking(gateway: Gateway, bad_node: psutil.Process) -> Iterator[Client]:
    with gateway.client() as client:
        yield client.connect()


def begin(
    client: Client, way: str, what: str, *arguments: str, timeout: float | None = None
) -> RemoteJob[Any]:
    """Have something bad done."""
    on = client.on("bad", timeout=timeout)
    if way == "registered":
        return on.submit(what, *arguments)
    if way == "shipped":
        return on.submit(getattr(bad, what), *arguments)
    body = "import ctypes, os, resource, signal, sys, time\nFORKS = 50\n"
    code = f"{body}{inspect.getsource(getattr(bad, what))}\n{what}(*{arguments!r})"
    request: dict[str, Any] = {**REQUEST, "code": code}
    return Session(client, "bad", what).submit_cell(request, timeout=timeout)


@pytest.fixture
def neighbours(asking: Client, bad_node: psutil.Process) -> Iterator[None]:
    """What others run there goes on, and nothing dead or fatherless is left of what was bad."""
    running = asking.on("bad").submit("in_thread", 0.2)
    yield
    assert running.result(LIMIT) == bad_node.pid
    assert asking.on("bad").execute("pid")
    wait_until(lambda: not left_of(bad_node))


def left_of(node: psutil.Process) -> list[psutil.Process]:
    """The dead processes below a node, and those that a fork bomb has left."""
    found = []
    for each in psutil.process_iter():
        with suppress(psutil.Error):
            is_below = node in each.parents()
            is_dead = each.status() == psutil.STATUS_ZOMBIE and is_below
            # A gateway is no child of a node, either, but its session is that of the tests.
            is_ours = each.environ().get("EASYREMOTE_HOME") == node.environ()["EASYREMOTE_HOME"]
            is_forked = is_ours and not is_below and os.getsid(each.pid) != os.getsid(0)
            found += [each] if is_forked or is_dead else []
    return found


@pytest.mark.parametrize("what", DEATHS)
@pytest.mark.parametrize("way", WAYS)
def test_a_process_that_dies_is_told_at_once(
    asking: Client, neighbours: None, way: str, what: str
) -> None:
    job = begin(asking, way, what)
    begun = time.monotonic()
    error = job.exception(LIMIT)
    assert time.monotonic() - begun < SOON + BUSY
    assert type(error) is WorkerCrashed
    assert error.exit_code == DEATHS[what]
    assert error.may_have_run


@pytest.mark.parametrize("way", ["registered", "shipped"])
def test_who_opens_too_many_files_hears_of_it_and_its_process_goes_on(
    asking: Client, neighbours: None, way: str
) -> None:
    with pytest.raises(OSError, match="Too many open files") as told:
        begin(asking, way, "take_descriptors").result(LIMIT)
    assert isinstance(told.value, RemoteError)


@pytest.mark.parametrize("what", ["spin", "hold_the_gil"])
@pytest.mark.parametrize("way", WAYS)
def test_what_can_not_be_reached_is_killed_for_its_caller(
    asking: Client, neighbours: None, tmp_path: Path, way: str, what: str
) -> None:
    """No interrupt reaches code that keeps the GIL; a cancel that kills does."""
    started = tmp_path / "started"
    job = begin(asking, way, what, str(started))
    wait_until(started.exists)
    asked = time.monotonic()
    job.kill()
    assert isinstance(job.exception(LIMIT), CallCancelled)
    assert time.monotonic() - asked < SOON + BUSY


def test_code_that_keeps_the_gil_is_ended_step_by_step(
    asking: Client, neighbours: None, tmp_path: Path
) -> None:
    """SIGINT, five seconds later SIGTERM, two seconds later SIGKILL: after a cancel, and in time.

    Who cancelled is told so when it is true, and not before.
    """
    cancelled = begin(asking, "shipped", "hold_the_gil", str(tmp_path / "one"))
    late = begin(asking, "registered", "hold_the_gil", str(tmp_path / "two"), timeout=1.0)
    wait_until((tmp_path / "one").exists)
    cancelled.cancel()
    with pytest.raises(CallTimeout):
        late.result(LIMIT)
    with pytest.raises(CallCancelled) as told:
        cancelled.result(LIMIT)
    assert told.value.may_have_run
    assert asking.on("bad").submit(bad.pid).result(LIMIT)


def test_a_call_that_kills_three_processes_is_poison(asking: Client, neighbours: None) -> None:
    with pytest.raises(PoisonCall, match=r"3 processes that ran poison\(\) died") as told:
        asking.on("bad").execute("poison")
    assert (told.value.exit_code, told.value.details["attempts"]) == (7, 3)


#: The control groups of version 1 and of version 2, and the file with the limit of memory.
GROUPS = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max"),
)


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group whose processes have 300 MB together."""
    root, limit = next(each for each in GROUPS if each[0].is_dir() or each is GROUPS[-1])
    group = root / f"easyremote-{time.monotonic_ns()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        (group / limit).write_text("300000000")
    except OSError as error:
        group.rmdir()
        pytest.skip(f"a control group gets no limit of memory here: {error}")
    yield group
    wait_until(lambda: not (group / "cgroup.procs").read_text())
    group.rmdir()


@pytest.mark.parametrize("way", WAYS)
def test_a_process_that_the_system_kills_for_memory_is_told_from_others(
    asking: Client, neighbours: None, small_group: Path, way: str
) -> None:
    job = begin(asking, way, "take_memory", str(small_group / "cgroup.procs"))
    with pytest.raises(OutOfMemory, match="had no memory left, and its system killed") as told:
        job.result(LIMIT)
    assert told.value.may_have_run
