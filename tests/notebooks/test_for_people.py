"""The notebooks that people read are executed as they stand, beside a node called gpu-node."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.as_if.known import table
from tests.jupyter_extension.conftest import notebook_environment
from tests.processes import REPOSITORY, Gateway

pytestmark = pytest.mark.timeout(300)

Execute = Callable[[str], str]


@pytest.fixture
def execute(
    gateway: Gateway, gpu_node: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> Execute:
    """Run a notebook in a folder of its own; all that it shows, as text."""
    for name, value in notebook_environment(gateway).items():
        monkeypatch.setenv(name, value)

    def run(name: str) -> str:
        notebook = nbformat.read(REPOSITORY / "notebooks" / name, as_version=4)
        assert not any(cell.get("outputs") for cell in notebook.cells), "commit it without outputs"
        resources = {"metadata": {"path": str(tmp_path)}}
        NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
        outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
        return json.dumps(outputs, ensure_ascii=False)

    return run


def test_cells_in_depth(execute: Execute) -> None:
    shown = execute("03-cells-in-depth.ipynb")
    assert "(1000000, 4)" in shown
    assert "array([[0., 1., 2., 3.]" in shown
    assert "Nothing was sent" in shown
    assert "KeyError" in shown
    assert "interactive(children=(IntSlider" in shown
    assert "42" in shown


def test_long_jobs(execute: Execute) -> None:
    shown = execute("04-long-jobs.ipynb")
    assert "epochs: 100%" in shown
    assert "step 4" in shown
    assert "0.97" in shown
    assert "ran longer than 1 s" in shown
    assert "[97, 101, 103, 107, 109]" in shown
    assert "all night long" in shown
    assert "{'score': 0.98}" in shown
    assert "is made anew: 3 cells ran again" in shown


def test_environments_and_files(execute: Execute, registry: None, tmp_path: Path) -> None:
    shown = execute("05-environments-and-files.ipynb")
    assert "Add --with tabulate" in shown
    assert "|   cultivar |   alcohol |" in shown
    assert "Sent cellar (1 file" in shown
    assert "outputs/forest.joblib" in shown
    assert "results/weights.png" in shown
    assert "array([0, 0, 0, 0, 0])" in shown
    assert "its outputs/ with it (forest.joblib, weights.png)" in shown
    assert "['wine.csv', 'columns.txt']" in shown
    assert (tmp_path / "results" / "columns.txt").read_text().startswith("alcohol\n")


def test_as_if_it_ran_here(execute: Execute) -> None:
    shown = execute("06-as-if.ipynb")
    assert "the same numbers\\n" in shown
    assert "the same numbers again" in shown


def test_one_box_for_five_people(execute: Execute) -> None:
    shown = execute("07-team-gpu.ipynb")
    assert re.search(r"eva +\d\w\w of \d+ for box", shown), shown
    (after,) = re.findall(r"everybody had a first result after (\d+) of 20 calls", shown)
    assert int(after) < 12
    assert "ben is told: box takes nothing new: its owner has paused it" in shown
    assert "the value, after the pause: 0.1" in shown
    assert re.search(r"anna +12 calls +2\.\d s", shown), shown
    assert "eva sees ['eva']" in shown


def test_sweeps(execute: Execute) -> None:
    shown = execute("08-sweeps.ipynb")
    assert "{'gpu-node'" in shown
    assert "the same scores" in shown
    assert "pi is about 3.1" in shown
    (times,) = re.findall(r"the array was sent ([0-9.]+) times, to two nodes", shown)
    assert 2 <= float(times) < 3
    assert "sent again: 0." in shown


def test_testing(execute: Execute, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where this checkout is not installed, pytest doesn't know of the plugin.
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p easyremote.pytest_plugin")
    shown = execute("09-testing.ipynb")
    assert "MemoryError the GPU is full" in shown
    assert "2.0 3" in shown
    assert "2 passed" in shown
    assert "calls.json has no answer of train() for these arguments" in shown


def test_detached(execute: Execute) -> None:
    shown = execute("10-detached.ipynb")
    assert "<DetachedJob shipped" in shown
    assert "{'epochs': 4, 'accuracy': 0.97}" in shown
    assert "still a ZeroDivisionError: division by zero" in shown
    assert "0 of them are left" in shown


def test_the_list_of_what_differs_is_that_of_the_oracle() -> None:
    notebook = nbformat.read(REPOSITORY / "notebooks/06-as-if.ipynb", as_version=4)
    assert notebook.cells[-1].source.endswith(table())
