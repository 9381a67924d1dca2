"""``%remote_panel``, which is for other front ends, as people see it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests import processes
from tests.labextension.conftest import STARTS_MS, run_all
from tests.labextension.test_panel import picture

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]

BARS = (
    "%%remote gpu-node --bg fit\nimport time\nfrom tqdm import tqdm\n"
    "for epoch in tqdm(range(60), desc='epochs'): time.sleep(0.5)"
)


def test_a_job_moves_and_is_cancelled_by_its_button(
    page: Page, lab: processes.Jupyter, gpu_node: None
) -> None:
    outputs = run_all(page, lab, "panel-magic", BARS, "%remote_panel")
    shown = outputs.nth(2)
    expect(shown).to_contain_text("epochs: ", timeout=STARTS_MS)
    expect(shown.get_by_text("gpu-node 1 of")).to_be_visible()
    shown.get_by_text("Sessions", exact=True).click()
    picture(page, "remote-panel")
    shown.get_by_role("button", name="Cancel").click()
    expect(shown.get_by_role("button", name="Cancel")).to_have_count(0, timeout=STARTS_MS)
    shown.get_by_text("Recent", exact=True).click()
    expect(shown.locator("td", has_text="cancelled")).to_have_count(1, timeout=STARTS_MS)
