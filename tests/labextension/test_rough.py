"""The panel where the world around it is rough: lost connections, wrong clocks, two browsers."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, WebSocketRoute, expect

from tests import processes
from tests.labextension.conftest import STARTS_MS, run_all
from tests.labextension.fake_stream import FakeStream, node
from tests.labextension.test_look import ENDED, NODES
from tests.labextension.test_panel import FOLLOWS_MS, node_row, open_panel

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """What ends the cell of a test, also of one that fails."""
    file = tmp_path / "gate"
    yield file
    file.touch()


def bars(gate: Path) -> str:
    """A cell whose bar moves until the gate is there."""
    return (
        "%%remote gpu-node\nimport pathlib, time\nfrom tqdm import tqdm\n"
        f"gate = pathlib.Path({str(gate)!r})\n"
        "for epoch in tqdm(range(1000), desc='epochs'):\n"
        "    if gate.exists(): break\n"
        "    print('epoch', epoch); time.sleep(0.1)"
    )


def show(page: Page) -> Locator:
    page.locator('.jp-SideBar [data-id="easyremote-panel"]').click()
    return page.locator("#easyremote-panel")


def running(panel: Locator) -> Locator:
    jobs = panel.get_by_role("tree", name="Jobs").get_by_role("treeitem")
    found = jobs.filter(has=panel.page.get_by_role("img", name="running"))
    expect(found).to_have_count(1, timeout=STARTS_MS)
    return found


def test_bars_go_on_after_the_stream_of_the_page_was_cut(
    page: Page, lab: processes.Jupyter, gpu_node: None, gate: Path
) -> None:
    streams: list[WebSocketRoute] = []

    def relay(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        streams.append(socket)

    page.route_web_socket(lambda url: "easyremote/stream" in url, relay)
    outputs = run_all(page, lab, "cut", bars(gate))
    panel = show(page)
    count = running(panel).get_by_role("progressbar", name="epochs")
    expect(count).to_be_visible(timeout=STARTS_MS)
    streams[0].close()
    while len(streams) == 1:  # the test's own limit ends it
        page.wait_for_timeout(50)
    shown = float(count.get_attribute("aria-valuenow") or 0)
    page.wait_for_function(
        "([bar, shown]) => Number(bar.getAttribute('aria-valuenow')) > shown",
        arg=[count.element_handle(), shown],
    )
    expect(panel.get_by_role("status")).to_have_text("Connected")
    gate.touch()
    expect(panel.get_by_role("img", name="done").first).to_be_visible(timeout=FOLLOWS_MS)
    expect(outputs.nth(1)).to_contain_text("epoch 0")


@pytest.mark.parametrize("days", [-400, 1])
def test_times_are_right_where_the_clock_of_the_browser_is_wrong(
    page: Page, lab: processes.Jupyter, days: int
) -> None:
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    page.clock.install(time=now)
    FakeStream(page, NODES, ended=ENDED)
    panel = open_panel(page, lab)
    expect(node_row(panel, "attic")).to_contain_text(re.compile("offline for 2\\s?h"))
    page.clock.fast_forward("01:00:00")
    page.set_viewport_size({"width": 1200, "height": 900})  # draws the rows anew
    expect(node_row(panel, "attic")).to_contain_text(re.compile("offline for 3\\s?h"))


def test_two_browsers_that_cancel_one_job_both_see_it_cancelled(
    page: Page, browser: Browser, lab: processes.Jupyter, gpu_node: None, gate: Path
) -> None:
    run_all(page, lab, "both", bars(gate))
    panels = [show(page)]
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        other = context.new_page()
        panels.append(open_panel(other, lab))
        for panel in panels:
            running(panel).hover()
            expect(running(panel).get_by_role("button", name=re.compile("^Cancel"))).to_be_visible()
        buttons = [
            running(panel).get_by_role("button", name=re.compile("^Cancel")) for panel in panels
        ]
        for button in buttons:  # neither page has heard of the other's click yet
            button.evaluate("button => button.click()")
        for panel in panels:
            cancelled = panel.get_by_role("img", name="cancelled").first
            expect(cancelled).to_be_visible(timeout=STARTS_MS)
            expect(panel.get_by_role("button", name=re.compile("^Cancel"))).to_have_count(0)
            expect(panel.page.locator(".jp-toast-error, .Toastify__toast--error")).to_have_count(0)


def test_arrow_keys_scroll_an_open_docstring(page: Page, lab: processes.Jupyter) -> None:
    stream = FakeStream(page, [node("gpu-node", functions=["train", "tune"])])
    stream.document("\n".join(f"line {number}" for number in range(60)))
    panel = open_panel(page, lab)
    train = panel.get_by_role("treeitem", name="train, gpu-node")
    train.focus()
    page.keyboard.press("ArrowRight")
    doc = train.locator(".jp-EasyRemote-doc")
    doc.focus()
    page.keyboard.press("ArrowDown")
    expect(doc).to_be_focused()
    page.wait_for_function("doc => doc.scrollTop > 0", arg=doc.element_handle())
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowDown")
    expect(panel.get_by_role("treeitem", name="tune, gpu-node")).to_be_focused()
