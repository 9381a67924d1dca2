"""Sessions in the panel: whose they are, what is in them, and their end, by mouse and keyboard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from easyremote.panel.messages import SessionRow
from tests import processes
from tests.labextension.conftest import STARTS_MS, open_notebook, run_all, wait_for_kernel
from tests.labextension.fake_stream import FakeStream, node
from tests.labextension.test_keyboard import tab_to
from tests.labextension.test_look import MARKUP, violations
from tests.labextension.test_panel import open_panel, picture

pytestmark = [pytest.mark.timeout(180), pytest.mark.long]

CELL = "%%remote gpu-node --pull never\nimport numpy as np\na = np.zeros((3, 4))\nx = 'text'"
RESTART = "Restart the session of this notebook on gpu-node"


def run(
    page: Page, lab: processes.Jupyter, name: str, *cells: str, session: str = ""
) -> tuple[Locator, Locator]:
    """Run a notebook; the panel, and the row of its session."""
    run_all(page, lab, name, *cells)
    page.set_viewport_size({"width": 1280, "height": 1000})
    page.locator('.jp-SideBar [data-id="easyremote-panel"]').click()
    panel = page.locator("#easyremote-panel")
    row = rows(panel).filter(has_text=session or f"{name}.ipynb")
    expect(row).to_contain_text("idle for", timeout=STARTS_MS)
    return panel, row


def rows(panel: Locator) -> Locator:
    return panel.get_by_role("tree", name="Sessions").get_by_role("treeitem")


def shown_cells(page: Page) -> Locator:
    return page.locator(".jp-Notebook .jp-CodeCell .cm-content")


def test_a_variable_is_brought_here_and_deleted_there(
    page: Page, lab: processes.Jupyter, gpu_node: None
) -> None:
    panel, session = run(page, lab, "sessions", CELL, "1")
    session.click()
    array = rows(panel).filter(has_text="ndarray (3, 4)")
    expect(array).to_contain_text("96")
    expect(array).to_have_attribute("aria-level", "2")
    # A look at a session is no job, and does not make it younger.
    expect(panel.get_by_role("tree", name="Jobs")).not_to_contain_text("variables")
    page.mouse.move(700, 300)
    picture(page, "sessions")
    assert violations(page, "#easyremote-panel") == []
    array.hover()
    array.get_by_role("button", name="Bring a into the notebook").click()
    cells = shown_cells(page)
    expect(cells.filter(has_text="%remote_get gpu-node a")).to_have_count(1)
    ran = page.locator(".jp-CodeCell").filter(has_text="%remote_get")
    expect(ran.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]:"))

    text = rows(panel).filter(has_text="str")
    text.hover()
    text.get_by_role("button", name="Delete x").click()
    expect(text.get_by_role("group", name="x is lost there.")).to_be_visible()
    picture(page, "session-delete")
    text.get_by_role("button", name="Delete", exact=True).click()
    expect(rows(panel).filter(has_text="str")).to_have_count(0)
    expect(array).to_have_count(1)


def test_a_variable_is_brought_into_a_notebook_that_has_not_loaded_the_magics(
    page: Page, lab: processes.Jupyter, gpu_node: None
) -> None:
    run(page, lab, "has-it", "%%remote gpu-node/shared\nb = 42", session="shared")
    open_notebook(page, lab, "wants-it", "1")
    wait_for_kernel(page)
    page.locator('.jp-SideBar [data-id="easyremote-panel"]').click()
    panel = page.locator("#easyremote-panel")
    rows(panel).filter(has_text="shared").click()
    variable = rows(panel).filter(has_text="int")
    variable.focus()
    page.keyboard.press("Enter")
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    expect(cells).to_have_count(3)
    expect(cells.nth(1).locator(".cm-content")).to_have_text("%load_ext easyremote")
    last = cells.nth(2)
    expect(last.locator(".cm-content")).to_have_text("%remote_get gpu-node/shared b")
    expect(last.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]:"))
    expect(last.locator(".jp-RenderedText[data-mime-type$=error]")).to_have_count(0)
    cells.nth(0).locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.type("b + 1")
    page.keyboard.press("Control+Enter")
    expect(cells.nth(0).locator(".jp-OutputArea-output")).to_have_text("43")


def test_a_session_is_restarted_and_ended_by_the_keyboard(
    page: Page, lab: processes.Jupyter, gpu_node: None
) -> None:
    cells = CELL, "%%remote gpu-node/named\nb = 1"
    panel, named = run(page, lab, "ended", *cells, session="named")
    expect(named).to_contain_text("ended.ipynb")
    named.focus()
    page.keyboard.press("Enter")
    variable = rows(panel).filter(has_text="int")
    expect(variable).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(variable).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(named).to_be_focused()

    page.keyboard.press("Tab")
    restart = named.get_by_role("button", name="Restart the session named")
    expect(restart).to_be_focused()
    page.keyboard.press("Enter")
    question = named.get_by_role("group", name="1 variable is lost.")
    expect(question.get_by_role("button", name="Restart")).to_be_focused()
    page.keyboard.press("Escape")
    expect(question).to_have_count(0)
    expect(named).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(panel.get_by_text("No variables.")).to_be_visible()

    named.focus()
    page.keyboard.press("Delete")
    end = named.get_by_role("button", name="End", exact=True)
    expect(end).to_be_focused()
    picture(page, "session-end")
    page.keyboard.press("Enter")
    expect(named).to_have_count(0)
    expect(rows(panel).filter(has_text="ended.ipynb")).to_have_count(1)
    expect(rows(panel).last).to_be_focused()
    assert page.locator(".jp-Dialog").count() == 0


def test_the_row_of_a_node_restarts_the_session_of_the_notebook(
    page: Page, lab: processes.Jupyter, gpu_node: None
) -> None:
    panel, session = run(page, lab, "restarted", CELL)
    session.click()
    expect(rows(panel).filter(has_text="ndarray (3, 4)")).to_be_visible()
    row = panel.get_by_role("tree", name="Nodes").get_by_role("treeitem")
    row.hover()
    row.get_by_role("button", name=RESTART).click()
    question = row.get_by_role("group", name="The running cell is stopped; all variables are lost.")
    expect(question).to_be_visible()
    picture(page, "node-restart")
    assert violations(page, "#easyremote-panel") == []
    question.get_by_role("button", name="Keep").click()
    expect(question).to_have_count(0)
    expect(row).to_be_focused()
    expect(tab_to(page, row, RESTART)).to_be_focused()
    page.keyboard.press("Enter")
    expect(question.get_by_role("button", name="Restart")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("The session on gpu-node was restarted and is empty.")).to_be_visible()
    expect(rows(panel).filter(has_text="ndarray (3, 4)")).to_have_count(0)


def test_a_row_restarts_nothing_where_the_notebook_has_no_session(
    page: Page, lab: processes.Jupyter, gpu_node: None
) -> None:
    run_all(page, lab, "sessionless", "1")
    page.locator('.jp-SideBar [data-id="easyremote-panel"]').click()
    row = page.get_by_role("tree", name="Nodes").get_by_role("treeitem")
    row.hover()
    row.get_by_role("button", name=RESTART).click()
    row.get_by_role("button", name="Restart", exact=True).click()
    expect(page.get_by_text("This notebook has no session on gpu-node")).to_be_visible()


def test_the_variables_follow_the_cells(page: Page, lab: processes.Jupyter, gpu_node: None) -> None:
    panel, session = run(page, lab, "followed", CELL)
    session.click()
    expect(rows(panel).filter(has_text="ndarray (3, 4)")).to_be_visible()
    cell = page.locator(".jp-Notebook .jp-CodeCell").nth(1)
    cell.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.type("%%remote gpu-node\nnew_one = 2.5")
    page.keyboard.press("Control+Enter")
    expect(rows(panel).filter(has_text="new_one")).to_contain_text("float")


SESSIONS = [
    {"session": "0123456789abcdef", "idle": 4000.0},
    {"session": "fit", "busy": True, "waiting": 2},
    {"session": MARKUP, "idle": 90.0},
]


def fake_sessions(page: Page, count: int = 3) -> None:
    """Sessions that no test machine has: odd names, and as many variables as one likes."""
    plain = {"node_id": "gpu-node", "busy": False, "waiting": 0, "idle": 0.0, "origin": ""}
    listed = [{**plain, **each} for each in SESSIONS]
    listed.append({**plain, "node_id": "office-mac", "session": "long-name-" * 9, "idle": 9.0})
    variables: list[Any] = [
        {"name": "frame", "type": "DataFrame", "size": 2.4e9, "text": "", "shape": [10**7, 30]},
        {"name": "long_" * 12, "type": "Tensor", "size": 512, "text": MARKUP, "shape": [3]},
        {
            "name": "model",
            "type": "GradientBoostingRegressor",
            "size": 48,
            "text": "",
            "shape": None,
        },
    ]
    variables += [{**variables[2], "name": f"v{number}"} for number in range(count - 3)]

    def answer(route: Route) -> None:
        is_list = "/variables" not in route.request.url
        body: Any = {"sessions": listed, "silent": ["attic"]}
        route.fulfill(json=body if is_list else {"busy": False, "variables": variables})

    page.route("**/easyremote/sessions?*", answer)
    page.route("**/easyremote/sessions/variables?*", answer)


def test_axe_finds_nothing_to_complain_about(
    page: Page, lab: processes.Jupyter, themes: Iterator[str]
) -> None:
    page.on("dialog", lambda dialog: pytest.fail(f"it ran: {dialog.message}"))
    FakeStream(page, [node("gpu-node", runs_code=True), node("office-mac", runs_code=True)])
    fake_sessions(page)
    page.set_viewport_size({"width": 1280, "height": 1000})
    panel = open_panel(page, lab)
    expect(rows(panel)).to_have_count(4)
    rows(panel).filter(has_text="01234567").click()
    expect(rows(panel).filter(has_text="DataFrame (10000000, 30)")).to_contain_text("2.4")
    expect(panel.get_by_text("No answer from attic.")).to_be_visible()
    for theme in themes:
        rows(panel).filter(has_text="fit").focus()
        page.keyboard.press("Delete")
        expect(panel.get_by_text("The running cell is stopped")).to_be_visible()
        picture(page, f"sessions-{theme}")
        assert violations(page, "#easyremote-panel") == []
        page.keyboard.press("Escape")
        expect(panel.get_by_text("The running cell is stopped")).to_be_hidden()


def test_of_ten_thousand_variables_only_those_that_can_be_seen_are_drawn(
    page: Page, lab: processes.Jupyter
) -> None:
    FakeStream(page, [node("gpu-node", runs_code=True)])
    fake_sessions(page, 10_000)
    panel = open_panel(page, lab)
    first = rows(panel).filter(has_text="01234567")
    first.click()
    expect(rows(panel).filter(has_text="frame")).to_have_attribute("aria-setsize", "10000")
    assert rows(panel).count() < 60
    first.focus()
    page.keyboard.press("End")
    last = rows(panel).filter(has_text="long-name-")
    expect(last).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(rows(panel).filter(has_text="fit")).to_be_focused()
    edges = rows(panel).evaluate_all(
        "rows => rows.map(row => row.getBoundingClientRect()).map(box => [box.top, box.bottom])"
    )
    edges = sorted(edges)[1:]  # the first may be the one that has the tab key
    gaps = [after[0] - before[1] for before, after in zip(edges, edges[1:], strict=False)]
    assert min(gaps) >= -0.6


def test_who_holds_gpu_memory_idle_is_asked_and_one_click_ends_the_session(
    page: Page, lab: processes.Jupyter
) -> None:
    text = (
        "key lab-2 waits for 24 GB of GPU memory on gpu-node; this session has held 31 GB idle "
        "for 2 h. Release it?"
    )
    held = [SessionRow("gpu-node", name, False, 0, 7200.0) for name in ("one", "two")]
    asked = {each.session: text for each in held}
    FakeStream(page, [node("gpu-node", runs_code=True, asked=asked)], sessions=held)
    end = re.compile(r"/easyremote/sessions/end")
    page.route(end, lambda route: route.fulfill(json={"done": True}))
    panel = open_panel(page, lab)
    row = rows(panel).filter(has_text="one")
    question = row.get_by_role("group", name=re.compile("key lab-2 waits for 24 GB"))
    expect(question).to_contain_text("Its variables are lost.")
    expect(question.get_by_role("button", name="Release")).not_to_be_focused()
    picture(page, "session-release")
    kept = rows(panel).filter(has_text="two")
    kept.get_by_role("button", name="Keep").click()
    expect(kept.get_by_role("group")).to_have_count(0)
    with page.expect_request(end) as request:
        question.get_by_role("button", name="Release").click()
    assert request.value.post_data_json == {"node_id": "gpu-node", "session": "one"}
