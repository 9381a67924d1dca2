"""Functions in the panel: found, read, put into a notebook, and run from a form."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import processes
from tests.labextension.test_look import violations
from tests.labextension.test_panel import open_panel, picture

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def nodes(home: processes.Home) -> Iterator[None]:
    with (
        processes.gateway(home, processes.free_port()),
        processes.node(home, "attic"),
        processes.node(home, "gpu-node"),
    ):
        yield


@pytest.fixture(scope="module")
def page(page_of_all: Page) -> Page:
    return page_of_all


@pytest.fixture(scope="module")
def panel(page: Page, lab: processes.Jupyter, nodes: None) -> Locator:
    page.on("dialog", lambda dialog: pytest.fail(f"it ran: {dialog.message}"))
    page.set_viewport_size({"width": 1280, "height": 1000})
    panel = open_panel(page, lab)
    expect(rows(panel)).to_have_count(4)
    return panel


def rows(panel: Locator) -> Locator:
    return panel.get_by_role("tree", name="Functions").get_by_role("treeitem")


def test_a_function_is_found_read_and_called_in_the_notebook(page: Page, panel: Locator) -> None:
    page.locator(".jp-LauncherCard[data-category=Notebook]").first.click()
    cells = page.locator(".jp-Notebook .jp-CodeCell .cm-content")
    expect(cells).to_have_count(1)
    panel.get_by_role("searchbox", name="Search functions").fill("train gpu")
    expect(rows(panel)).to_have_count(1)
    rows(panel).focus()
    page.keyboard.press("ArrowRight")
    # Markup in a docstring is text.
    expect(rows(panel)).to_contain_text("<script>alert(1)</script> <img src=x")
    picture(page, "functions")
    assert violations(page, "#easyremote-panel") == []
    page.keyboard.press("Enter")
    expect(cells).to_have_count(2)
    expect(cells.nth(1)).to_contain_text('@remote(node_id="gpu-node")')
    expect(cells.nth(1)).to_contain_text("train(epochs=...)")
    panel.get_by_role("searchbox", name="Search functions").fill("")
    expect(rows(panel)).to_have_count(4)


def test_the_name_of_a_function_is_copied_by_the_keyboard(page: Page, panel: Locator) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    panel.get_by_role("treeitem", name="train, attic").focus()
    page.keyboard.press("ControlOrMeta+c")
    expect(page.get_by_text("Copied: train")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "train"


def test_a_function_is_run_from_a_form_by_the_keyboard(page: Page, panel: Locator) -> None:
    train = rows(panel).filter(has_text="train").nth(1)
    train.hover()
    train.get_by_role("button", name="Run train").focus()
    page.keyboard.press("Enter")
    expect(panel.get_by_role("button", name="All functions")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(panel.get_by_role("alert")).to_have_text("Enter a whole number.")
    picture(page, "form-wrong")
    expect(panel.get_by_role("textbox", name="epochs")).to_be_focused()
    page.keyboard.type("3")
    page.keyboard.press("Tab")
    expect(panel.get_by_role("textbox", name="rate")).to_be_focused()
    page.keyboard.type("0.5")
    page.keyboard.press("Enter")
    value = panel.locator(".jp-EasyRemote-form pre")
    expect(value).to_contain_text('"epochs": 3')
    expect(value).to_contain_text('"rate": 0.5')
    expect(value).to_contain_text('"kind": "adam"')
    expect(value).to_be_in_viewport()
    picture(page, "form-done")
    assert violations(page, "#easyremote-panel") == []
    panel.get_by_role("textbox", name="epochs").fill("-1")
    panel.get_by_role("button", name="Run", exact=True).click()
    expect(value).to_contain_text("ValueError: epochs is at least 0")
    picture(page, "form-failed")
    panel.get_by_role("button", name="All functions").click()
    expect(rows(panel)).to_have_count(4)


def test_a_run_is_cancelled_where_it_was_started(page: Page, panel: Locator) -> None:
    hold = rows(panel).filter(has_text="hold").first
    hold.hover()
    hold.get_by_role("button", name="Run hold").click()
    panel.get_by_role("textbox", name="gate").fill('"/nowhere/never"')
    panel.get_by_role("button", name="Run", exact=True).click()
    form = panel.locator(".jp-EasyRemote-form")
    form.get_by_role("button", name="Cancel").click()
    expect(form.locator("pre")).to_contain_text("cancelled")
    jobs = panel.get_by_role("tree", name="Jobs").get_by_role("treeitem")
    expect(jobs.filter(has_text="hold").get_by_role("img", name="running")).to_have_count(0)
