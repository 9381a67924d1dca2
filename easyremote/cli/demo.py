"""What ``easyremote demo`` does: the first notebook, on a gateway and nodes of its own."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
import nbformat
from nbclient import NotebookClient

import easyremote
from easyremote.cli.live import LiveLines
from easyremote.client.client import Client
from easyremote.config import HOME_VARIABLE
from easyremote.errors import GatewayUnreachable

NOTEBOOK = "01-first-remote-cell.ipynb"
SCRIPT = "digits_node.py"
#: Seconds for a process to answer, and for the notebook to run.
START_LIMIT = 60.0
CELL_LIMIT = 600


def run(output: str) -> None:
    """Execute the notebook; its results are in the folder ``output``."""
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="easyremote-demo-"))
        os.environ[HOME_VARIABLE] = home
        stack.enter_context(_process("-m", "easyremote", "gateway", "--port", "0"))
        client = _wait_for_gateway()
        stack.callback(client.close)
        stack.enter_context(_process("-m", "easyremote.node", "--node-id", "gpu-node"))
        stack.enter_context(_process(str(_find(SCRIPT))))
        _wait_for_nodes(client, {"gpu-node", "digits-node"})
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


@contextmanager
def _process(*arguments: str) -> Iterator[None]:
    """A Python process, ended with the block; what it says is shown only if it fails."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([sys.executable, *arguments], stdout=log, stderr=log)
        try:
            yield
        except BaseException:
            log.seek(0)
            click.echo(log.read(), err=True)
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_gateway() -> Client:
    deadline = time.monotonic() + START_LIMIT
    while True:
        try:
            return Client().connect()
        except easyremote.EasyRemoteError:
            if time.monotonic() > deadline:
                raise GatewayUnreachable("The demo's own gateway did not start.") from None
            time.sleep(0.1)


def _wait_for_nodes(client: Client, wanted: set[str]) -> None:
    deadline = time.monotonic() + START_LIMIT
    while not wanted <= {node.node_id for node in client.list_nodes() if node.state == "online"}:
        if time.monotonic() > deadline:
            raise GatewayUnreachable("The demo's own nodes did not come online.")
        time.sleep(0.1)


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
