"""Widgets of cells on a node in a real JupyterLab: moved and pressed with the mouse."""

from __future__ import annotations


import pytest
from playwright.sync_api import Locator, Page, expect

from tests import processes
from tests.labextension.conftest import STARTS_MS, run_all

pytestmark = pytest.mark.timeout(180)

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
