"""Notebooks run headless: kernels of ipykernel 6 and 7, and nodes on this and another Python."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.jupyter_extension.conftest import is_header, notebook_environment
from tests.processes import PROGRAM, REPOSITORY, Gateway, end, online, wait_until
from tests.pythons import environment, interpreter

Run = Callable[..., list[list[Any]]]


@pytest.fixture(scope="session")
def ipykernel_6(pytestconfig: pytest.Config) -> Path:
    """A Python with ipykernel 6, and with all else that this one has."""
    assert pytestconfig.cache is not None
    needs = ["--no-deps", "ipykernel>=6.29,<7"]
    python = environment(sys.executable, pytestconfig.cache.mkdir("ipykernel-6"), needs)
    (site,) = (python.parents[1] / "lib").glob("python*/site-packages")
    (site / "beside.pth").write_text(sysconfig.get_path("purelib"))  # after its own
    return python


@pytest.fixture(scope="module")
def kernel_name(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A kernel's name, as Jupyter finds it: of ipykernel 6 or 7, as a test names it."""
    python = sys.executable
    if request.param == "ipykernel-6":
        python = str(request.getfixturevalue("ipykernel_6"))
    folder = tmp_path_factory.mktemp("jupyter")
    (folder / "kernels" / request.param).mkdir(parents=True)
    command = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": request.param, "language": "python"}
    (folder / "kernels" / request.param / "kernel.json").write_text(json.dumps(spec))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder))
        yield request.param


@pytest.fixture(scope="module")
def node(request: pytest.FixtureRequest, gateway: Gateway) -> Iterator[str]:
    """The id of the one node that there is, on the Python that a test names."""
    if request.param == "this Python":
        process = gateway.start_node("gpu-node")
    else:
        python = interpreter(request.param)
        if python is None:
            pytest.skip(f"there is no Python {request.param} here (pyenv install it)")
        assert request.config.cache is not None
        own = environment(python, request.config.cache.mkdir(f"python-{request.param}"))
        process = _far_node(own, gateway)
    yield "gpu-node"
    end(process)
    with gateway.client() as client:
        wait_until(lambda: not online(client))


@pytest.fixture(scope="module")
def gpu_node(gateway: Gateway) -> Iterator[str]:
    """A node on this Python."""
    process = gateway.start_node("gpu-node")
    yield "gpu-node"
    end(process)


def _far_node(python: Path, gateway: Gateway) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [str(python), "-m", "easyremote.node", "--node-id", "gpu-node", str(PROGRAM)],
        env=gateway.environment() | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with gateway.client() as client:
        wait_until(lambda: "gpu-node" in online(client) or process.poll() is not None)
    return process


@pytest.fixture
def run(kernel_name: str, gateway: Gateway, node: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Execute cells as a notebook; the outputs of each, as they would be saved, but for headers."""
    for name, value in notebook_environment(gateway).items():
        monkeypatch.setenv(name, value)

    def execute(*cells: str, **options: Any) -> list[list[Any]]:
        sources = ["%load_ext easyremote", *cells]
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
        client = NotebookClient(notebook, timeout=60, kernel_name=kernel_name, **options)
        client.execute()
        return [
            [output for output in cell.outputs if not is_header(output)]
            for cell in notebook.cells[1:]
        ]

    return execute
