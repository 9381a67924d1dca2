"""The panel as people see it: Chromium, JupyterLab, and a real gateway with real nodes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

import easyremote
from easyremote.identity import Key
from tests import processes

pytestmark = pytest.mark.timeout(120)

#: Where the pictures are left for people to look at; git ignores it.
SCREENSHOTS = Path(__file__).parents[1] / "screenshots"
#: The panel follows the gateway within the longest wait between two tries, and a start.
FOLLOWS_MS = 20_000


def open_panel(page: Page, lab: processes.Jupyter) -> Locator:
    page.goto(f"{lab.url}lab?token={lab.token}&reset")
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    expect(page.locator(".jp-Launcher")).to_be_visible()  # it takes the focus when it comes
    page.locator('.jp-SideBar [data-id="easyremote-panel"]').click()
    panel = page.locator("#easyremote-panel")
    expect(panel).to_be_visible()
    return panel


def node_row(panel: Locator, node_id: str) -> Locator:
    return panel.get_by_role("tree", name="Nodes").get_by_role("treeitem", name=node_id)


def expect_live_bars(row: Locator, node_id: str) -> None:
    for resource in ("CPU", "RAM"):
        bar = row.get_by_role("progressbar", name=f"{resource} of {node_id}")
        expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^\d+$"), timeout=FOLLOWS_MS)
    for line in row.locator(".jp-EasyRemote-sparkline path").all():
        expect(line).to_have_attribute("d", re.compile(r"^M[\d. ]+"))


def picture(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


@pytest.fixture
def gateway(home: processes.Home) -> Iterator[str]:
    with processes.gateway(home, processes.free_port()) as address:
        yield address


def test_the_panel_follows_a_gateway_from_nothing_to_a_node_and_back(
    page: Page, lab: processes.Jupyter, home: processes.Home
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    (home.path / "local.json").unlink(missing_ok=True)
    panel = open_panel(page, lab)
    status = panel.get_by_role("status")
    expect(status).to_have_text("Not configured")
    panel.get_by_text("In a terminal").click()
    expect(panel.get_by_text("easyremote up", exact=True)).to_be_visible()
    picture(page, "not-configured")

    port = processes.free_port()
    with processes.gateway(home, port):
        expect(status).to_have_text("Connected", timeout=FOLLOWS_MS)
        expect(panel.get_by_text("No nodes yet")).to_be_visible()
        panel.get_by_text("In a terminal").click()
        expect(panel.get_by_text(f"127.0.0.1:{port}").first).to_be_visible()
        panel.get_by_role("button", name="Copy the command").click()
        expect(panel.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == "easyremote node"
        picture(page, "no-nodes")
        with processes.node(home, "gpu-node"):
            expect(node_row(panel, "gpu-node")).to_contain_text("idle", timeout=FOLLOWS_MS)
        expect(node_row(panel, "gpu-node")).to_contain_text("offline", timeout=FOLLOWS_MS)
        expect(panel.get_by_role("progressbar")).to_have_count(0)
    expect(status).to_have_text("Gateway unreachable", timeout=FOLLOWS_MS)
    expect(panel.get_by_text(re.compile(r"Next try in \d s"))).to_be_visible()
    picture(page, "unreachable")

    with processes.gateway(home, port):
        panel.get_by_role("button", name="Try now").click()
        expect(status).to_have_text("Connected", timeout=FOLLOWS_MS)


def test_a_node_has_live_bars_and_its_running_call_is_shown(
    page: Page,
    lab: processes.Jupyter,
    home: processes.Home,
    gateway: str,
    tmp_path: Path,
) -> None:
    gate = tmp_path / "gate"
    key = home.local["keys"]["client"]
    with (
        processes.node(home, "gpu-node"),
        processes.node(home, "office-mac"),
        easyremote.Client(gateway, api_key=key) as client,
    ):
        job = client.call("hold", (str(gate),), node_id="gpu-node")
        for theme in ("Dark", "Light"):
            processes.write_settings(lab.log.parent, "themes", {"theme": f"JupyterLab {theme}"})
            panel = open_panel(page, lab)
            expect(node_row(panel, "gpu-node")).to_contain_text("1 of", timeout=FOLLOWS_MS)
            expect(node_row(panel, "office-mac")).to_contain_text("idle")
            for node_id in ("gpu-node", "office-mac"):
                expect_live_bars(node_row(panel, node_id), node_id)
            running = panel.get_by_role("tree", name="Jobs").get_by_role("treeitem")
            expect(running).to_contain_text("hold")
            expect(running).to_contain_text("gpu-node")
            picture(page, f"panel-{theme.lower()}")

        gate.touch()
        job.result(timeout=20)
        over = running.get_by_role("img", name="done")
        expect(over).to_be_visible(timeout=FOLLOWS_MS)


def test_a_key_that_the_gateway_refuses_is_named_as_the_reason(
    page: Page,
    lab: processes.Jupyter,
    home: processes.Home,
    gateway: str,
    tmp_path: Path,
) -> None:
    login = home.path / "login.json"
    foreign = {"gateway": gateway, "keys": {"client": str(Key.generate("client"))}}
    processes.write_json(login, foreign)
    try:
        panel = open_panel(page, lab)
        expect(panel.get_by_role("status")).to_have_text("Not authorised", timeout=FOLLOWS_MS)
        expect(panel.get_by_text("The gateway refused the key")).to_be_visible()
        picture(page, "not-authorised")
    finally:
        login.unlink()


def test_no_byte_that_reaches_the_browser_holds_the_key(
    page: Page, lab: processes.Jupyter, home: processes.Home, gateway: str
) -> None:
    received: list[bytes] = []

    def keep(payload: str | bytes) -> None:
        received.append(payload.encode() if isinstance(payload, str) else payload)

    page.on("websocket", lambda socket: socket.on("framereceived", keep))
    page.on(
        "requestfinished",
        lambda request: keep(request.url) if "easyremote" in request.url else None,
    )
    with processes.node(home, "gpu-node"):
        panel = open_panel(page, lab)
        expect(node_row(panel, "gpu-node")).to_contain_text("idle", timeout=FOLLOWS_MS)
        keep(page.content())
    everything = b"\n".join(received)
    assert b"gpu-node" in everything
    for key in map(Key.parse, home.local["keys"].values()):
        assert key.secret.encode() not in everything
