"""Detached calls: their client is killed, the gateway is killed twice, a node's link is cut."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.faults.history import History, Tally
from tests.faults.network.proxy import Proxy
from tests.faults.scene import Scene, Test
from tests.processes import wait_until

PROGRAM = Path(__file__).with_name("detaching_program.py")


def detach_and_lose_all(scene: Scene, calls: int, seconds: float) -> History:
    """Detach calls, half of them to a node behind a proxy; break all; another client collects.

    Parameters
    ----------
    calls
        How many.
    seconds
        How long each runs. The faults come while they do.
    """
    with Proxy(scene.gateway.address) as proxy:
        scene.start_nodes("cut-off", address=proxy.address)
        history = scene.history()
        ids = _detach(scene, history, calls, seconds)
        for _ in range(2):
            scene.kill_gateway()
            proxy.reset()
            scene.start_gateway()
        wait_until(lambda: _state(scene, "cut-off") == "online")
        proxy.cut()
        wait_until(lambda: _state(scene, "cut-off") != "online")
        proxy.heal()
        client = scene.client()
        history.jobs = {number: client.attach(call_id) for number, call_id in enumerate(ids)}
        history.finish(limit=seconds + 100.0)
        assert {call.state for call in client.outstanding()} == {"kept"}
        for job in history.jobs.values():
            assert job.release()
        assert client.outstanding() == []
    return history


def _detach(scene: Scene, history: History, calls: int, seconds: float) -> list[str]:
    """Have a program detach the calls, and kill it while they run; their ids."""
    program = subprocess.Popen(
        [sys.executable, str(PROGRAM), str(history.ledger), str(calls), str(seconds)],
        env=scene.gateway.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        with program.stdout:
            ids = program.stdout.readline().split()
        assert len(ids) == calls
        wait_until(lambda: bool(history.ran()))
    finally:
        program.kill()
        program.wait()
    return ids


def _state(scene: Scene, node_id: str) -> str:
    """How the gateway sees a node: online; closed, where it does not answer; or offline."""
    with scene.gateway.client() as client:
        nodes = {node.node_id: node for node in client.list_nodes()}
    node = nodes.get(node_id)
    return "unknown" if node is None else "closed" if node.closed else node.state


def detached_calls(scene: Scene) -> Tally:
    """Detached calls of 10 minutes: client killed, gateway killed twice, a node's link cut."""
    history = detach_and_lose_all(scene, 8, 600.0)
    assert history.errors == {}, Counter(map(str, history.errors.values()))
    return history.tally


#: What `python -m tests.faults.long` runs of it.
LONG: tuple[Test, ...] = (detached_calls,)
