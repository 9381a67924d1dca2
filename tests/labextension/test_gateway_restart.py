"""A gateway that is restarted while people are at work in the panel."""

from __future__ import annotations

import contextlib

import pytest
from playwright.sync_api import Page, expect

from tests import processes
from tests.labextension.conftest import STARTS_MS
from tests.labextension.test_panel import FOLLOWS_MS, node_row, open_panel, picture

pytestmark = pytest.mark.timeout(240)


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
