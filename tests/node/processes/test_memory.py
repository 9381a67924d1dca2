"""A worker that uses more memory than it may is told, and ended with all that it has started."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from easyremote import ComputeNode
from easyremote.client.client import Client
from easyremote.client.job import RemoteJob
from easyremote.client.session import Session
from easyremote.errors import OutOfMemory, RemoteError
from easyremote.node.processes.memory import memory_above
from easyremote.options.requirements import read_needs
from tests.processes import LIMIT, Gateway, until_there, wait_until

MB = 10**6
#: What the functions may use.
LIMITED = {"memory": "300MB"}


def leak(megabytes: int, kept: list[bytes]) -> int:
    kept.append(b"x" * 10**6 * megabytes)
    return os.getpid()


def hold(megabytes: int, gate: str) -> None:
    kept = b"x" * 10**6 * megabytes
    while not Path(gate).exists():
        time.sleep(0.02)
    del kept


def fork(megabytes: int, file: str) -> None:
    """Have a child that uses much; this process does not."""
    child = os.fork()
    kept = b"x" * 10**6 * (0 if child else megabytes)
    if child:
        Path(file).write_text(str(child))
    time.sleep(1000)
    del kept


class Model:
    """Keeps what it is given, for ever."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []

    def leak(self, megabytes: int) -> int:
        return leak(megabytes, self.kept)


@pytest.fixture(scope="module")
def asking(gateway: Gateway) -> Iterator[Client]:
    node = ComputeNode(gateway.address, "small", api_key=gateway.keys["node"])
    for function in (hold, fork, Model):
        node.register(scaling="auto", resource_requirements=LIMITED)(function)
    other = ComputeNode(gateway.address, "open", api_key=gateway.keys["node"], allow_code=True)
    with node, other, gateway.client() as client:
        yield client


def test_a_worker_that_leaks_is_told_and_ended_and_another_takes_its_place(
    asking: Client, tmp_path: Path
) -> None:
    calls = asking.on("small")
    first = calls.submit("Model.leak", 100).result(LIMIT)
    assert calls.submit("Model.leak", 100).result(LIMIT) == first, "it may use so much"
    with suppress(OutOfMemory):  # the call may be over before it is seen
        calls.submit("Model.leak", 200).result(LIMIT)
    wait_until(lambda: not psutil.pid_exists(first))
    assert calls.submit("Model.leak", 100).result(LIMIT) != first
    with pytest.raises(OutOfMemory) as told:
        calls.submit("hold", 500, str(tmp_path / "never")).result(LIMIT)
    text = str(told.value)
    assert re.match(r"hold\(\) used \d+ MB of memory", text)
    assert "and may use 300 MB (resource_requirements=), so its process was killed" in text
    assert told.value.may_have_run and told.value.details["limit"] == 300 * MB
    (tmp_path / "gate").touch()
    assert calls.submit("hold", 1, str(tmp_path / "gate")).result(LIMIT) is None


def test_a_worker_that_forks_is_counted_and_killed_with_its_children(
    asking: Client, tmp_path: Path
) -> None:
    with pytest.raises(OutOfMemory):
        asking.on("small").submit("fork", 500, str(tmp_path / "child")).result(LIMIT)
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not psutil.pid_exists(child))


def test_a_function_that_is_sent_may_use_what_it_asked_for_and_no_more(
    asking: Client, tmp_path: Path
) -> None:
    (tmp_path / "gate").touch()
    calls = asking.on("open", needs="memory=400MB")
    assert calls.submit(hold, 100, str(tmp_path / "gate")).result(LIMIT) is None
    with pytest.raises(OutOfMemory) as told:
        calls.submit(hold, 600, str(tmp_path / "never")).result(LIMIT)
    text = str(told.value)
    assert "and may use 400 MB (needs=), so it was killed, with all that it had started" in text
    free = asking.on("open").submit(hold, 600, str(tmp_path / "gate"))
    assert free.result(LIMIT) is None, "who asks for nothing has no limit"


def test_a_cell_may_use_what_its_session_asked_for_and_no_more(
    asking: Client, tmp_path: Path
) -> None:
    def cell(code: str, memory: str = "") -> RemoteJob[dict[str, object]]:
        request = {"count": 1, "writes": [], "modules": {}, "code": code}
        needs = read_needs(f"memory={memory}") if memory else None
        return Session(asking, "open", "cells").submit_cell(request, needs=needs)

    wait = f"import pathlib, time\n{until_there(tmp_path / 'never')}"
    cell("kept = b'x' * 300_000_000", "600MB").result(LIMIT)
    cell("more = b'x' * 100_000_000", "200MB").result(LIMIT)  # variables stay: the most counts
    cell("del more").result(LIMIT)
    greedy = cell(f"more = b'x' * 500_000_000\n{wait}", "200MB")
    behind = cell("1")
    with pytest.raises(OutOfMemory) as told:
        greedy.result(LIMIT)
    behind.result(LIMIT)  # it waited, and runs in a new process
    text = str(told.value)
    assert "and may use 600 MB, the most that its cells asked for (--needs memory=" in text
    assert "its variables are lost. Ask for more memory" in text
    again = cell("kept")
    with pytest.raises(RemoteError, match="name 'kept' is not defined"):
        again.result(LIMIT)


#: A process of 100 MB that forks three others, and asks what they use together.
FORKS = """
import os, time, psutil
from easyremote.node.processes.memory import memory_above
kept = b"x" * 100_000_000
alone = psutil.Process().memory_info().rss
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(0)
    children.append(child)
print(memory_above(os.getpid(), 2 * alone), memory_above(os.getpid(), len(kept)))
for child in children:
    os.kill(child, 9)
    os.waitpid(child, 0)
"""


def test_memory_that_forked_processes_share_counts_once() -> None:
    told = subprocess.run(
        [sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=LIMIT, check=True
    )
    above_twice, above_what_is_kept = map(int, told.stdout.split())
    assert above_twice == 0
    assert above_what_is_kept > 100 * MB


def test_a_process_that_has_ended_uses_nothing() -> None:
    assert memory_above(2**22 + 1, 1) == 0
