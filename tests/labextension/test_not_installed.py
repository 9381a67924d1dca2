"""The panel in a JupyterLab whose server has no EasyRemote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests import processes
from tests.labextension.test_look import violations
from tests.labextension.test_panel import open_panel, picture

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def bare_lab(bundle: Path, home: processes.Home, tmp_path: Path) -> Iterator[processes.Jupyter]:
    without = "--ServerApp.jpserver_extensions={'easyremote_jupyter': False}"
    with processes.jupyter("jupyterlab", tmp_path / "server", home, options=[without]) as served:
        yield served


def test_it_says_what_to_install_where(browser: Browser, bare_lab: processes.Jupyter) -> None:
    # A page of its own: here Chromium notes each refused stream, which is what the test is about.
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        page = context.new_page()
        panel = open_panel(page, bare_lab)
        expect(panel.get_by_role("status")).to_have_text("Not installed")
        expect(panel.get_by_text("This Jupyter server has no EasyRemote")).to_be_visible()
        expect(panel.get_by_text("pip install 'easyremote[lab]'")).to_be_visible()
        picture(page, "not-installed")
        assert violations(page, "#easyremote-panel") == []
