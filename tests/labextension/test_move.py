"""A cell of a notebook is made one of a node: dropped on its row, or by the keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import processes
from tests.labextension.conftest import open_notebook
from tests.labextension.test_panel import FOLLOWS_MS, node_row, picture

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]


@pytest.fixture
def cells(page: Page, lab: processes.Jupyter, gpu_node: None) -> Locator:
    sources = ["%load_ext easyremote", "%%remote other --pull 1M -q\n1", "2", "# Words"]
    cells = open_notebook(page, lab, "moved", *sources)
    page.locator('.jp-SideBar [data-id="easyremote-panel"]').click()
    expect(row(page)).to_be_visible(timeout=FOLLOWS_MS)
    return cells


def row(page: Page) -> Locator:
    return node_row(page.locator("#easyremote-panel"), "gpu-node")


def text(cell: Locator) -> Locator:
    return cell.locator(".cm-content")


def carry(page: Page, cell: Locator) -> None:
    """Drag a cell by its number over the row of the node, and hold it there."""
    cell.locator(".jp-InputPrompt").hover()
    page.mouse.down()
    box = row(page).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 12, steps=8)
    expect(row(page)).to_have_class(re.compile("jp-mod-dropTarget"))


def test_a_cell_that_is_dropped_on_a_node_runs_there(page: Page, cells: Locator) -> None:
    carry(page, cells.nth(2))
    picture(page, "drop-target")
    page.mouse.up()
    expect(text(cells.nth(2))).to_have_text("%%remote gpu-node2")
    expect(row(page)).not_to_have_class(re.compile("jp-mod-dropTarget"))
    expect(cells).to_have_count(4)  # it is where it was, and nothing was inserted

    carry(page, cells.nth(1))
    page.mouse.up()
    expect(text(cells.nth(1))).to_have_text("%%remote gpu-node --pull 1M -q1")
    text(cells.nth(1)).click()
    page.keyboard.press("ControlOrMeta+Z")
    expect(text(cells.nth(1))).to_have_text("%%remote other --pull 1M -q1")


def test_what_is_no_code_and_what_loads_the_magics_stay_as_they_are(
    page: Page, cells: Locator
) -> None:
    carry(page, cells.nth(0))
    page.mouse.up()
    expect(page.get_by_text("1 cell was not changed").first).to_be_visible()
    expect(text(cells.nth(0))).to_have_text("%load_ext easyremote")
    cells.nth(3).locator(".jp-InputPrompt").click()
    page.keyboard.press("m")
    words = page.locator(".jp-Notebook .jp-MarkdownCell")
    expect(words).to_have_count(1)
    page.keyboard.press("r")
    words = page.locator(".jp-Notebook .jp-RawCell")
    carry(page, words)
    page.mouse.up()
    expect(page.get_by_text("1 cell was not changed")).to_have_count(2)
    expect(words.locator(".cm-content")).to_have_text("# Words")
    picture(page, "drop-refused")


def test_by_the_keyboard_alone_the_active_cell_is_made_one_of_a_node(
    page: Page, cells: Locator
) -> None:
    cells.nth(2).locator(".jp-InputPrompt").click()
    page.keyboard.press("ControlOrMeta+Shift+C")
    page.keyboard.type("active cell run on a node")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Where should this cell run?")
    picture(page, "move-dialog")
    page.keyboard.press("Enter")
    expect(text(cells.nth(2))).to_have_text("%%remote gpu-node2")


def test_the_menu_of_a_row_moves_the_active_cell_and_the_magics_are_loaded_where_they_are_not(
    page: Page, lab: processes.Jupyter, gpu_node: None
) -> None:
    cells = open_notebook(page, lab, "unloaded", "6 * 7")
    page.locator('.jp-SideBar [data-id="easyremote-panel"]').click()
    row(page).click(button="right")
    page.get_by_role("menuitem", name="Make the Active Cell Run on This Node").click()
    expect(cells).to_have_count(2)
    expect(text(cells.nth(0))).to_have_text("%load_ext easyremote")
    expect(text(cells.nth(1))).to_have_text("%%remote gpu-node6 * 7")
    expect(cells.nth(1)).to_have_class(re.compile("jp-mod-active"))
    cells.nth(1).click(button="right")
    picture(page, "cell-menu")
    expect(page.get_by_role("menuitem", name="Run on a Node…")).to_be_enabled()
