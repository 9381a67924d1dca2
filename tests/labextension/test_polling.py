"""The panel where something between the page and the Jupyter server lets no WebSocket through."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests import processes
from tests.labextension.conftest import STARTS_MS, run_all
from tests.labextension.test_look import violations
from tests.labextension.test_panel import (
    expect_live_bars,
    node_row,
    open_panel,
    picture,
)

pytestmark = [pytest.mark.timeout(180), pytest.mark.long]

SAYS_SO = "No WebSocket gets through"
#: It ends when it is cancelled.
BARS = """%%remote gpu-node
import time
from tqdm import tqdm
for i in tqdm(range(100_000), desc="epochs"):
    time.sleep(0.1)"""


def block(page: Page, how: Callable[[WebSocketRoute], None]) -> None:
    """Break the stream of the panel; those of the kernels go on."""
    page.route_web_socket(lambda url: "easyremote/stream" in url, how)


def refuse(socket: WebSocketRoute) -> None:
    """As a proxy does that knows no upgrades."""
    socket.close()


def swallow(socket: WebSocketRoute) -> None:
    """As a proxy does that passes nothing on before an answer has ended."""


def test_the_panel_polls_and_says_so(page: Page, lab: processes.Jupyter, gpu_node: None) -> None:
    block(page, refuse)
    run_all(page, lab, "polled", BARS)
    page.locator('.jp-SideBar [data-id="easyremote-panel"]').click()
    panel = page.locator("#easyremote-panel")
    expect_live_bars(node_row(panel, "gpu-node"), "gpu-node")
    expect(panel.get_by_text(SAYS_SO)).to_be_visible()
    expect(panel.get_by_text("· polling")).to_be_visible()
    job = panel.get_by_role("tree", name="Jobs").get_by_role("treeitem").filter(has_text="epochs")
    bar = job.get_by_role("progressbar", name="epochs")
    expect(bar).to_be_visible(timeout=STARTS_MS)
    before = bar.get_attribute("aria-valuetext") or ""
    expect(bar).not_to_have_attribute("aria-valuetext", before)
    picture(page, "polling")
    assert violations(page, "#easyremote-panel") == []
    job.focus()
    page.keyboard.press("Delete")
    expect(panel.get_by_role("img", name="cancelled")).to_be_visible(timeout=STARTS_MS)


def test_a_stream_that_never_says_a_word_is_given_up(
    page: Page, lab: processes.Jupyter, gpu_node: None
) -> None:
    block(page, swallow)
    panel = open_panel(page, lab)
    expect(panel.get_by_text(SAYS_SO)).to_be_visible(timeout=STARTS_MS)
    expect_live_bars(node_row(panel, "gpu-node"), "gpu-node")
