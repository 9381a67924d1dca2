"""A real JupyterLab in a real Chromium, with the panel built from this checkout."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Error,
    Locator,
    Page,
    expect,
    sync_playwright,
)

from tests import processes
from tests.browser import ADVICE, executable

#: Milliseconds that Playwright waits for anything: a first page of JupyterLab is the slowest.
PAGE_LIMIT_MS = 30_000
expect.set_options(timeout=PAGE_LIMIT_MS)
#: A kernel and a session start, both in a busy machine.
STARTS_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for one module: while it is there, this thread can run no other event loop."""
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=executable())
        except Error as error:
            pytest.fail(f"{error.message}\n{ADVICE.format(python=sys.executable)}")
        yield chromium
        chromium.close()


def is_expected(message: ConsoleMessage) -> bool:
    """Chromium's note on an answer that the panel shows in place; JupyterLab's on a busy machine.

    The time that it says includes what the plugin waits for; ours await nothing themselves.
    """
    url, text = message.location["url"], message.text
    is_refusal = "/easyremote/setup/" in url and "status of 4" in text
    is_away = "/easyremote/" in url and "status of 503" in text  # the gateway
    is_job = re.search(r"/easyremote/jobs/\w+/log\?", url) is not None
    is_not_back = is_job and "status of 404" in text  # its viewer asks again
    is_slow = re.search(r" took [\d.]+ms to activate", text) is not None
    return is_refusal or is_away or is_not_back or is_slow


@contextlib.contextmanager
def opened_page(browser: Browser) -> Iterator[Page]:
    """A page; it fails its test after an error or a warning that comes from our scripts."""
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        context.set_default_timeout(PAGE_LIMIT_MS)
        complaints: list[str] = []

        def note(text: str) -> None:
            if "easyremote" in text.lower():
                complaints.append(text)

        page = context.new_page()
        page.on("pageerror", lambda error: note(f"{error} {error.stack}"))
        page.on(
            "console",
            lambda message: (
                note(f"{message.text} at {message.location}")
                if message.type in ("error", "warning") and not is_expected(message)
                else None
            ),
        )
        yield page
        assert complaints == []


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page for one test."""
    with opened_page(browser) as page:
        yield page


@pytest.fixture(scope="module")
def page_of_all(browser: Browser) -> Iterator[Page]:
    """One page for all tests of a module, where none of them breaks it."""
    with opened_page(browser) as page:
        yield page


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> processes.Home:
    return processes.Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def lab(
    bundle: Path, home: processes.Home, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[processes.Jupyter]:
    """A JupyterLab of the user whose home this is; there is no gateway yet."""
    folder = tmp_path_factory.mktemp("lab") / "server"
    with processes.jupyter("jupyterlab", folder, home) as served:
        yield served


@pytest.fixture(scope="module")
def gpu_node(home: processes.Home) -> Iterator[None]:
    """A node that runs cells."""
    with (
        processes.gateway(home, processes.free_port()),
        processes.open_node(home, "gpu-node"),
    ):
        yield


@pytest.fixture
def themes(page: Page, lab: processes.Jupyter) -> Iterator[Iterator[str]]:
    """Puts the open JupyterLab into each of its themes; what a picture of it is called by."""

    def each() -> Iterator[str]:
        for name in ("Dark", "Dark High Contrast", "Light"):
            page.get_by_role("menuitem", name="Settings", exact=True).click()
            page.get_by_role("listitem").filter(has_text=re.compile("^Theme$")).click()
            page.get_by_role("menuitem", name=f"JupyterLab {name}", exact=True).click()
            body = page.locator("body")
            expect(body).to_have_attribute("data-jp-theme-name", f"JupyterLab {name}")
            expect(body).to_have_attribute("data-jp-theme-light", str(name == "Light").lower())
            page.locator("#jupyterlab-splash").wait_for(state="detached")
            yield name.lower().replace(" ", "-")

    yield each()
    processes.write_settings(lab.log.parent, "themes", {"theme": "JupyterLab Light"})


def open_notebook(page: Page, lab: processes.Jupyter, name: str, *cells: str) -> Locator:
    """Make a notebook and open it; its cells."""
    made = [nbformat.v4.new_code_cell(c) for c in cells]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    book = nbformat.v4.new_notebook(cells=made, metadata=kernel)
    nbformat.write(book, lab.log.parent / "files" / f"{name}.ipynb")
    page.goto(f"{lab.url}lab/tree/{name}.ipynb?token={lab.token}&reset")
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    shown = page.locator(".jp-Notebook .jp-CodeCell")
    expect(shown).to_have_count(len(made), timeout=STARTS_MS)
    return shown


def run_all(page: Page, lab: processes.Jupyter, name: str, *cells: str) -> Locator:
    """Open a notebook and run it; the outputs of its cells."""
    open_notebook(page, lab, name, "%load_ext easyremote", *cells)
    wait_for_kernel(page)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    return page.locator(".jp-Notebook .jp-CodeCell .jp-Cell-outputWrapper")


def wait_for_kernel(page: Page) -> None:
    """Until the page knows its notebook's kernel, and that the kernel does nothing.

    JupyterLab forgets a cell that is run earlier, or starts a second kernel for it.
    """
    expect(page.get_by_text("| Idle")).to_be_visible(timeout=STARTS_MS)
