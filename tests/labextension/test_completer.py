"""Tab on a line of the magics, while the kernel is busy and while it is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import processes
from tests.labextension.conftest import STARTS_MS, run_all
from tests.labextension.test_panel import picture
from tests.processes import until_there

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]


def choices(page: Page, cell: Locator, text: str) -> Locator:
    """Write a line and ask for what could follow."""
    cell.locator(".cm-content").click()
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.type(text)
    page.keyboard.press("Tab")
    shown = page.locator(".jp-Completer:not(.lm-mod-hidden) .jp-Completer-item")
    expect(shown.first).to_be_visible()
    return shown


def test_the_names_of_nodes_are_completed_whether_or_not_the_kernel_is_busy(
    page: Page, lab: processes.Jupyter, gpu_node: None, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    hold = f"import pathlib, time\n{until_there(gate)}"
    run_all(page, lab, "completed", hold)
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    prompt = cells.nth(1).locator(".jp-InputPrompt")
    expect(prompt).to_have_text("[*]:", timeout=STARTS_MS)
    page.keyboard.press("b")
    expect(cells).to_have_count(3)
    found = choices(page, cells.nth(2), "%%remote -q ")
    expect(found.filter(has_text="gpu-node")).to_have_count(1)
    expect(found.filter(has_text="any")).to_have_count(1)
    picture(page, "completion-busy")
    page.keyboard.press("Escape")
    expect(choices(page, cells.nth(2), "%%remote gpu-n")).to_have_text(re.compile("gpu-node"))
    page.keyboard.press("Enter")
    expect(cells.nth(2).locator(".cm-content")).to_have_text("%%remote gpu-node")

    gate.touch()
    expect(prompt).to_have_text("[2]:", timeout=STARTS_MS)
    found = choices(page, cells.nth(2), "%%remote ")
    expect(found.filter(has_text="--no-auto-in")).to_have_count(1)  # it is the kernel's list
    expect(found.filter(has_text="gpu-node")).to_have_count(1)
