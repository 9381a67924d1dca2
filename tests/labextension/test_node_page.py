"""The page of a node: opened in each way, live, offline, and there again after a reload."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Locator, Page, Request, expect

from easyremote.panel.messages import EndedJob, JobRow
from tests import processes
from tests.labextension.conftest import STARTS_MS, run_all, wait_for_kernel
from tests.labextension.fake_stream import FakeStream, gpu, node
from tests.labextension.test_look import MARKUP, violations
from tests.labextension.test_panel import FOLLOWS_MS, node_row, open_panel, picture
from tests.labextension.test_sessions import fake_sessions
from tests.panel.test_messages import SAMPLES
from tests.processes import wait_until

pytestmark = pytest.mark.timeout(180)

BUSY = {
    "running": 4,
    "cpu": 0.62,
    "received": 12_345_678.0,
    "sent": 430_000.0,
    "runs_code": True,
    "installs": True,
    "session_idle": 86_400.0,
    "processes": 16,
    "labels": ["a100", MARKUP],
}
NODES = [
    node("gpu-node", gpus=[gpu(0.97, 71), gpu(0.35, 22)], functions=["train", "embed"], **BUSY),
    node("attic", state="offline", since=9000.0, functions=["train"]),
    node("office-mac"),
]
HALTED = "stands still on gpu-node: its owner works on it"
JOBS = [
    JobRow("a1", "train", "gpu-node", "running", 200.0, why=HALTED),
    JobRow("a2", "cell", "gpu-node", "running", 7500.0, "kernel/cell"),
    JobRow("a3", "embed", "gpu-node", "queued", 12.0, place=1),
    JobRow("a4", "embed", "office-mac", "running", 9.0),
]
ENDED = [EndedJob("b1", "cell", "gpu-node", "raised", 12.0, 70.0, "kernel/cell")]


def page_of(page: Page, node_id: str) -> Locator:
    return page.locator(".jp-EasyRemote-page").filter(has=page.get_by_role("heading", name=node_id))


def part(shown: Locator, title: str) -> Locator:
    return shown.get_by_role("region", name=title)


def test_axe_finds_nothing_to_complain_about(
    page: Page, lab: processes.Jupyter, themes: Iterator[str]
) -> None:
    page.on("dialog", lambda dialog: pytest.fail(f"it ran: {dialog.message}"))
    FakeStream(page, NODES, JOBS, ENDED)
    fake_sessions(page)
    used = json.loads((SAMPLES / "usage.json").read_text())
    used["rows"].append({**used["rows"][1], "key": MARKUP})
    page.route("**/easyremote/usage?node=gpu-node&*", lambda route: route.fulfill(json=used))
    page.set_viewport_size({"width": 1280, "height": 1400})
    node_row(open_panel(page, lab), "gpu-node").dblclick()
    shown = page_of(page, "gpu-node")
    expect(shown).to_contain_text(MARKUP)
    charts = shown.get_by_role("img", name="in the last 5 minutes")
    expect(charts).to_have_count(7)
    expect(part(shown, "Load")).to_contain_text("in 12.3\u202fMB/s")
    for line in charts.locator("path:not(.jp-EasyRemote-grid)").all():
        expect(line).to_have_attribute("d", re.compile(r"^M[\d. ]+L"))
    usage = part(shown, "Usage in the last 7 days").get_by_role("row")
    expect(usage).to_have_text(
        [
            "KeyCallsRun timeGPU timeSent thereCame back",
            "lab-11200 (1 without a value)40.5\u202fh38\u202fh200\u202fMB4.2\u202fkB",
            "lab-2345\u202fs0\u202fs30\u202fB30\u202fB",
            f"{MARKUP}345\u202fs0\u202fs30\u202fB30\u202fB",
        ]
    )
    expect(part(shown, "Used by")).to_contain_text("2 jobs of this key, 2 jobs of other keys")
    expect(part(shown, "What its owner allows")).to_contain_text("is idle for 1\u202fd ends")
    rows = part(shown, "Used by").get_by_role("treeitem")
    expect(rows).to_have_count(4)
    expect(rows.first).to_contain_text("stands still")
    expect(rows.first).to_contain_text(HALTED)
    first, second = rows.first.bounding_box(), rows.nth(1).bounding_box()
    assert first is not None and second is not None
    assert first["y"] + first["height"] <= second["y"], "its reason has room of its own"
    expect(part(shown, "Functions")).to_contain_text("train(data, epochs=10)")
    expect(part(shown, "Functions")).to_contain_text("needs 16 GB of GPU memory")
    expect(part(shown, "Sessions").get_by_role("treeitem").first).to_be_visible()
    for theme in themes:
        page.mouse.move(1270, 700)
        picture(page, f"node-page-{theme}")
        assert violations(page, ".jp-EasyRemote-page") == []


def test_its_owner_pauses_it_with_one_click_and_sees_why_nothing_starts(
    page: Page, lab: processes.Jupyter
) -> None:
    closed = "its owner lends it from 22:00"
    FakeStream(page, [node("gpu-node"), node("desk", closed=closed), node("a", lent="paused")])
    fake_sessions(page)
    page.route("**/easyremote/nodes/lend*", lambda route: route.fulfill(json={"closed": ""}))
    panel = open_panel(page, lab)
    node_row(panel, "desk").dblclick()
    shown = page_of(page, "desk")
    expect(shown).to_contain_text(f"closed: {closed}")
    expect(part(shown, "What its owner allows")).to_contain_text(f"starts here now: {closed}.")
    for node_id, label in (("desk", "Pause"), ("a", "Resume")):
        node_row(panel, node_id).dblclick()
        with page.expect_request("**/easyremote/nodes/lend*") as asked:
            page_of(page, node_id).get_by_role("button", name=label).click()
        assert asked.value.post_data_json == {"node_id": node_id, "how": label.lower()}


def test_its_owner_changes_the_rules_while_the_node_runs(
    page: Page, lab: processes.Jupyter, home: processes.Home, gpu_node: None
) -> None:
    with processes.open_node(home, "desk"):
        node_row(open_panel(page, lab), "desk").dblclick(timeout=FOLLOWS_MS)
        shown = page_of(page, "desk")
        part(shown, "What its owner allows").get_by_role("button", name="Change the Rules").click()
        form = shown.get_by_role("form", name="The rules of desk")
        expect(form).to_contain_text("They hold until the node ends")
        form.get_by_label("Share of the cores").fill("150%")
        hour = (datetime.now() + timedelta(hours=2)).hour
        form.get_by_label("Hours of the day").fill(f"{hour}-{(hour + 1) % 24}")
        form.get_by_label("What runs when it is not lent").select_option("stands still")
        form.get_by_role("button", name="Save").click()
        expect(form.get_by_role("alert")).to_contain_text("max_cpu is a share of the cores")
        expect(form.get_by_role("status")).to_have_text("Nothing was changed.")
        assert violations(page, ".jp-EasyRemote-page") == []
        picture(page, "node-page-rules")
        form.get_by_label("Share of the cores").fill("50%")
        form.get_by_label("Share of the cores").press("Enter")
        expect(form.get_by_role("status")).to_have_text("The rules are in force.")
        expect(form.get_by_role("alert")).to_have_count(0)
        closed = f"its owner lends it from {hour:02}:00"
        expect(part(shown, "What its owner allows")).to_contain_text(closed, timeout=FOLLOWS_MS)
        form.get_by_label("Hours of the day").fill("")
        form.get_by_role("button", name="Save").click()
        expect(part(shown, "What its owner allows")).not_to_contain_text(closed, timeout=FOLLOWS_MS)
        form.get_by_role("button", name="Close").click()
        expect(form).to_have_count(0)


def test_it_is_opened_by_keyboard_menu_button_and_palette(
    page: Page, lab: processes.Jupyter
) -> None:
    FakeStream(page, NODES)
    fake_sessions(page)
    panel = open_panel(page, lab)
    node_row(panel, "gpu-node").focus()
    page.keyboard.press("Alt+Enter")
    expect(page_of(page, "gpu-node")).to_be_visible()
    node_row(panel, "attic").click(button="right")
    page.get_by_role("menuitem", name="Open Its Page").click()
    attic = page_of(page, "attic")
    expect(attic).to_contain_text("The node is offline. These are its last known values.")
    expect(part(attic, "Functions")).to_contain_text("train")
    node_row(panel, "gpu-node").hover()
    node_row(panel, "gpu-node").get_by_role("button", name="Open the page of gpu-node").click()
    expect(page_of(page, "gpu-node")).to_be_visible()
    expect(page.locator(".jp-EasyRemote-page")).to_have_count(2)  # one for each node
    page.keyboard.press("Control+Shift+c")
    page.locator(".lm-CommandPalette-input").fill("page of office")
    page.keyboard.press("Enter")
    expect(page_of(page, "office-mac")).to_be_visible()


def test_it_says_so_where_nobody_knows_the_node(page: Page, lab: processes.Jupyter) -> None:
    FakeStream(page, NODES)
    fake_sessions(page)
    node_row(open_panel(page, lab), "office-mac").dblclick()
    expect(page_of(page, "office-mac")).to_be_visible()
    expect_saved(page, lab, "office-mac")
    FakeStream(page, NODES[:1])
    page.goto(f"{lab.url}lab?token={lab.token}")
    expect(page_of(page, "office-mac")).to_contain_text("The gateway does not know this node.")


def expect_saved(page: Page, lab: processes.Jupyter, node_id: str) -> None:
    """Leave the sidebar; JupyterLab saves its layout a second after a change."""
    page.locator('.jp-SideBar [data-id="filebrowser"]').click()
    url = f"{lab.url}lab/api/workspaces/default?token={lab.token}"

    def is_saved() -> bool:
        layout = page.request.get(url).json()["data"].get("layout-restorer:data", {})
        is_in_main = f"easyremote-node:{node_id}" in json.dumps(layout.get("main"))
        return is_in_main and layout["left"]["current"] == "filebrowser"

    wait_until(is_saved)


def test_it_is_live_comes_back_after_a_reload_and_asks_nothing_once_closed(
    page: Page, lab: processes.Jupyter, home: processes.Home, gpu_node: None
) -> None:
    run_all(page, lab, "used", "%%remote gpu-node\nx = [1, 2]")
    page.locator('.jp-SideBar [data-id="easyremote-panel"]').click()
    node_row(page.locator("#easyremote-panel"), "gpu-node").focus()
    page.keyboard.press("Alt+Enter")
    shown = page_of(page, "gpu-node")
    network = shown.get_by_role("img", name=re.compile(r"Network of gpu-node.*receives \d"))
    expect(network).to_be_visible(timeout=FOLLOWS_MS)
    session = part(shown, "Sessions").get_by_role("treeitem").filter(has_text="used.ipynb")
    expect(session).to_be_visible(timeout=STARTS_MS)
    expect(part(shown, "What its owner allows")).to_contain_text("Cells and shipped functions")
    expect_saved(page, lab, "gpu-node")

    page.goto(f"{lab.url}lab?token={lab.token}")
    tabs = page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab")
    tabs.filter(has_text="used.ipynb").click()
    wait_for_kernel(page)
    tab = tabs.filter(has_text="gpu-node")
    tab.click()
    expect(network).to_be_visible(timeout=FOLLOWS_MS)
    session.focus()
    page.keyboard.press("Enter")
    variable = part(shown, "Sessions").get_by_role("treeitem").filter(has_text="list")
    expect(variable).to_be_visible()
    picture(page, "node-page-live")
    variable.focus()
    page.keyboard.press("Enter")
    pulled = page.locator(".jp-Notebook .jp-CodeCell").filter(has_text="%remote_get gpu-node x")
    expect(pulled).to_have_count(1)

    asked: list[str] = []

    def note(request: Request) -> None:
        if "/easyremote/sessions?" in request.url:
            asked.append(request.url)

    tab.click()
    tab.locator(".lm-TabBar-tabCloseIcon").click()
    expect(shown).to_have_count(0)
    page.on("request", note)
    page.locator('.jp-SideBar [data-id="easyremote-panel"]').click()
    with page.expect_response(lambda answer: "/easyremote/sessions?" in answer.url):
        run = page.locator(".jp-Notebook .jp-CodeCell").filter(has_text="%%remote gpu-node")
        run.locator(".cm-content").click()
        page.keyboard.press("Control+Enter")
    assert not any("node=" in url for url in asked), asked


def test_what_was_known_stays_when_the_node_goes(
    page: Page, lab: processes.Jupyter, home: processes.Home, gpu_node: None
) -> None:
    with processes.open_node(home, "passing"):
        node_row(open_panel(page, lab), "passing").dblclick(timeout=FOLLOWS_MS)
        shown = page_of(page, "passing")
        cpu = shown.get_by_role("img", name=re.compile(r"CPU of passing.*now \d"))
        expect(cpu).to_be_visible(timeout=FOLLOWS_MS)
    expect(shown).to_contain_text("The node is offline.", timeout=FOLLOWS_MS)
    expect(part(shown, "What its owner allows")).to_contain_text("is idle for 1\u202fd ends")
    expect(shown.get_by_role("img", name=re.compile(r"CPU of passing.*now –"))).to_be_visible()
    picture(page, "node-page-offline")
    assert violations(page, ".jp-EasyRemote-page") == []
