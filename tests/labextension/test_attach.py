"""A notebook attached to a node: by the row, by its toolbar, by a cell, and when reopened."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import processes
from tests.labextension.conftest import STARTS_MS, open_notebook
from tests.labextension.test_look import violations
from tests.labextension.test_panel import FOLLOWS_MS, node_row, picture

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]


NOT_LOADED = "gpu-node will be attached when this notebook runs %load_ext easyremote"
ATTACHED = "%%remote cells of this notebook run on gpu-node"


def picker(page: Page) -> Locator:
    return page.get_by_role("combobox", name="Where the remote cells of this notebook run")


def run_selected(page: Page, cells: Locator, number: int, text: str | None = None) -> None:
    cells.nth(number).locator(".cm-content").click()
    if text is not None:
        page.keyboard.press("ControlOrMeta+A")
        page.keyboard.type(text)
    page.keyboard.press("ControlOrMeta+Enter")


def test_row_toolbar_and_cell_agree_on_what_is_attached_and_a_new_kernel_is_attached_again(
    page: Page, lab: processes.Jupyter, gpu_node: None
) -> None:
    cells = open_notebook(page, lab, "attached", "%load_ext easyremote", "%remote_attach")
    page.locator('.jp-SideBar [data-id="easyremote-panel"]').click()
    panel = page.locator("#easyremote-panel")
    row = node_row(panel, "gpu-node")
    expect(row).to_be_visible(timeout=FOLLOWS_MS)
    expect(picker(page)).to_have_value("", timeout=STARTS_MS)

    # By the row, before the kernel knows of us: the panel says what to do.
    expect(page.locator(".jp-Notebook-ExecutionIndicator")).to_have_attribute(
        "data-status", "idle", timeout=STARTS_MS
    )
    row.hover()
    row.get_by_role("button", name="Attach this notebook to gpu-node").click()
    expect(row).to_contain_text("attached")
    expect(picker(page)).to_have_value("remote gpu-node")
    expect(
        page.get_by_text("will be attached when this notebook runs %load_ext easyremote")
    ).to_be_visible()
    notice = page.get_by_text("If the kernel has no EasyRemote: %pip install easyremote.")
    expect(notice.first).to_be_visible()
    picture(page, "attach-not-loaded")
    assert violations(page, ".jp-EasyRemote-picker") == []
    run_selected(page, cells, 0)
    expect(picker(page)).to_have_attribute("title", ATTACHED, timeout=STARTS_MS)
    run_selected(page, cells, 1)
    output = cells.nth(1).locator(".jp-Cell-outputWrapper")
    expect(output).to_contain_text("without a target run on gpu-node", timeout=STARTS_MS)

    # By a cell.
    run_selected(page, cells, 1, "%remote_detach")
    expect(picker(page)).to_have_value("", timeout=STARTS_MS)
    expect(row).not_to_contain_text("attached")
    run_selected(page, cells, 1, "%remote_attach gpu-node --auto")
    expect(picker(page)).to_have_value("all gpu-node", timeout=STARTS_MS)
    picture(page, "attached-by-a-cell")

    # By the toolbar, with the keyboard alone.
    picker(page).focus()
    picker(page).select_option("remote gpu-node")
    run_selected(page, cells, 1, "%remote_attach")
    expect(output).to_contain_text("%%remote cells without a target run on gpu-node")

    # Kept with the notebook: a fresh kernel is attached as soon as it loads the magics.
    page.keyboard.press("ControlOrMeta+S")
    path = lab.log.parent / "files" / "attached.ipynb"
    expect(page.locator(".jp-mod-dirty")).to_have_count(0)
    assert json.loads(path.read_text())["metadata"]["easyremote"]["attached"]["node"] == "gpu-node"
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_role("menuitem", name=re.compile("^Restart Kernel…")).click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    expect(picker(page)).to_have_value("remote gpu-node")
    expect(picker(page)).to_have_attribute("title", NOT_LOADED, timeout=STARTS_MS)
    run_selected(page, cells, 0)  # at once, as Run All does
    run_selected(page, cells, 1, "%remote '6 * 7 is', 6 * 7")
    expect(output).to_contain_text("('6 * 7 is', 42)", timeout=STARTS_MS)

    # The page loaded again finds what the kernel knows.
    page.reload()
    expect(picker(page)).to_have_attribute("title", ATTACHED, timeout=STARTS_MS)
