"""What ``easyremote demo`` does: the first notebook, on a gateway and nodes of its own."""

from __future__ import annotations

import base64
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import nbformat
from nbclient import NotebookClient

import easyremote
from easyremote.cli.live import LiveLines
from easyremote.cli.stage import gateway_of_its_own, process, wait_for_nodes

NOTEBOOK = "01-first-remote-cell.ipynb"
SCRIPT = "digits_node.py"
#: Seconds for a cell of the notebook.
CELL_LIMIT = 600


def run(output: str) -> None:
    """Execute the notebook; its results are in the folder ``output``."""
    with ExitStack() as stack:
        _, client = stack.enter_context(gateway_of_its_own())
        stack.enter_context(process("-m", "easyremote.node", "--node-id", "gpu-node"))
        stack.enter_context(process(str(_find(SCRIPT))))
        wait_for_nodes(client, {"gpu-node", "digits-node"})
        click.secho(f"A gateway on {client.settings.gateway} and two nodes are up.\n", fg="green")
        folder = Path(output)
        folder.mkdir(parents=True, exist_ok=True)
        notebook = nbformat.read(_find(NOTEBOOK), as_version=4)  # type: ignore[no-untyped-call]  # it has no types
        _LoudClient(
            notebook,
            timeout=CELL_LIMIT,
            resources={"metadata": {"path": "."}},
            extra_arguments=["--IPKernelApp.log_level=40"],
        ).execute()
        nbformat.write(notebook, folder / NOTEBOOK)  # type: ignore[no-untyped-call]  # as above
        figure = _save_last_figure(notebook, folder)
    click.secho("\nDone. Nothing is left running.", fg="green")
    click.echo(f"  the executed notebook: {folder / NOTEBOOK}")
    click.echo(f"  its figure:            {figure}")


def _find(name: str) -> Path:
    """A file of the notebooks: in the wheel, or in the checkout."""
    package = Path(easyremote.__file__).parent
    places = (package / "notebooks" / name, package.parent / "notebooks" / name)
    return next(path for path in places if path.exists())


class _LoudClient(NotebookClient):
    """Executes a notebook and shows in the terminal what its cells show."""

    def __init__(self, notebook: Any, **options: Any) -> None:
        super().__init__(notebook, **options)
        self._lines = LiveLines(sys.stdout)

    def process_message(self, message: Any, cell: Any, cell_index: int) -> Any:
        kind, content = message["msg_type"], message["content"]
        if kind == "execute_input":
            first = cell["source"].splitlines()[0]
            prompt = f"In [{content['execution_count']}]: {first}"
            self._lines.write(click.style(prompt, fg="cyan") + "\n")
        elif kind == "stream":
            self._lines.write(content["text"])
        elif kind in ("display_data", "update_display_data", "execute_result"):
            self._show(content)
        elif kind == "error":
            self._lines.write("\n".join([*content["traceback"], ""]))
        elif kind == "status" and content["execution_state"] == "idle":
            self._lines.settle()
        return super().process_message(message, cell, cell_index)

    def _show(self, content: Any) -> None:
        text = content["data"].get("text/plain", "")
        display = content.get("transient", {}).get("display_id")
        if display:
            self._lines.show(display, text)
        else:
            self._lines.write(f"{text}\n")


def _save_last_figure(notebook: Any, folder: Path) -> Path:
    figures = [
        output["data"]["image/png"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    path = folder / "confusion-matrix.png"
    path.write_bytes(base64.b64decode(figures[-1]))
    return path
