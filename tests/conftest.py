"""A real gateway and a real node, each in a process of its own, for the tests of the roles."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from easyremote.client.client import Client
from easyremote.config import read_private
from tests import processes

PROGRAM = Path(__file__).parent / "node_program.py"
#: Seconds in which a process answers, or a condition comes true; generous, for a busy machine.
LIMIT = 60.0


@dataclass(frozen=True)
class Gateway:
    """A gateway process, and the home of its user."""

    address: str
    home: Path
    process: subprocess.Popen[str]

    @property
    def keys(self) -> dict[str, str]:
        keys: dict[str, str] = read_private(self.home / "local.json")["keys"]
        return keys

    def client(self) -> Client:
        return Client(self.address, self.keys["client"])

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if "EASYREMOTE" not in name}
        return {**kept, "EASYREMOTE_HOME": str(self.home)}

    def start_node(self, node_id: str, *arguments: str) -> subprocess.Popen[str]:
        """A headless node with the functions of ``node_program.py``, when it is online."""
        command = [sys.executable, "-m", "easyremote.node", "--node-id", node_id, *arguments]
        process = subprocess.Popen(
            [*command, str(PROGRAM)],
            env=self.environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        client = self.client()
        try:
            wait_until(lambda: node_id in online(client) or process.poll() is not None)
        finally:
            client.close()
        return process


def online(client: Client) -> set[str]:
    return {node.node_id for node in client.list_nodes() if node.state == "online"}


def wait_until(condition: Callable[[], bool], limit: float = LIMIT) -> None:
    """Poll what gives no signal of its own (another process's state)."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"not within {limit} s"
        time.sleep(0.02)


def end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)
    if process.stdout is not None:
        process.stdout.close()


def start_gateway(home: Path, port: int = 0) -> Gateway:
    environment = {name: value for name, value in os.environ.items() if "EASYREMOTE" not in name}
    process = subprocess.Popen(
        [sys.executable, "-m", "easyremote", "gateway", "--port", str(port)],
        env={**environment, "EASYREMOTE_HOME": str(home), "PYTHONUNBUFFERED": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Gateway on "), line + process.stdout.read()
    return Gateway(line.split()[2].rstrip("."), home, process)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    started = start_gateway(tmp_path_factory.mktemp("home"))
    yield started
    end(started.process)


@pytest.fixture(scope="module")
def node(gateway: Gateway) -> Iterator[subprocess.Popen[str]]:
    process = gateway.start_node("gpu-node")
    yield process
    end(process)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The panel, built as the wheel's build does it, once for all workers of a run."""
    base = tmp_path_factory.getbasetemp()
    run = base if worker_id == "master" else base.parent
    built = run / "panel-is-built"
    with FileLock(run / "panel.lock", timeout=processes.TOOL_LIMIT):
        if not built.exists():
            processes.run_tool("jlpm", "build:prod", cwd=processes.LABEXTENSION)
            built.touch()
    return processes.LABEXTENSION / "dist"


@pytest.fixture(scope="session")
def registry() -> None:
    """Skips where no package can be had from the registry of packages."""
    from easyremote.node.worker.environment import find_uv

    command = [find_uv(), "pip", "install", "--python", sys.executable, "--dry-run", "humanize"]
    if subprocess.run([*command, "--break-system-packages"], capture_output=True).returncode:
        pytest.skip("the registry of Python packages can't be reached from here")


@pytest.fixture
def client(gateway: Gateway, node: subprocess.Popen[str]) -> Iterator[Client]:
    made = gateway.client()
    yield made
    made.close()
