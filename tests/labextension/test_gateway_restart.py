"""A gateway that is restarted while people are at work in the panel."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests import processes
from tests.labextension.conftest import STARTS_MS, run_all
from tests.labextension.test_panel import FOLLOWS_MS, node_row, open_panel, picture
from tests.labextension.test_polling import SAYS_SO, block, refuse
from tests.processes import until_there

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]


def test_a_log_goes_on_where_it_was_when_the_gateway_is_there_again(
    page: Page, lab: processes.Jupyter, home: processes.Home, tmp_path: Path
) -> None:
    gate, port = tmp_path / "gate", processes.free_port()
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        first.enter_context(processes.gateway(home, port))
        second.enter_context(processes.open_node(home, "gpu-node"))
        run_all(
            *(page, lab, "log-over-a-restart"),
            "%%remote gpu-node\nimport pathlib, time\nprint('be' + 'fore')\n"
            f"{until_there(gate)}\n"
            "print('af' + 'ter')",
        )
        page.locator('.jp-SideBar [data-id="easyremote-panel"]').click()
        jobs = page.locator("#easyremote-panel").get_by_role("tree", name="Jobs")
        running = jobs.get_by_role("treeitem").filter(has=page.get_by_role("img", name="running"))
        running.focus(timeout=STARTS_MS)
        page.keyboard.press("Enter")
        log = page.get_by_role("log", name="Log")
        expect(log).to_have_text("before", timeout=STARTS_MS)
        first.close()
        status = page.locator(".jp-EasyRemote-footer").get_by_role("status")
        expect(status).not_to_have_text("Connected", timeout=FOLLOWS_MS)
        expect(log).to_have_text("before")
        first.enter_context(processes.gateway(home, port))
        expect(status).to_have_text("Connected", timeout=FOLLOWS_MS)
        gate.touch()
        expect(log).to_have_text(re.compile(r"^before\s*after$"), timeout=STARTS_MS)
        state = page.locator(".jp-EasyRemote-logTools").get_by_role("status")
        expect(state).to_have_text("done", timeout=STARTS_MS)
        picture(page, "log-over-a-restart")


def test_a_form_keeps_what_was_filled_in_while_the_gateway_is_restarted(
    page: Page, lab: processes.Jupyter, home: processes.Home
) -> None:
    port = processes.free_port()
    with contextlib.ExitStack() as first, contextlib.ExitStack() as second:
        first.enter_context(processes.gateway(home, port))
        second.enter_context(processes.node(home, "attic"))
        panel = open_panel(page, lab)
        train = panel.get_by_role("treeitem", name="train, attic")
        train.hover()
        train.get_by_role("button", name="Run train").click()
        panel.get_by_label("epochs").fill("7")
        first.close()
        status = panel.locator(".jp-EasyRemote-footer").get_by_role("status")
        expect(status).not_to_have_text("Connected", timeout=FOLLOWS_MS)
        expect(panel.get_by_label("epochs")).to_have_value("7")
        picture(page, "form-gateway-away")
        first.enter_context(processes.gateway(home, port))
        expect(status).to_have_text("Connected", timeout=FOLLOWS_MS)
        expect(node_row(panel, "attic")).to_contain_text("idle", timeout=STARTS_MS)
        expect(panel.get_by_label("epochs")).to_have_value("7")
        panel.get_by_role("button", name="Run", exact=True).click()
        expect(panel.locator("pre")).to_contain_text('"epochs": 7', timeout=STARTS_MS)


def test_a_gateway_that_comes_back_is_seen_by_who_polls(
    page: Page, lab: processes.Jupyter, home: processes.Home
) -> None:
    block(page, refuse)
    port = processes.free_port()
    with processes.gateway(home, port):
        panel = open_panel(page, lab)
        status = panel.get_by_role("status").first
        expect(status).to_have_text("Connected", timeout=FOLLOWS_MS)
    expect(status).to_have_text("Gateway unreachable", timeout=FOLLOWS_MS)
    with processes.gateway(home, port):
        panel.get_by_role("button", name="Try now").click()
        expect(status).to_have_text("Connected", timeout=FOLLOWS_MS)
        expect(panel.get_by_text(SAYS_SO)).to_be_visible()
