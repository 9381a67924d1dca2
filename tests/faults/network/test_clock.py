"""Clocks that jump and processes that stand still: nothing expires early, nothing runs twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.faults.history import HUNG, History
from tests.faults.network.network import Network
from tests.faults.network.stepped_clock import step
from tests.faults.scene import PROGRAM, Scene
from tests.processes import LIMIT, Gateway, end, environment, online, wait_until

DAY = 86_400.0

#: Calls `work` for each number from its first to its last one, and says how each ended.
CALLER = """
import json, sys
from concurrent.futures import wait
from easyremote import Client
ledger, count, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
with Client() as client:
    jobs = [client.call("work", (ledger, number, seconds)) for number in range(count)]
    print("submitted", flush=True)
    wait(jobs)
    print(json.dumps([repr(job.exception()) if job.exception() else job.result() for job in jobs]))
"""


def stand_still(network: Network, role: str, seconds: float) -> History:
    """Stop the process of a gateway or a node for so long under calls."""
    scene = network.scene
    history, client = scene.history(), network.client()
    for number in range(40):
        history.call(client, 0.1, node_id=network.nodes[number % 2], timeout=4 * seconds + 60.0)
    history.stream(client, 2000, node_id=network.nodes[0])
    wait_until(lambda: len(history.ran()) > 5)
    process = scene.gateway.process if role == "gateway" else scene.nodes[network.nodes[0]]
    process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)  # the fault itself
    process.send_signal(signal.SIGCONT)
    history.finish(HUNG + seconds)
    return history


def caller_stands_still(scene: Scene, seconds: float) -> History:
    """The same for a process that waits for its calls."""
    history = scene.history()
    command = [sys.executable, "-c", CALLER, str(history.ledger), "40", "0.1"]
    process = subprocess.Popen(
        command, env=scene.gateway.environment(), text=True, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline() == "submitted\n"
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)  # the fault itself
        process.send_signal(signal.SIGCONT)
        results = json.loads(output.readline())
    assert process.wait(LIMIT) == 0
    for number, result in enumerate(results):
        history.jobs[number] = job = Future[object]()
        job.set_result(result)
    history.finish(LIMIT)
    return history


@pytest.mark.parametrize("role", ["gateway", "node", "client"])
def test_a_process_that_stands_still_loses_nothing(network: Network, role: str) -> None:
    if role == "client":
        history = caller_stands_still(network.scene, 1.0)
    else:
        history = stand_still(network, role, 1.0)
    assert history.broken() == []
    assert history.errors == {}


# -- steps of the wall clock -----------------------------------------------------------------------


class Stepped:
    """A gateway and a node whose wall clock a file sets off."""

    def __init__(self, home: Path) -> None:
        self.offset = home / "offset"
        self._environment = {**environment(home), "PYTHONUNBUFFERED": "1"}
        self.set(0.0)
        gateway = self._start("easyremote", "gateway", "--port", "0", stdout=subprocess.PIPE)
        assert gateway.stdout is not None
        address = gateway.stdout.readline().split()[2].rstrip(".")
        self.gateway = Gateway(address, home, gateway)
        self.node = self._start("easyremote.node", "--node-id", "one", "--no-code", str(PROGRAM))
        with self.gateway.client() as client:
            wait_until(lambda: online(client) == {"one"})

    def _start(self, *arguments: str, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        launcher = [sys.executable, "-m", "tests.faults.network.stepped_clock", str(self.offset)]
        return subprocess.Popen(
            [*launcher, *arguments],
            env=self._environment,
            text=True,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
        )

    def set(self, seconds: float) -> None:
        """Step the clocks; a rename, so that nobody reads half a number."""
        written = self.offset.with_suffix(".new")
        written.write_text(str(seconds))
        written.rename(self.offset)


@pytest.fixture
def stepped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stepped]:
    made = Stepped(tmp_path)
    monkeypatch.setattr(time, "time", time.time)
    step(made.offset)
    yield made
    monkeypatch.undo()
    end(made.node)
    end(made.gateway.process)


def test_steps_of_the_wall_clock_change_nothing(stepped: Stepped, tmp_path: Path) -> None:
    """A day on and a day back, at all three roles: each wait is as long as it was."""
    history = History(tmp_path / "ledger")
    with stepped.gateway.client() as client:
        for offset in (DAY, -DAY, 30 * DAY, 0.0):
            for _ in range(5):
                history.call(client, 0.05, timeout=60.0)
            history.stream(client, 50)
            stepped.set(offset)
            history.finish(LIMIT)
        assert history.broken() == []
        assert history.errors == {}
        assert client.connection == 1, "a step has cost a session"


def test_a_deadline_is_kept_while_the_wall_clock_steps_back(
    stepped: Stepped, tmp_path: Path
) -> None:
    history = History(tmp_path / "ledger")
    with stepped.gateway.client() as client:
        history.call(client, 0.0)
        history.finish(LIMIT)
        late = client.call("work", (str(history.ledger), 1, 3.0), timeout=0.5)
        stepped.set(-DAY)
        assert "0.5 s" in str(late.exception(LIMIT))
