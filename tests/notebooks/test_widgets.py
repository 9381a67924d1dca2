"""Widgets of cells on a node, in a notebook that was run headless: their state is saved with it."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.jupyter_extension.conftest import notebook_environment
from tests.processes import Gateway

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.parametrize("kernel_name", ["ipykernel-7", "ipykernel-6"], indirect=True),
]

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"


def test_widgets_are_saved_with_their_last_state(
    kernel_name: str, gateway: Gateway, gpu_node: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in notebook_environment(gateway).items():
        monkeypatch.setenv(name, value)
    sources = [
        "%load_ext easyremote",
        (
            "%%remote\nfrom ipywidgets import interact, IntSlider\n"
            "@interact(x=IntSlider(4))\ndef square(x): print('square', x * x)"
        ),
        "%%remote\nslider = IntSlider(3)\nslider",
        "%%remote\nslider.value = 8",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])
    NotebookClient(notebook, timeout=60, kernel_name=kernel_name).execute()
    models = notebook.metadata.widgets[STATE]["state"]

    def shown(cell: int) -> Any:
        (output,) = [o for o in notebook.cells[cell].outputs if VIEW in o.get("data", {})]
        return models[output.data[VIEW]["model_id"]]

    assert shown(1)["model_name"] == "VBoxModel"
    (output,) = [m["state"] for m in models.values() if m["model_name"] == "OutputModel"]
    assert [caught["text"] for caught in output["outputs"]] == ["square 16\n"]
    assert not any("square 16" in str(output) for output in notebook.cells[1].outputs)
    assert shown(2)["state"]["value"] == 8
