"""Widgets of cells on a node in a real JupyterLab: moved and pressed with the mouse."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import processes
from tests.labextension.conftest import STARTS_MS, run_all

pytestmark = [pytest.mark.timeout(180), pytest.mark.long]

CELL = """%%remote gpu-node
from ipywidgets import Button, Output, interact
from IPython.display import display

@interact(x=(0, 10))
def square(x=4):
    print("square", x * x)

out, button = Output(), Button(description="Press")

@button.on_click
@out.capture()
def pressed(button):
    print("pressed", button.description)

display(button, out)
"""


def drag(page: Page, handle: Locator, by: float) -> None:
    """Drag with the mouse, as a hand does: through what lies between."""
    box = handle.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by, y, steps=30)
    page.mouse.up()


def test_a_slider_that_is_dragged_and_a_button_that_is_pressed_work(
    page: Page, lab: processes.Jupyter, gpu_node: None
) -> None:
    output = run_all(page, lab, "widgets", CELL).nth(1)
    expect(output).to_contain_text("square 16", timeout=STARTS_MS)
    drag(page, output.locator(".noUi-handle"), 400)
    expect(output).to_contain_text("square 100")
    expect(output).not_to_contain_text("square 16")
    expect(output.locator(".widget-readout")).to_have_text("10")
    output.get_by_role("button", name="Press").click()
    expect(output).to_contain_text("pressed Press")
    output.get_by_role("button", name="Press").click()
    expect(output.get_by_text("pressed Press\npressed Press")).to_be_visible()


def test_widgets_go_on_after_the_page_was_loaded_anew(
    page: Page, lab: processes.Jupyter, gpu_node: None
) -> None:
    # This kernel has widgets of its own, too: it would answer for those alone.
    own = "import ipywidgets\nmine = ipywidgets.IntText(3, description='mine')\nmine"
    output = run_all(page, lab, "widgets-anew", own, CELL)
    expect(output.nth(2)).to_contain_text("square 16", timeout=STARTS_MS)
    page.keyboard.press("Control+s")
    expect(page.locator(".jp-mod-dirty")).to_have_count(0)
    page.goto(page.url.partition("?")[0])
    expect(output.nth(1).locator("input[type=number]")).to_have_value("3", timeout=STARTS_MS)
    drag(page, output.nth(2).locator(".noUi-handle"), 400)
    expect(output.nth(2)).to_contain_text("square 100")
    output.nth(2).get_by_role("button", name="Press").click()
    expect(output.nth(2)).to_contain_text("pressed Press")
