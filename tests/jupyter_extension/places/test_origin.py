"""Which cell a job came from, as JupyterLab's requests have it."""

from __future__ import annotations

import pytest

from easyremote.client.client import Client
from tests.jupyter_extension.conftest import Kernel
from tests.processes import wait_until


def origins(client: Client) -> list[str]:
    return [job.origin for job in client._roster.ask().ended]


@pytest.mark.parametrize(
    ("cell_id", "kept"),
    [("b7f3a1c2-aaaa", True), ("vscode-notebook-cell:/home/ada/secret.ipynb#W0", False)],
)
def test_a_job_is_known_by_its_cell_and_by_no_path(
    kernel: Kernel, client: Client, cell_id: str, kept: bool
) -> None:
    session = kernel._client.session
    before = len(origins(client))
    session.metadata = {"cellId": cell_id}  # of each message that it sends
    kernel.run("%%remote gpu-node\n1")
    wait_until(lambda: len(origins(client)) > before)
    # No Jupyter server has given this kernel an id.
    assert origins(client)[0] == (f"/{cell_id}" if kept else "")
