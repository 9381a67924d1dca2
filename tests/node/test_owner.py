"""The owner of a node closes and opens it, with real processes: people wait, and see why."""

from __future__ import annotations

from pathlib import Path

from easyremote.client.client import Client
from tests.cli.command import easyremote
from tests.processes import Gateway, wait_until


def test_a_pause_is_one_command_and_people_see_why_they_wait(
    gateway: Gateway, client: Client, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    started = tmp_path / "started"
    running = client.on("gpu-node").submit("wait_for", str(gate), str(started))
    wait_until(started.exists)
    done = easyremote(gateway.home, "pause", "gpu-node")
    assert done.out.startswith("gpu-node is paused: calls wait. 1 call goes on."), done.err
    waiting = client.on("gpu-node").submit("add", 1, 2)
    assert waiting.explain() == "gpu-node takes nothing new: its owner has paused it"
    _, line = easyremote(gateway.home, "nodes").out.splitlines()
    assert "online, closed: its owner has paused it" in line
    gate.touch()
    running.result()
    assert not waiting.done()
    assert easyremote(gateway.home, "resume", "gpu-node").out == "gpu-node is lent again.\n"
    assert waiting.result() == 3
