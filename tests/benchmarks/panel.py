"""What the JupyterLab panel costs: ``python -m tests.benchmarks.panel [NODES ...]``.

A real gateway, so many idle nodes as real links, JupyterLab, and Chromium, which tells by CDP what
its main thread did. It prints a table with the budget beside each figure. The panel has to be
built (``jlpm build:prod``).
"""

from __future__ import annotations

import gzip
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import CDPSession, Page, sync_playwright

from tests import processes
from tests.benchmarks.serving import cpu_share, line, python, resident_mb
from tests.browser import executable

#: Seconds over which the cost at rest is taken.
REST = 10.0
BUNDLE = processes.LABEXTENSION / "dist" / "static"
#: Share of a core, by how many nodes there are.
BUDGETS = {10: "2 %", 1000: "10 %"}
#: Scrolls the list of nodes to its end within two seconds; the longest time between two frames.
SCROLL = """() => new Promise(resolve => {
  const list = document.querySelector('.jp-EasyRemote-nodes');
  const began = performance.now();
  let last = began, longest = 0;
  const frame = now => {
    longest = Math.max(longest, now - last);
    last = now;
    const share = (now - began) / 2000;
    list.scrollTop = share * (list.scrollHeight - list.clientHeight);
    if (share < 1) requestAnimationFrame(frame); else resolve(longest);
  };
  requestAnimationFrame(now => { last = now; requestAnimationFrame(frame); });
})"""
TAB = '.jp-SideBar [data-id="easyremote-panel"]'
#: Takes the milliseconds from the next press of the mouse until the first row of a node is painted.
WATCH = """() => {
  window.painted = new Promise(resolve => {
    addEventListener('pointerdown', ({ timeStamp }) => {
      const look = () => document.querySelector('.jp-EasyRemote-node')?.offsetParent
        ? requestAnimationFrame(() => resolve(performance.now() - timeStamp))
        : requestAnimationFrame(look);
      look();
    }, { once: true, capture: true });
  });
}"""


def main(counts: list[int]) -> None:
    """Print a table for each number of nodes."""
    print("|  | figure | budget |\n|---|---|---|")
    print(f"| bundle, compressed | {bundle_kb():.1f} kB | 60 kB |", flush=True)
    for count in counts:
        for what, figure, budget in measured(count):
            print(f"| {what} | {figure} | {budget} |", flush=True)


def bundle_kb() -> float:
    files = [path for path in BUNDLE.rglob("*.js") if not path.name.endswith(".map")]
    return sum(len(gzip.compress(path.read_bytes())) for path in files) / 1e3


def measured(count: int) -> list[tuple[str, str, str]]:
    """The rows of the table for so many nodes."""
    with tempfile.TemporaryDirectory() as folder:
        home = processes.Home(Path(folder))
        with processes.gateway(home, processes.free_port()):
            os.environ["EASYREMOTE_HOME"] = str(home.path)
            with python("-m", "tests.benchmarks.links", str(count)) as links:
                line(links)  # all are there
                with processes.jupyter("jupyterlab", Path(folder) / "lab", home) as lab:
                    return in_browser(lab, count)


def in_browser(lab: processes.Jupyter, count: int) -> list[tuple[str, str, str]]:
    server = _listening(int(lab.url.split(":")[2].split("/")[0]))
    name = f"{count:,} nodes"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable())
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{lab.url}lab?token={lab.token}&reset")
        page.locator(".jp-Launcher").wait_for()
        page.locator(".jp-EasyRemote-status", has_text="online").wait_for()
        before_mb = resident_mb(server)
        page.evaluate(WATCH)
        page.locator(TAB).click()
        opened = float(page.evaluate("() => window.painted"))
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        share = scripting(page, session)
        server_cpu = cpu_share(server, REST)
        frame = float(page.evaluate(SCROLL))
        for _ in range(4):
            tab = browser.new_page()
            tab.goto(f"{lab.url}lab?token={lab.token}&reset")
            tab.locator(".jp-EasyRemote-status", has_text="online").wait_for()
        tabs_cpu, tabs_mb = cpu_share(server, REST), resident_mb(server)
        browser.close()
    return [
        (f"{name}: first node painted after the click", f"{opened:.0f} ms", "300 ms"),
        (f"{name}: scripting at rest", f"{share:.1%} of a core", BUDGETS.get(count, "")),
        (f"{name}: longest frame while scrolling", f"{frame:.0f} ms", "50 ms"),
        (f"{name}: Jupyter server with one tab", f"{server_cpu:.1%} of a core", ""),
        (f"{name}: each further tab", f"{(tabs_cpu - server_cpu) / 4:.1%} of a core", ""),
        (f"{name}: each further tab, memory", f"{(tabs_mb - before_mb) / 4:.1f} MB", ""),
    ]


def scripting(page: Page, session: CDPSession) -> float:
    """The share of a core that scripts of the page take at rest."""
    before, began = _script_seconds(session), time.perf_counter()
    page.wait_for_timeout(REST * 1000)
    return (_script_seconds(session) - before) / (time.perf_counter() - began)


def _script_seconds(session: CDPSession) -> float:
    metrics: Any = session.send("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "ScriptDuration"))


def _listening(port: int) -> int:
    """The process that listens on a port."""
    for each in psutil.net_connections("tcp"):
        if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid is not None:
            return each.pid
    raise RuntimeError(f"nobody listens on {port}")


if __name__ == "__main__":
    main([int(count) for count in sys.argv[1:]] or [10, 1000])
