"""`easyremote top`: what a screen says, and how it ends."""

from __future__ import annotations

import sys
from pathlib import Path

import pexpect
import pytest

from easyremote.cli.top import lines_of
from easyremote.client.client import Client
from easyremote.protocol.snapshot import GatewaySnapshot, GpuInfo, JobInfo, NodeInfo
from tests.cli.command import easyremote
from tests.processes import LIMIT, Gateway, environment, wait_until


def test_a_screen_shows_nodes_with_their_load_and_jobs_with_their_reason() -> None:
    gpu = GpuInfo("A100", 0.9, 31 * 10**9, 40 * 10**9)
    nodes = (
        NodeInfo(
            *("gpu-node", "online"),
            **{"running": 2, "slots": 4, "cpu": 0.5, "gpus": (gpu,)},
            **{"memory_used": 3 * 10**9, "memory_total": 8 * 10**9},
        ),
        NodeInfo("just-came", "online", slots=1, memory_total=16 * 10**9),
        NodeInfo("laptop", "offline"),
    )
    jobs = (
        JobInfo("0123456789abcdef", "train", "gpu-node", "running", 12.4),
        JobInfo("fedcba9876543210", "cell", None, "queued", 3.0, place=2, why="2nd of 2"),
    )
    assert lines_of(GatewaySnapshot(nodes, jobs=jobs, more=7)) == [
        "NODE       STATE    RUNNING  CPU  MEMORY        GPU",
        "gpu-node   online   2/4      50%  3 GB of 8 GB  A100 90%, 31 GB of 40 GB",
        "just-came  online   0/1           16 GB",
        "laptop     offline",
        "",
        "JOB       WHAT   NODE      STATE    FOR   WHY",
        "01234567  train  gpu-node  running  12 s",
        "fedcba98  cell   any       queued   3 s   2nd of 2",
        "and 7 more",
    ]


def test_where_there_is_nothing_it_says_so() -> None:
    first, *_, last = lines_of(GatewaySnapshot(()))
    assert first.startswith("No nodes yet. Start one:")
    assert last == "Nothing of yours runs or waits."


def test_one_screen_of_real_nodes_that_have_measured_themselves(
    gateway: Gateway, client: Client, tmp_path: Path
) -> None:
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    job = client.call("wait_for", (str(gate), str(begun)))
    wait_until(begun.exists)
    try:
        lines = easyremote(gateway.home, "top", "--once").out.splitlines()
    finally:
        gate.touch()
    job.result(LIMIT)
    assert lines[1].split()[:2] == ["gpu-node", "online"]
    assert "%" in lines[1]
    assert any(
        line.split()[1:4] == ["wait_for", "gpu-node", "running"] for line in lines[2:] if line
    )


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("key", ["q", "\x03"], ids=["q", "Ctrl-C"])
def test_it_ends_with_a_key_and_leaves_the_terminal_as_it_was(gateway: Gateway, key: str) -> None:
    command = f"trap : INT; {sys.executable} -m easyremote top; echo ended with $?; stty -a"
    shell = pexpect.spawn(
        "/bin/sh", ["-c", command], env=environment(gateway.home), timeout=LIMIT, encoding="utf-8"
    )
    shell.expect("gpu-node +online")
    shell.send(key)
    shell.expect("ended with 0")
    shell.expect(" icanon")
    shell.expect(pexpect.EOF)
    shell.close()
