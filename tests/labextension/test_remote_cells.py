"""Cells on a node in a real JupyterLab: output of background cells, bars, the stop button."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests import processes
from tests.labextension.conftest import STARTS_MS, run_all, wait_for_kernel
from tests.processes import until_there

pytestmark = pytest.mark.timeout(180)


def test_a_background_cell_goes_on_in_its_own_output_when_others_have_run(
    page: Page, lab: processes.Jupyter, gpu_node: None, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    outputs = run_all(
        page,
        lab,
        "background",
        "%%remote gpu-node --bg job\nimport time, pathlib\nprint('begun')\n"
        f"{until_there(gate)}\nprint('en' + 'ded')",
        "print('other')",
    )
    expect(outputs.nth(1)).to_contain_text("begun", timeout=STARTS_MS)
    expect(outputs.nth(2)).to_have_text("other")
    gate.touch()
    expect(outputs.nth(1)).to_contain_text("ended")
    expect(outputs.nth(1)).to_contain_text("done")
    expect(outputs.nth(2)).to_have_text("other")


def test_a_bar_moves_and_the_stop_button_leaves_it_red(
    page: Page, lab: processes.Jupyter, gpu_node: None
) -> None:
    outputs = run_all(
        page,
        lab,
        "bars",
        "%%remote gpu-node\nimport time\nfrom tqdm import tqdm\n"
        "for _ in tqdm(range(10_000), desc='steps'): time.sleep(0.05)",
        "print('never')",
    )
    bar = outputs.nth(1).locator(".easyremote-progress")
    expect(bar).to_contain_text(re.compile(r"steps:.* [1-9]\d*/10000"), timeout=STARTS_MS)
    before = bar.inner_text()
    expect(bar).not_to_have_text(before)
    expect(outputs.nth(1).locator(".easyremote-header")).to_contain_text("gpu-node 00:0")
    page.locator('[data-command="notebook:interrupt-kernel"], [title^="Interrupt"]').first.click()
    expect(outputs.nth(1)).to_contain_text("KeyboardInterrupt")
    expect(bar.locator("[style*='--jp-error-color1']")).to_have_count(1)
    expect(outputs.nth(2)).not_to_contain_text("never")


def test_after_the_page_was_loaded_again_the_job_is_followed_to_its_end(
    page: Page, lab: processes.Jupyter, gpu_node: None, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    outputs = run_all(
        page,
        lab,
        "again",
        "%%remote gpu-node\nimport time, pathlib\nfor n in range(5): print('before', n)\n"
        f"{until_there(gate)}\nprint('en' + 'ded')",
    )
    expect(outputs.nth(1)).to_contain_text("before 4", timeout=STARTS_MS)
    page.reload()
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    expect(page.locator(".jp-Notebook .jp-CodeCell")).to_have_count(2)
    gate.touch()
    wait_for_kernel(page)
    page.locator(".jp-Notebook .jp-CodeCell .cm-content").nth(1).click()
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    page.keyboard.press("Enter")
    page.keyboard.type("%remote_jobs")
    page.keyboard.press("Control+Enter")
    listed = page.locator(".jp-Notebook .jp-CodeCell").nth(2).locator(".jp-OutputArea-output")
    expect(listed.last).to_contain_text("done", timeout=STARTS_MS)
    job = re.search(r"\b[0-9a-f]{8}\b", listed.last.inner_text())
    assert job is not None
    page.keyboard.press("Enter")
    page.keyboard.press("Control+A")
    page.keyboard.type(f"%remote_job {job[0]} --follow")
    page.keyboard.press("Control+Enter")
    expect(listed.last).to_contain_text("ended", timeout=STARTS_MS)
    expect(listed.last).to_contain_text("before 0")
