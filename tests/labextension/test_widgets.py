"""Widgets of cells on a node in a real JupyterLab: moved and pressed with the mouse."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import processes
from tests.labextension.conftest import STARTS_MS, run_all
from tests.labextension.test_panel import picture

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


#: Asks a while after its end, as `Questions` does when the gateway tells of somebody who waits.
ASKS = """
import time
from easyremote_jupyter.output.question import ShownQuestion
kernel, here = get_ipython().kernel, get_ipython().kernel.get_parent()

def ask():
    global shown
    text = "key lab-2 waits for 24 GB of GPU memory on gpu-node. Release it?"
    shown = ShownQuestion(
        kernel, here, text, "", release=lambda: shown.say("It has ended."), keep=lambda: None
    )

print("held")
"""
LATER = "kernel.io_loop.call_later(2, ask)\nprint('idle')"


def test_a_question_comes_below_a_cell_that_is_over_and_its_button_answers_it(
    page: Page, lab: processes.Jupyter, gpu_node: None
) -> None:
    output = run_all(page, lab, "asked", ASKS, LATER)
    expect(output.nth(2)).to_contain_text("idle", timeout=STARTS_MS)
    expect(output.nth(1)).to_contain_text("Release it?", timeout=STARTS_MS)
    expect(output.nth(1).get_by_role("button", name="Keep")).to_be_visible()
    expect(output.nth(2)).not_to_contain_text("Release it?")
    picture(page, "question")
    output.nth(1).get_by_role("button", name="Release").click()
    expect(output.nth(1)).to_contain_text("It has ended.")
    expect(output.nth(1).get_by_role("button", name="Keep")).to_have_count(0)
