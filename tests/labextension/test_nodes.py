"""What people do with the list of nodes: search, filter, sort, and use a node in a notebook."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests import processes
from tests.labextension.conftest import STARTS_MS
from tests.labextension.test_panel import FOLLOWS_MS, open_panel, picture

pytestmark = pytest.mark.timeout(120)

NODES = ("attic-2", "attic-10", "gpu-node")


@pytest.fixture(scope="module")
def nodes(home: processes.Home) -> Iterator[None]:
    """Three nodes online."""
    with (
        processes.gateway(home, processes.free_port()),
        processes.node(home, NODES[0]),
        processes.node(home, NODES[1]),
        processes.node(home, NODES[2]),
    ):
        yield


@pytest.fixture(scope="module")
def page(page_of_all: Page) -> Page:
    return page_of_all


@pytest.fixture(scope="module")
def panel(page: Page, lab: processes.Jupyter, nodes: None) -> Locator:
    panel = open_panel(page, lab)
    expect(rows(panel)).to_have_count(len(NODES), timeout=FOLLOWS_MS)
    return panel


def rows(panel: Locator) -> Locator:
    return panel.get_by_role("tree", name="Nodes").get_by_role("treeitem")


def names(panel: Locator) -> list[str]:
    return [row.get_attribute("aria-label") or "" for row in rows(panel).all()]


def test_the_search_and_the_filters_leave_the_nodes_that_fit(page: Page, panel: Locator) -> None:
    assert names(panel) == list(NODES)
    panel.get_by_role("searchbox", name="Search nodes").fill("ATTIC 10")
    expect(rows(panel)).to_have_count(1)
    expect(panel.get_by_text("1 of 3", exact=True)).to_be_visible()
    picture(page, "search")
    panel.get_by_role("searchbox", name="Search nodes").fill("")
    expect(rows(panel)).to_have_count(3)
    panel.get_by_role("button", name="GPU", exact=True).click()
    expect(panel.get_by_text("No node fits")).to_be_visible()
    picture(page, "no-node-fits")
    panel.get_by_role("button", name="GPU", exact=True).click()


def test_order_and_filters_are_remembered(
    page: Page, lab: processes.Jupyter, panel: Locator
) -> None:
    with page.expect_response(lambda response: "settings/easyremote" in response.url):
        panel.get_by_role("combobox").select_option("load")
    with page.expect_response(lambda response: "settings/easyremote" in response.url):
        panel.get_by_role("button", name="Online", exact=True).click()
    panel = open_panel(page, lab)
    expect(panel.get_by_role("combobox")).to_have_value("load", timeout=FOLLOWS_MS)
    online = panel.get_by_role("button", name="Online", exact=True)
    expect(online).to_have_attribute("aria-pressed", "true")
    with page.expect_response(lambda response: "settings/easyremote" in response.url):
        online.click()
    with page.expect_response(lambda response: "settings/easyremote" in response.url):
        panel.get_by_role("combobox").select_option("name")


#: The notebook that is shown: those of earlier tests are hidden.
NOTEBOOK = ".jp-NotebookPanel:not(.lm-mod-hidden)"


@pytest.fixture
def launcher(page: Page, panel: Locator) -> Locator:
    """The launcher, in a tab of its own where none is shown."""
    shown = page.locator(".jp-Launcher")
    if shown.count() == 0:
        page.get_by_role("menuitem", name="File", exact=True).click()
        page.get_by_role("menuitem", name="New Launcher").click()
    else:
        page.get_by_role("tab", name="Launcher").click()
    expect(shown).to_be_visible()
    return shown


@pytest.fixture
def notebook(page: Page, launcher: Locator) -> Locator:
    """A new notebook beside the panel; its cells."""
    launcher.locator(".jp-LauncherCard[data-category=Notebook]").first.click()
    cells = page.locator(f"{NOTEBOOK} .jp-CodeCell .cm-content")
    expect(cells).to_have_count(1)
    return cells


def test_a_button_of_the_row_inserts_a_cell_for_the_node(
    page: Page, panel: Locator, notebook: Locator
) -> None:
    row = rows(panel).filter(has_text="attic-10")
    row.hover()
    picture(page, "row-actions")
    row.get_by_role("button", name="Insert a cell for attic-10").click()
    expect(notebook).to_have_count(3)
    expect(notebook.nth(0)).to_have_text("%load_ext easyremote")
    expect(notebook.nth(1)).to_have_text("%%remote attic-10")
    expect(notebook.nth(1)).to_be_focused()
    page.keyboard.type("1 + 1")
    expect(notebook.nth(1)).to_have_text("%%remote attic-101 + 1")
    row.hover()
    row.get_by_role("button", name="Insert a cell for attic-10").click()
    expect(notebook).to_have_count(4)  # the magics are loaded once
    expect(notebook.nth(2)).to_be_focused()


def test_who_goes_to_another_tab_while_the_kernel_starts_stays_there(
    page: Page, panel: Locator, launcher: Locator
) -> None:
    held: list[Route] = []

    def hold_start(route: Route) -> None:
        if route.request.method == "POST":
            held.append(route)
        else:
            route.continue_()

    page.route("**/api/sessions?*", hold_start)
    launcher.locator(".jp-LauncherCard[data-category=Notebook]").first.click()
    cells = page.locator(f"{NOTEBOOK} .jp-CodeCell")
    expect(cells).to_have_count(1)
    row = rows(panel).filter(has_text="attic-10")
    row.hover()
    row.get_by_role("button", name="Insert a cell for attic-10").click()
    expect(cells).to_have_count(3)
    left = page.locator(NOTEBOOK).get_attribute("id")
    page.get_by_role("menuitem", name="File", exact=True).click()
    page.get_by_role("menuitem", name="New Launcher").click()
    expect(page.locator(".jp-Launcher")).to_be_visible()
    for route in held:
        route.continue_()
    page.unroute("**/api/sessions?*", hold_start)
    # The cell that loads the magics has run there.
    loader = page.locator(f"#{left} .jp-CodeCell").first
    expect(loader.locator(".jp-InputPrompt")).to_have_text("[1]:", timeout=STARTS_MS)
    expect(page.locator(".jp-Launcher")).to_be_visible()


def test_the_menu_of_a_row_inserts_a_cell_too(
    page: Page, panel: Locator, notebook: Locator
) -> None:
    rows(panel).filter(has_text="gpu-node").click(button="right")
    picture(page, "row-menu")
    page.get_by_role("menuitem", name="Insert a Cell for This Node").click()
    expect(notebook.nth(1)).to_have_text("%%remote gpu-node")
    expect(notebook.nth(1)).to_be_focused()


def test_a_row_that_is_dragged_into_a_notebook_becomes_a_cell(
    page: Page, panel: Locator, notebook: Locator
) -> None:
    rows(panel).filter(has_text="attic-2").drag_to(page.locator(f"{NOTEBOOK} .jp-CodeCell"))
    expect(notebook).to_have_count(3)
    expect(notebook.filter(has_text="%%remote attic-2")).to_have_count(1)
    expect(notebook.filter(has_text="%load_ext easyremote")).to_have_count(1)


def test_a_name_is_copied(page: Page, panel: Locator) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    row = rows(panel).filter(has_text="attic-2")
    row.hover()
    row.get_by_role("button", name="Copy the name attic-2").click()
    expect(page.get_by_text("Copied: attic-2")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "attic-2"


def test_the_status_bar_counts_the_nodes_and_opens_the_panel(page: Page, panel: Locator) -> None:
    page.locator('.jp-SideBar [data-id="easyremote-panel"]').click()
    expect(panel).to_be_hidden()
    item = page.locator(".jp-EasyRemote-status").get_by_role("button")
    expect(item).to_have_text("3 nodes online")
    item.click()
    expect(panel).to_be_visible()


def test_the_launcher_has_a_card_that_opens_the_panel(
    page: Page, panel: Locator, launcher: Locator
) -> None:
    page.locator('.jp-SideBar [data-id="easyremote-panel"]').click()
    expect(panel).to_be_hidden()
    launcher.locator('.jp-LauncherCard[title*="EasyRemote"]').click()
    expect(panel).to_be_visible()
    picture(page, "launcher")


def test_the_arrow_keys_move_through_the_nodes_and_open_their_details(
    page: Page, panel: Locator, notebook: Locator
) -> None:
    rows(panel).first.focus()
    page.keyboard.press("ArrowDown")
    expect(rows(panel).nth(1)).to_be_focused()
    page.keyboard.press("End")
    expect(rows(panel).filter(has_text="gpu-node")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(panel.get_by_text("Functions: hold, train")).to_be_visible()
    picture(page, "details")
    page.keyboard.press("ArrowLeft")
    expect(panel.get_by_text("Functions: hold, train")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(notebook.nth(1)).to_have_text("%%remote gpu-node")
