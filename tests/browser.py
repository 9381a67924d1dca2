"""Find a Chromium for the tests of the panel, or get one: ``python -m tests.browser``.

A browser counts only if Playwright can really start it, because its driver and the browser need
libraries of the system. What is not there is a failure with instructions, never a skipped test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ADVICE = """\
No Chromium starts. Do one of these:
  - install Chromium with your system's packages (on Debian: apt-get install chromium libatomic1)
  - let Playwright download one: {python} -m playwright install --with-deps chromium
  - name yours: export EASYREMOTE_CHROMIUM=/path/to/chromium"""


def executable() -> str | None:
    """The browser named by the user or found on PATH; None means the one that Playwright has."""
    named = os.environ.get("EASYREMOTE_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


def problem() -> str | None:
    """Start the browser once: why it does not work, or None."""
    from playwright.sync_api import Error, sync_playwright

    try:
        with sync_playwright() as playwright:
            playwright.chromium.launch(executable_path=executable()).close()
    except Error as error:
        return error.message.splitlines()[0]
    except Exception as error:
        # Without libatomic the driver itself dies, and Playwright raises a plain Exception.
        return str(error)
    return None


def nothing() -> None:
    """The first way: it may be there already."""


def get_with_apt() -> None:
    """Debian and root (a container, a CI machine): 20 seconds."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update"],
        ["apt-get", "install", "-y", "--no-install-recommends", "chromium", "libatomic1"],
    ):
        subprocess.run(command, env=environment, check=False, timeout=600)


def get_with_playwright() -> None:
    """Everywhere else: a download, and as root the libraries that it needs."""
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    if sys.platform == "linux" and os.geteuid() == 0:
        command.insert(-1, "--with-deps")
    subprocess.run(command, check=False, timeout=600)


def main() -> int:
    for get in (nothing, get_with_apt, get_with_playwright):
        get()
        why = problem()
        if why is None:
            print(f"Chromium for the tests: {executable() or 'the one of Playwright'}")
            return 0
        print(f"Chromium does not start: {why}", file=sys.stderr)
    print(ADVICE.format(python=Path(sys.executable)), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
