"""Jobs in the panel: real cells on a real node, seen, followed and stopped from the side."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from easyremote.client.client import Client
from tests import processes
from tests.labextension.test_look import violations
from tests.labextension.test_panel import picture
from tests.labextension.test_remote_cells import STARTS_MS, run_all
from tests.processes import until_there

pytestmark = pytest.mark.timeout(240)

BARS = (
    "%%remote gpu-node\nimport time\nfrom tqdm import tqdm\n"
    "for epoch in tqdm(range(1000), desc='epochs'):\n"
    "    print('epoch', epoch)\n"
    "    for _ in tqdm(range(4), desc='batches'): time.sleep(0.1)"
)


@pytest.fixture(scope="module")
def node(home: processes.Home) -> Iterator[None]:
    with (
        processes.gateway(home, processes.free_port()),
        processes.open_node(home, "gpu-node"),
    ):
        yield


@pytest.fixture(autouse=True)
def alone(page: Page, home: processes.Home, node: None) -> Iterator[None]:
    """A page with room, and no job of this test that another one would find."""
    page.set_viewport_size({"width": 1280, "height": 900})
    yield
    with Client(home.local["gateway"], home.local["keys"]["client"]) as client:
        for job in next(client.watch())["jobs"]:
            client.stop(job["call_id"], kill=True)


def open_panel(page: Page) -> Locator:
    panel = page.locator("#easyremote-panel")
    if not panel.is_visible():
        page.locator('.jp-SideBar [data-id="easyremote-panel"]').click()
    expect(panel).to_be_visible()
    return panel


def rows(panel: Locator) -> Locator:
    return panel.get_by_role("tree", name="Jobs").get_by_role("treeitem")


def running(panel: Locator) -> Locator:
    found = rows(panel).filter(has=panel.page.get_by_role("img", name="running"))
    expect(found).to_have_count(1, timeout=STARTS_MS)
    return found


def log(page: Page) -> Locator:
    return page.get_by_role("log", name="Log")


def test_a_running_cell_shows_how_far_it_is_everywhere_and_is_cancelled_from_the_panel(
    page: Page, lab: processes.Jupyter, node: None
) -> None:
    outputs = run_all(page, lab, "everywhere", BARS)
    panel = open_panel(page)
    job = running(panel)
    expect(job).to_contain_text("for epoch in tqdm")
    epochs = job.get_by_role("progressbar", name="epochs")
    expect(epochs).to_have_attribute("aria-valuetext", re.compile(r"^\d"), timeout=STARTS_MS)
    expect(job.get_by_role("progressbar", name="batches").first).to_be_visible()
    expect(panel.get_by_role("progressbar", name="Progress on gpu-node")).to_be_visible()
    status = page.locator(".jp-EasyRemote-status")
    expect(status).to_contain_text("1 running")
    expect(status.get_by_role("progressbar", name="Progress of the jobs")).to_be_visible()
    cell = page.locator(".jp-Notebook .jp-CodeCell").nth(1)
    expect(cell.get_by_role("progressbar", name="Progress of the cell")).to_be_attached()
    picture(page, "job-running")
    job.hover()
    picture(page, "job-hover")
    job.get_by_role("button", name="Cancel").click()
    expect(outputs.nth(1)).to_contain_text("KeyboardInterrupt", timeout=STARTS_MS)
    ended = rows(panel).first
    expect(ended.get_by_role("img", name="cancelled")).to_be_visible(timeout=STARTS_MS)
    expect(page.locator(".jp-EasyRemote-cellBar")).to_have_count(0)
    expect(status).not_to_contain_text("running")
    picture(page, "job-cancelled")

    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ended.hover()
    ended.get_by_role("button", name="Copy the error").click()
    expect(page.get_by_text("Copied: KeyboardInterrupt").first).to_be_visible()
    assert "for epoch in tqdm" in page.evaluate("navigator.clipboard.readText()")


def test_by_the_keyboard_alone_a_log_is_followed_searched_and_its_job_cancelled(
    page: Page, lab: processes.Jupyter, node: None
) -> None:
    run_all(page, lab, "keyboard", BARS)
    panel = open_panel(page)
    running(panel).focus()
    page.keyboard.press("ArrowRight")
    expect(running(panel)).to_have_attribute("aria-expanded", "true")
    picture(page, "job-details")
    assert violations(page, "#easyremote-panel") == []
    page.keyboard.press("Enter")
    expect(log(page)).to_contain_text("epoch 3", timeout=STARTS_MS)
    picture(page, "log")
    assert violations(page, ".jp-EasyRemote-logWidget") == []
    page.get_by_role("searchbox", name="Search the log").focus()
    page.keyboard.type("epoch 2")
    page.keyboard.press("Enter")
    expect(log(page).locator(".jp-mod-current mark")).to_have_text("epoch 2")
    expect(page.get_by_role("checkbox", name="Follow")).not_to_be_checked()
    picture(page, "log-search")
    running(panel).focus()
    page.keyboard.press("Delete")
    expect(rows(panel).first.get_by_role("img", name="cancelled")).to_be_visible(timeout=STARTS_MS)
    page.get_by_role("searchbox", name="Search the log").fill("")
    page.get_by_role("checkbox", name="Follow").check()
    expect(log(page)).to_contain_text("KeyboardInterrupt", timeout=STARTS_MS)
    expect(page.locator(".jp-EasyRemote-logTools").get_by_role("status")).to_have_text("failed")
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Download the log").click()
    text = Path(downloading.value.path()).read_text()
    assert text.startswith("epoch 0\nepoch 1\n")
    assert "KeyboardInterrupt" in text


def test_the_cell_of_a_job_is_found_when_its_notebook_was_closed(
    page: Page, lab: processes.Jupyter, node: None, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    source = (
        "%%remote gpu-node\nimport pathlib, time\nprint('begun')\n"
        f"{until_there(gate)}\nprint('en' + 'ded')"
    )
    outputs = run_all(page, lab, "closed", *["1"] * 30, source)
    expect(outputs.nth(31)).to_contain_text("begun", timeout=STARTS_MS)
    panel = open_panel(page)
    expect(running(panel)).to_contain_text("print('begun')")
    page.keyboard.press("Control+s")
    tab = page.locator(".lm-TabBar-tab[title*='closed.ipynb']")
    expect(tab).not_to_have_class(re.compile("jp-mod-dirty"))
    tab.locator(".lm-TabBar-tabCloseIcon").click()
    expect(page.locator(".jp-Notebook")).to_have_count(0)
    running(panel).hover()
    running(panel).get_by_role("button", name="Go to the cell").click()
    active = page.locator(".jp-Notebook .jp-CodeCell.jp-mod-active")
    expect(active).to_contain_text("print('begun')", timeout=STARTS_MS)
    expect(active).to_be_in_viewport()

    # What it has shown comes back into the notebook, and the rest as well.
    running(panel).focus()
    page.keyboard.press("ArrowRight")
    panel.get_by_role("button", name="Replay").click()
    gate.touch()
    replayed = page.locator(".jp-Notebook .jp-CodeCell.jp-mod-active .jp-Cell-outputWrapper")
    expect(replayed.or_(page.locator(".jp-Cell-outputWrapper").last)).to_contain_text(
        "ended", timeout=STARTS_MS
    )
    picture(page, "replayed")


def test_a_job_is_among_what_runs_in_jupyterlab_and_shutting_it_down_cancels_it(
    page: Page, lab: processes.Jupyter, node: None
) -> None:
    outputs = run_all(page, lab, "sessions", BARS)
    page.locator('.jp-SideBar [data-id="jp-running-sessions"]').click()
    listed = page.locator("#jp-running-sessions .jp-RunningSessions-item").filter(
        has_text="for epoch in tqdm"
    )
    expect(listed).to_have_count(1, timeout=STARTS_MS)
    picture(page, "running-panel")
    listed.hover()
    listed.locator(".jp-RunningSessions-itemShutdown").click()
    expect(outputs.nth(1)).to_contain_text("KeyboardInterrupt", timeout=STARTS_MS)
    expect(listed).to_have_count(0)


def test_a_kill_asks_first_and_ends_the_session(
    page: Page, lab: processes.Jupyter, node: None
) -> None:
    outputs = run_all(page, lab, "killed", BARS)
    panel = open_panel(page)
    running(panel).click(button="right")
    picture(page, "job-menu")
    page.get_by_role("menuitem", name="Kill the Job with Its Session…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("its variables are lost")
    picture(page, "kill")
    dialog.get_by_role("button", name="Keep It").click()
    running(panel).click(button="right")
    page.get_by_role("menuitem", name="Kill the Job with Its Session…").click()
    dialog.get_by_role("button", name="End It").click()
    expect(outputs.nth(1)).to_contain_text("its process killed", timeout=STARTS_MS)
    ended = rows(panel).first.get_by_role("img", name="cancelled")
    expect(ended).to_be_visible(timeout=STARTS_MS)
