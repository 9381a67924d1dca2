"""The panel in Notebook 7: the same bundle, without a lab shell."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, expect

from tests import processes
from tests.processes import wait_until

pytestmark = [pytest.mark.timeout(120), pytest.mark.long]


def test_the_panel_opens_from_the_view_menu(
    page: Page, bundle: Path, home: processes.Home, tmp_path: Path
) -> None:
    with (
        processes.gateway(home, processes.free_port()),
        processes.node(home, "gpu-node"),
        processes.jupyter("notebook", tmp_path / "notebook", home) as served,
    ):
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
        nbformat.write(notebook, tmp_path / "notebook" / "files" / "a.ipynb")
        page.goto(f"{served.url}notebooks/a.ipynb?token={served.token}")
        panel = page.locator("#easyremote-panel")
        panel.wait_for(state="attached")
        page.get_by_role("menuitem", name="View").click()
        entries = page.locator(".lm-Menu-item")
        entries.filter(has_text="Left Sidebar").hover()
        entries.filter(has_text="Show EasyRemote").click()
        nodes = panel.get_by_role("tree", name="Nodes")
        expect(nodes.get_by_text("gpu-node")).to_be_visible(timeout=20_000)
        expect(panel.get_by_role("status")).to_have_text("Connected")
        # Jupyter Server waits long for a kernel that it ends before that has started.
        wait_until(lambda: kernel_state(served) == "idle")


def kernel_state(served: processes.Jupyter) -> str:
    (kernel,) = processes.get(f"{served.url}api/kernels", served.token)
    return str(kernel["execution_state"])
