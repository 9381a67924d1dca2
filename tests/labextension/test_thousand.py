"""The panel with a thousand nodes: each a real link to a real gateway."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests import processes
from tests.labextension.test_look import rows, violations
from tests.labextension.test_panel import FOLLOWS_MS, expect_live_bars, open_panel, picture

pytestmark = [pytest.mark.timeout(180), pytest.mark.long]

COUNT = 1000


@pytest.fixture
def links(home: processes.Home) -> Iterator[None]:
    """A thousand links; see `tests.benchmarks.links`."""
    port = processes.free_port()
    url = f"http://127.0.0.1:{port}/healthz"
    command = [sys.executable, "-m", "tests.benchmarks.links", str(COUNT)]
    log = home.path / "links.log"
    with (
        processes.gateway(home, port),
        processes.running(
            command, log, home.environment, lambda: processes.get(url)["nodes"] == COUNT
        ),
    ):
        yield


def test_a_thousand_nodes_are_searched_scrolled_sorted_and_live(
    page: Page, lab: processes.Jupyter, links: None
) -> None:
    panel = open_panel(page, lab)
    expect(rows(panel).first).to_have_attribute("aria-setsize", str(COUNT), timeout=FOLLOWS_MS)
    expect(page.locator(".jp-EasyRemote-status")).to_contain_text("1000 nodes online")
    expect_live_bars(rows(panel).first, "idle-0")
    rows(panel).first.focus()
    page.keyboard.press("End")
    last = rows(panel).filter(has_text="idle-999")
    expect(last).to_be_focused()
    expect(last).to_be_in_viewport(ratio=0.9)
    expect_live_bars(last, "idle-999")
    assert rows(panel).count() < 40
    picture(page, "thousand-links")
    assert violations(page, "#easyremote-panel") == []

    panel.get_by_role("combobox").select_option("load")
    busiest = rows(panel).filter(has=page.get_by_role("progressbar", name=re.compile("^CPU of")))
    expect(busiest.first.get_by_role("progressbar").first).to_have_attribute(
        "aria-valuenow", re.compile(r"^(9[5-9]|100)$")
    )
    panel.get_by_role("searchbox", name="Search nodes").fill("idle-77")
    expect(panel.get_by_text("11 of 1000", exact=True)).to_be_visible()
    panel.get_by_role("searchbox", name="Search nodes").fill("")
    panel.get_by_role("combobox").select_option("name")
    expect(rows(panel).first).to_have_attribute("aria-setsize", str(COUNT))
