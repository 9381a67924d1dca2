"""A newcomer with no documentation, in a real JupyterLab: from nothing to a cell on a node."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from easyremote.identity import Key
from tests import processes
from tests.labextension.test_look import violations
from tests.labextension.test_panel import FOLLOWS_MS, node_row, open_panel, picture

pytestmark = pytest.mark.timeout(180)

#: A gateway, a node, a kernel and a session start, all on a busy machine.
STARTS_MS = 60_000


@pytest.fixture(scope="module")
def nobodys_home(tmp_path_factory: pytest.TempPathFactory) -> processes.Home:
    return processes.Home(tmp_path_factory.mktemp("nobody"))


@pytest.fixture(scope="module")
def nobodys_lab(
    bundle: Path, nobodys_home: processes.Home, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[processes.Jupyter]:
    """A JupyterLab of somebody who has no gateway."""
    folder = tmp_path_factory.mktemp("nobodys-lab") / "server"
    with processes.jupyter("jupyterlab", folder, nobodys_home) as served:
        yield served


def test_the_form_tells_in_place_what_is_wrong_and_connects_by_keyboard_alone(
    page: Page,
    nobodys_lab: processes.Jupyter,
    nobodys_home: processes.Home,
    tmp_path: Path,
) -> None:
    home = processes.Home(tmp_path)
    with processes.gateway(home, processes.free_port()) as address:
        key = home.local["keys"]["client"]
        panel = open_panel(page, nobodys_lab)
        panel.get_by_role("button", name="Connect to…").focus()
        page.keyboard.press("Enter")
        fields = [panel.get_by_label(name, exact=True) for name in ("Address", "Client key")]
        expect(fields[0]).to_be_focused()
        typo = key[:-1] + ("0" if key[-1] != "0" else "1")
        slips = [
            ("no address", key, 0, "is no gateway address"),
            (f"127.0.0.1:{processes.free_port()}", key, 0, "127.0.0.1"),
            (address, typo, 1, "has a typo"),
            (address, str(Key.generate("client")), 1, "key"),
        ]
        for typed, text, wrong, words in slips:
            fields[0].fill(typed)
            fields[1].fill(text)
            page.keyboard.press("Enter")
            expect(panel.get_by_role("alert")).to_contain_text(words)
            expect(fields[wrong]).to_have_attribute("aria-invalid", "true")
            expect(fields[1 - wrong]).to_have_attribute("aria-invalid", "false")
            expect(fields[wrong]).to_be_focused()
        picture(page, "connect-refused")
        assert violations(page, "#easyremote-panel") == []
        page.keyboard.press("Escape")
        expect(panel.get_by_role("button", name="Connect to…")).to_be_visible()
        panel.get_by_role("button", name="Connect to…").press("Enter")
        fields[0].fill(address)
        fields[1].fill(key)
        page.keyboard.press("Enter")
        expect(panel.get_by_role("status")).to_have_text("Connected", timeout=FOLLOWS_MS)
        expect(panel.get_by_text(address).first).to_be_visible()
        assert key not in page.content()
    (nobodys_home.path / "login.json").unlink()


def test_a_newcomer_starts_a_node_here_runs_cells_on_it_watches_and_cancels_one(
    page: Page, nobodys_lab: processes.Jupyter
) -> None:
    panel = open_panel(page, nobodys_lab)
    start = panel.get_by_role("button", name="Start one here")
    expect(start).to_be_visible(timeout=FOLLOWS_MS)
    picture(page, "first-run")
    assert violations(page, "#easyremote-panel") == []
    start.click()
    expect(panel.get_by_role("button", name="Starting…")).to_be_visible()
    picture(page, "starting")
    row = node_row(panel, "this-machine")
    expect(row).to_contain_text("idle", timeout=STARTS_MS)
    row.hover()
    row.get_by_role("button", name="Insert a cell for this-machine").click()
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    expect(cells).to_have_count(3, timeout=STARTS_MS)
    page.keyboard.type("import os; f'ran in {os.getpid()}'")
    page.keyboard.press("Shift+Enter")
    output = cells.nth(1).locator(".jp-OutputArea-output")
    expect(output.last).to_have_text(re.compile(r"^'ran in \d+'$"), timeout=STARTS_MS)
    picture(page, "first-cell")

    row.hover()
    row.get_by_role("button", name="Insert a cell for this-machine").click()
    page.keyboard.type("import time, tqdm")
    page.keyboard.press("Enter")
    page.keyboard.type("for step in tqdm.tqdm(range(1000), 'steps'): time.sleep(0.1)")
    page.keyboard.press("Shift+Enter")
    jobs = panel.get_by_role("tree", name="Jobs").get_by_role("treeitem")
    job = jobs.filter(has=page.get_by_role("img", name="running"))
    moving = job.get_by_role("progressbar")
    expect(moving).to_have_attribute("aria-valuenow", re.compile(r"^[1-9]"), timeout=STARTS_MS)
    picture(page, "newcomer-watches")
    job.hover()
    job.get_by_role("button", name=re.compile("^Cancel")).click()
    ended = jobs.first.get_by_role("img", name="cancelled")
    expect(ended).to_be_visible(timeout=STARTS_MS)
    stopped = page.locator(".jp-Notebook .jp-CodeCell", has_text="'steps'")
    expect(stopped).to_contain_text("KeyboardInterrupt", timeout=STARTS_MS)
    picture(page, "newcomer-cancelled")
