"""The fixtures that most tests share: a real gateway and a real node, in processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from easyremote.client.client import Client
from tests import processes
from tests.processes import Gateway, end, end_node, start_gateway


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    started = start_gateway(tmp_path_factory.mktemp("home"))
    yield started
    end(started.process)


@pytest.fixture(scope="module")
def node(gateway: Gateway) -> Iterator[subprocess.Popen[str]]:
    process = gateway.start_node("gpu-node")
    yield process
    end_node(process)


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


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> processes.Home:
    """Where a user's keys are, and the address of the gateway."""
    return processes.Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def cells_home(tmp_path_factory: pytest.TempPathFactory) -> processes.Home:
    return processes.Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def cells(cells_home: processes.Home) -> Iterator[Client]:
    """A client, and a node that runs its cells."""
    with (
        processes.gateway(cells_home, processes.free_port()),
        processes.open_node(cells_home, "cells"),
        Client(cells_home.local["gateway"], cells_home.local["keys"]["client"]) as client,
    ):
        yield client
