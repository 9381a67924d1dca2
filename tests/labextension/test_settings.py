"""Each setting of the schema does what it says; order and filters are in ``test_nodes.py``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import processes
from tests.labextension.conftest import STARTS_MS, run_all
from tests.labextension.fake_stream import FakeStream, node
from tests.labextension.test_panel import FOLLOWS_MS, open_panel
from tests.processes import until_there

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]

Choose = Callable[..., None]


@pytest.fixture
def choose(lab: processes.Jupyter) -> Iterator[Choose]:
    """Saves settings as a person would have, until the test ends."""
    folder = lab.log.parent / "settings" / "easyremote"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "panel.jupyterlab-settings"

    def save(**settings: Any) -> None:
        processes.write_json(file, settings)

    yield save
    file.unlink(missing_ok=True)


def test_hidden_sections_are_not_there(page: Page, lab: processes.Jupyter, choose: Choose) -> None:
    choose(hiddenSections=["functions"])
    FakeStream(page, [node("gpu-node")])
    panel = open_panel(page, lab)
    expect(panel.get_by_role("tree", name="Nodes")).to_be_visible()
    expect(panel.get_by_text("Nothing is running.")).to_be_visible()
    expect(panel.get_by_role("heading", name="Functions")).to_have_count(0)
    expect(panel.get_by_role("tree", name="Functions")).to_have_count(0)


def test_the_load_comes_as_seldom_as_is_wished_for(
    page: Page, lab: processes.Jupyter, gpu_node: None, choose: Choose
) -> None:
    choose(metricsInterval=60)
    with page.expect_websocket(lambda socket: "pace=60" in socket.url) as opening:
        panel = open_panel(page, lab)
    cpu = panel.get_by_role("progressbar", name="CPU of gpu-node")
    expect(cpu).to_have_attribute("aria-valuenow", re.compile(r"\d"), timeout=FOLLOWS_MS)
    deltas = [
        opening.value.wait_for_event("framereceived", lambda text: '"kind":"delta"' in text)
        for _ in range(3)
    ]
    assert not any('"cpu"' in delta for delta in deltas)
    choose(metricsInterval=1)
    with page.expect_websocket(lambda socket: "pace=1" in socket.url) as opening:
        page.reload()
    opening.value.wait_for_event("framereceived", lambda text: '"cpu"' in text)


def test_a_notebook_that_loads_easyremote_is_attached_to_the_default_node(
    page: Page, lab: processes.Jupyter, gpu_node: None, choose: Choose
) -> None:
    choose(defaultNode="gpu-node")
    run_all(page, lab, "default", "1")
    picker = page.get_by_role("combobox", name="Where the remote cells of this notebook run")
    expect(picker).to_have_value("remote gpu-node", timeout=STARTS_MS)
    picker.select_option("")
    page.keyboard.press("ControlOrMeta+S")
    expect(page.locator(".jp-mod-dirty")).to_have_count(0)
    page.reload()
    expect(picker).to_have_attribute(
        "title", "No node is attached to this notebook", timeout=STARTS_MS
    )


@pytest.mark.parametrize(("seconds", "notices"), [(1, 1), (3600, 0)])
def test_the_end_of_a_job_is_told_if_it_took_as_long_as_is_wished_for(
    page: Page,
    lab: processes.Jupyter,
    gpu_node: None,
    choose: Choose,
    tmp_path: Path,
    seconds: int,
    notices: int,
) -> None:
    choose(notifyAfter=seconds)
    gate = tmp_path / "gate"
    source = (
        "%%remote gpu-node\nimport pathlib, time\ntime.sleep(1)\nprint('begun')\n"
        f"{until_there(gate)}"
    )
    outputs = run_all(page, lab, f"told-{seconds}", source)
    expect(outputs.nth(1)).to_contain_text("begun", timeout=STARTS_MS)
    expect(status(page)).to_contain_text("1 running", timeout=FOLLOWS_MS)
    page.keyboard.press("ControlOrMeta+Shift+L")  # a launcher, in front of the notebook
    expect(page.locator(".jp-Notebook")).to_be_hidden()
    gate.touch()
    expect(status(page)).not_to_contain_text("running", timeout=FOLLOWS_MS)
    page.locator('.jp-SideBar [data-id="easyremote-panel"]').click()
    done = page.get_by_role("tree", name="Jobs").get_by_role("img", name="done")
    expect(done.first).to_be_visible(timeout=FOLLOWS_MS)
    told = page.get_by_role("alert").filter(has_text="is done, after")
    expect(told).to_have_count(notices)


def status(page: Page) -> Locator:
    return page.locator(".jp-EasyRemote-status")
