"""What is done with nodes, functions and jobs, by the keyboard alone.

Sessions, forms, logs, moved cells and a node's page have such tests beside their others.
"""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import processes
from tests.labextension.conftest import STARTS_MS, open_notebook, run_all
from tests.labextension.test_panel import FOLLOWS_MS, node_row

pytestmark = [pytest.mark.timeout(180), pytest.mark.long]

#: As many as no row has.
MOST_BUTTONS = 12
ENDLESS = "%%remote gpu-node\nimport time\nprint('be' + 'gun')\nwhile True: time.sleep(0.05)"


def tab_to(page: Page, row: Locator, name: str | re.Pattern[str]) -> Locator:
    """Go from a row, which has the focus, to one of its buttons."""
    button = row.get_by_role("button", name=name)
    for _ in range(MOST_BUTTONS):
        page.keyboard.press("Tab")
        if button.evaluate("button => button === document.activeElement"):
            return button
    raise AssertionError(f"the tab key does not reach {name}")


def press(page: Page, row: Locator, name: str | re.Pattern[str]) -> None:
    """Press a button of a row."""
    row.focus()
    tab_to(page, row, name)
    page.keyboard.press("Enter")


@pytest.fixture
def panel(page: Page) -> Locator:
    page.set_viewport_size({"width": 1280, "height": 1000})
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    return page.locator("#easyremote-panel")


def show(page: Page, panel: Locator) -> None:
    page.locator('.jp-SideBar [data-id="easyremote-panel"]').click()
    expect(node_row(panel, "gpu-node")).to_be_visible(timeout=FOLLOWS_MS)


def copied(page: Page) -> str:
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


def test_a_node_is_attached_copied_and_given_a_cell(
    page: Page, panel: Locator, lab: processes.Jupyter, gpu_node: None
) -> None:
    cells = open_notebook(page, lab, "by-keyboard", "1")
    show(page, panel)
    row = node_row(panel, "gpu-node")
    press(page, row, "Attach this notebook to gpu-node")
    attach = row.get_by_role("button", name="Attach this notebook to gpu-node")
    expect(attach).to_have_attribute("aria-pressed", "true")
    expect(attach).to_be_focused()
    page.keyboard.press("Enter")
    expect(attach).to_have_attribute("aria-pressed", "false")
    press(page, row, "Copy the name gpu-node")
    expect(page.get_by_text("Copied: gpu-node").first).to_be_visible()
    page.evaluate("navigator.clipboard.writeText('')")
    row.focus()
    page.keyboard.press("ControlOrMeta+c")
    expect(page.get_by_text("Copied: gpu-node")).to_have_count(2)
    assert copied(page) == "gpu-node"
    press(page, row, "Insert a cell for gpu-node")
    expect(cells.filter(has_text="%%remote gpu-node")).to_have_count(1)


def test_a_job_is_found_replayed_and_cancelled_and_its_error_copied(
    page: Page, panel: Locator, lab: processes.Jupyter, gpu_node: None
) -> None:
    job = running(page, panel, lab, "job-by-keyboard")
    press(page, job, re.compile("^Go to the cell"))
    active = page.locator(".jp-Notebook .jp-CodeCell.jp-mod-active")
    expect(active).to_contain_text("while True")
    expect(active).to_be_in_viewport()
    job.focus()
    page.keyboard.press("ArrowRight")
    press(page, job, "Replay")
    expect(page.locator(".jp-CodeCell").filter(has_text="%remote_job")).to_have_count(1)
    job.focus()
    page.keyboard.press("Delete")
    ended = rows(panel).filter(has=page.get_by_role("img", name="cancelled")).first
    expect(ended).to_be_visible(timeout=STARTS_MS)
    press(page, ended, re.compile("^Copy the error"))
    expect(page.get_by_text("Copied: KeyboardInterrupt").first).to_be_visible()
    assert "while True" in copied(page)


def test_a_kill_is_asked_about_and_done(
    page: Page, panel: Locator, lab: processes.Jupyter, gpu_node: None
) -> None:
    job = running(page, panel, lab, "kill-by-keyboard")
    job.focus()
    page.keyboard.press("ArrowRight")
    press(page, job, "Kill")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("its variables are lost")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    press(page, job, "Kill")
    expect(dialog.get_by_role("button", name="End It")).to_be_focused()
    page.keyboard.press("Enter")
    killed = page.locator(".jp-CodeCell").filter(has_text="its process killed")
    expect(killed).to_have_count(1, timeout=STARTS_MS)


def running(page: Page, panel: Locator, lab: processes.Jupyter, name: str) -> Locator:
    """Start a cell that goes on, in a long notebook; the row of its job."""
    outputs = run_all(page, lab, name, *["1"] * 30, ENDLESS)
    expect(outputs.nth(31)).to_contain_text("begun", timeout=STARTS_MS)
    show(page, panel)
    job = rows(panel).filter(has=page.get_by_role("img", name="running"))
    expect(job).to_have_count(1, timeout=STARTS_MS)
    return job


def rows(panel: Locator) -> Locator:
    return panel.get_by_role("tree", name="Jobs").get_by_role("treeitem")
