"""``notebooks/02-share-a-function.ipynb``, executed: the three snippets of the README, and HTTP."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.processes import REPOSITORY, free_port

NOTEBOOK = REPOSITORY / "notebooks" / "02-share-a-function.ipynb"


@pytest.fixture
def executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> nbformat.NotebookNode:
    monkeypatch.setenv("EASYREMOTE_HOME", str(tmp_path))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    port = str(free_port())  # the notebook's own may be taken on this machine
    for cell in notebook.cells:
        assert "error" not in cell.get("outputs", [])
        cell.source = cell.source.replace("8080", port)
    NotebookClient(notebook, timeout=60).execute()
    return notebook


def test_the_snippets_add_up(executed: nbformat.NotebookNode) -> None:
    shown = {
        output["data"]["text/plain"]
        for cell in executed.cells
        for output in cell.get("outputs", [])
        if output.output_type == "execute_result"
    }
    assert shown == {"3", "b'3.0'"}


def test_the_snippets_are_those_of_the_readme() -> None:
    """What the README shows on three machines is what runs here, but for the blocking last line."""
    readme = (REPOSITORY / "README.md").read_text()
    source = "\n".join(cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells)
    for line in (
        "server = Server(port=8080)",
        '@remote(node_id="gpu-node")\ndef add(a, b):\n    pass',
        "@node.register\ndef add(a, b):\n    return a + b",
    ):
        assert line in readme
        assert line in source
