"""How the panel looks and sounds: in each theme, narrow, with odd names, and with 1,000 nodes."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

import easyremote
from easyremote.panel.messages import EndedJob, JobBars, JobRow, SessionRow
from tests import processes
from tests.labextension.fake_stream import FakeStream, bar, gpu, node
from tests.labextension.test_panel import open_panel, picture
from tests.processes import LABEXTENSION

pytestmark = pytest.mark.timeout(120)

#: What people download for the panel, compressed, in bytes.
BUNDLE_LIMIT = 60_000
AXE = LABEXTENSION / "node_modules" / "axe-core" / "axe.min.js"
MARKUP = "<img src=x onerror=alert(1)>"
LONG = "a-node-with-a-very-long-name-" * 6
NODES = [
    node(
        "gpu-node",
        running=3,
        cpu=0.62,
        gpus=[gpu(0.97, 71), gpu(0.35, 22)],
        labels=["a100", "lab"],
        functions=["train", "embed"],
    ),
    node("office-mac"),
    node("attic", state="offline", since=9000.0),
    node(LONG),
    node(MARKUP, cpu=None, memory_used=None),
]
JOBS = [
    JobRow("a1", "train", "gpu-node", "running", 200.0),
    JobRow("a2", "cell", "gpu-node", "running", 7500.0, "kernel/cell"),
    JobRow("a3", "embed", "gpu-node", "queued", 12.0, place=1),
    JobRow("a4", "embed", "gpu-node", "queued", 9.0, place=2, why="2nd of 2 for gpu-node"),
    JobRow("a5", MARKUP, LONG, "running", 9.0),
]
ENDED = [
    EndedJob("b1", "cell", "gpu-node", "raised", 12.0, 70.0, "kernel/cell"),
    EndedJob("b2", "cell", "office-mac", "", 3700.0, 7300.0),
    EndedJob("b3", "embed", "gpu-node", "cancelled", 2.0, 90_000.0),
]
BARS = {
    "a2": JobBars(
        [
            bar("epochs", 3, 10, eta=754.0, postfix="loss=0.12"),
            bar("batches", 61, 128, position=1, eta=12.0),
            bar("bytes", 2.2e9, None, position=2, unit="B", scaled=True),
            bar("check", 10, 10, state="done"),
            bar(MARKUP, 150, 100, state="failed"),
        ],
        500,
    )
}


SESSIONS = [
    SessionRow("gpu-node", "0123456789abcdef", True, 1, 0.0),
    SessionRow("gpu-node", "exploration", False, 0, 4000.0),
    SessionRow("office-mac", MARKUP, False, 0, 90.0),
]
LOG = [
    ("stdout", "epoch 1: loss 0.31\nepoch 2: loss 0.12\n" + "x" * 300 + "\n"),
    ("stderr", "UserWarning: the last batch is small\n"),
    ("display", "<Figure size 640x480 with 1 Axes>\n"),
    ("error", "ValueError: no convergence"),
]


def violations(page: Page, selector: str) -> list[str]:
    page.add_script_tag(path=AXE)
    found: Any = page.evaluate("selector => axe.run(selector)", selector)
    return [
        f"{each['id']}: {at['html'][:200]} {at['any'][0]['message'] if at['any'] else ''}"
        for each in found["violations"]
        for at in each["nodes"]
    ]


def jobs(panel: Locator) -> Locator:
    return panel.get_by_role("tree", name="Jobs").get_by_role("treeitem")


def rows(panel: Locator) -> Locator:
    return panel.get_by_role("tree", name="Nodes").get_by_role("treeitem")


def test_axe_finds_nothing_to_complain_about(
    page: Page, lab: processes.Jupyter, themes: Iterator[str]
) -> None:
    FakeStream(page, NODES, JOBS, ENDED, BARS, sessions=SESSIONS)
    page.set_viewport_size({"width": 1280, "height": 1000})
    panel = open_panel(page, lab)
    first = rows(panel).filter(has_text="gpu-node")
    first.focus()
    page.keyboard.press("ArrowRight")
    expect(panel.get_by_text("Functions: train, embed")).to_be_visible()
    expect(panel.get_by_text("place 2 in the queue")).to_be_visible()
    expect(panel.get_by_text("2nd of 2 for gpu-node")).to_be_visible()
    for theme in themes:
        page.mouse.move(700, 300)
        picture(page, f"calm-{theme}")
        cell = jobs(panel).filter(has_text="cell").first
        cell.focus()
        page.keyboard.press("ArrowRight")
        expect(panel.get_by_role("button", name="Replay")).to_be_visible()
        picture(page, f"full-{theme}")
        assert violations(page, "#easyremote-panel") == []
        assert violations(page, ".jp-EasyRemote-status") == []
        cell.focus()
        page.keyboard.press("ArrowLeft")
        expect(panel.get_by_role("button", name="Replay")).to_be_hidden()


def test_form_and_log_can_be_read_in_every_theme(
    page: Page, lab: processes.Jupyter, themes: Iterator[str]
) -> None:
    FakeStream(page, NODES, JOBS, ENDED, BARS, sessions=SESSIONS).log(*LOG)
    page.set_viewport_size({"width": 1280, "height": 1000})
    panel = open_panel(page, lab)
    open_form_and_log(page, panel)
    for theme in themes:
        picture(page, f"form-and-log-{theme}")
        assert violations(page, "#easyremote-panel") == []
        assert violations(page, ".jp-EasyRemote-logWidget") == []


def open_form_and_log(page: Page, panel: Locator) -> None:
    """The form of a function with a field that is filled in wrongly, and the log of a cell."""
    train = panel.get_by_role("treeitem", name="train, gpu-node")
    train.hover()
    train.get_by_role("button", name="Run train").click()
    panel.get_by_role("textbox", name="data").fill("[1, 2]")
    panel.get_by_role("textbox", name="epochs").fill("many")
    panel.get_by_role("button", name="Run", exact=True).click()
    expect(panel.get_by_role("alert")).to_have_text("Enter a whole number.")
    jobs(panel).filter(has_text="cell").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("log", name="Log")).to_contain_text("no convergence")


@pytest.fixture
def chinese(lab: processes.Jupyter) -> Iterator[None]:
    folder = lab.log.parent / "settings" / "@jupyterlab" / "translation-extension"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "plugin.jupyterlab-settings"
    processes.write_json(file, {"locale": "zh_CN"})
    yield
    file.unlink()


def test_the_panel_is_chinese_where_jupyterlab_is(
    page: Page, lab: processes.Jupyter, chinese: None
) -> None:
    FakeStream(page, NODES, JOBS, ENDED, BARS, sessions=SESSIONS)
    panel = open_panel(page, lab)
    expect(panel.get_by_role("searchbox", name="搜索节点")).to_be_visible()
    expect(panel.get_by_role("status")).to_have_text("已连接")
    expect(page.locator(".jp-EasyRemote-status")).to_contain_text("4 个节点在线")
    picture(page, "chinese")


def test_a_name_with_markup_is_text(page: Page, lab: processes.Jupyter) -> None:
    page.on("dialog", lambda dialog: pytest.fail(f"it ran: {dialog.message}"))
    FakeStream(page, NODES)
    panel = open_panel(page, lab)
    expect(panel.locator(".jp-EasyRemote-name")).to_contain_text([MARKUP])


def test_nothing_is_cut_off_where_the_panel_is_320_pixels_wide(
    page: Page, lab: processes.Jupyter
) -> None:
    FakeStream(page, NODES, JOBS, ENDED, BARS, sessions=SESSIONS)
    panel = open_panel(page, lab)
    narrow(page, panel)
    picture(page, "320-pixels")
    assert too_wide(panel, ".jp-EasyRemote-tree, .jp-EasyRemote-jobs") == []


def test_form_and_log_fit_where_jupyterlab_gets_no_narrower(
    page: Page, lab: processes.Jupyter
) -> None:
    FakeStream(page, NODES, JOBS, ENDED, BARS, sessions=SESSIONS).log(*LOG)
    panel = open_panel(page, lab)
    narrow(page, panel)
    open_form_and_log(page, panel)
    page.set_viewport_size({"width": 324, "height": 1000})
    picture(page, "form-and-log-narrow")
    assert too_wide(panel, ".jp-EasyRemote-form, .jp-EasyRemote-form *:not(option)") == []
    shown = page.locator(".jp-EasyRemote-logWidget")
    box = shown.bounding_box()
    assert box is not None and box["width"] < 400
    assert too_wide(shown, ".jp-EasyRemote-logTools") == []


def narrow(page: Page, panel: Locator) -> None:
    """Make the panel 320 pixels wide, as people do it."""
    page.set_viewport_size({"width": 1280, "height": 1000})
    split = page.locator("#jp-main-split-panel > .lm-SplitPanel-handle").first
    box, at = panel.bounding_box(), split.bounding_box()
    assert box is not None and at is not None
    page.mouse.move(at["x"] + 1, 500)
    page.mouse.down()
    page.mouse.move(at["x"] + 1 + 320 - box["width"], 500)
    page.mouse.up()
    box = panel.bounding_box()
    assert box is not None
    assert 310 <= box["width"] <= 330


def too_wide(inside: Locator, selector: str) -> list[str]:
    """What has more in it than fits in its width."""
    found: list[str] = inside.evaluate(
        "(inside, selector) => [...inside.querySelectorAll(selector)]"
        ".filter(each => each.clientWidth > 0 && each.scrollWidth > each.clientWidth)"
        ".map(each => each.outerHTML.slice(0, 200))",
        selector,
    )
    return found


def test_a_page_and_a_server_of_different_versions_say_what_to_do(
    page: Page, lab: processes.Jupyter
) -> None:
    FakeStream(page, NODES, JOBS, ENDED, BARS, server="3.9.1")
    panel = open_panel(page, lab)
    expect(panel.get_by_text("its Jupyter server 3.9.1. Reload the page")).to_be_visible()
    expect(rows(panel)).to_have_count(len(NODES))
    narrow(page, panel)
    picture(page, "versions-differ")
    assert violations(page, "#easyremote-panel") == []


def test_a_node_of_another_version_says_so_in_its_row(page: Page, lab: processes.Jupyter) -> None:
    FakeStream(page, [node("gpu-node"), node("old-mac", version="2.9.1")])
    panel = open_panel(page, lab)
    warning = f"old-mac has EasyRemote 2.9.1, the Jupyter server has {easyremote.__version__}"
    sign = page.get_by_role("img", name=warning)
    expect(sign).to_have_text("2.9.1")
    expect(rows(panel).filter(has=sign)).to_have_count(1)
    picture(page, "node-of-another-version")
    assert violations(page, "#easyremote-panel") == []


def test_the_footer_tells_where_the_gateway_is_how_far_and_by_what(
    page: Page, lab: processes.Jupyter
) -> None:
    FakeStream(page, NODES)
    panel = open_panel(page, lab)
    expect(panel.get_by_text("my-vps:8080 · 23\u202fms · WebSocket")).to_be_visible()


def test_the_word_for_the_end_of_a_job_is_whole_where_the_panel_is_as_wide_as_at_first(
    page: Page, lab: processes.Jupyter
) -> None:
    long = [
        EndedJob(f"c{i}", LONG, "attic", code, 99.0, 9.0) for i, code in enumerate(("", "lost"))
    ]
    FakeStream(page, NODES, JOBS, [*ENDED, *long])
    page.set_viewport_size({"width": 1280, "height": 1400})
    panel = open_panel(page, lab)
    words = panel.locator(".jp-EasyRemote-jobHead .jp-mod-word")
    expect(words.filter(has_text="lost")).to_be_visible()
    picture(page, "words-of-jobs")
    cut = words.evaluate_all(
        "words => words.filter(each => each.scrollWidth > each.clientWidth)"
        ".map(each => each.innerText)"
    )
    assert cut == []
    box = panel.bounding_box()
    assert box is not None and box["width"] < 260


def test_forced_colours_and_reduced_motion_are_honoured(page: Page, lab: processes.Jupyter) -> None:
    page.emulate_media(forced_colors="active", reduced_motion="reduce")
    FakeStream(page, NODES, JOBS, ENDED, BARS, sessions=SESSIONS)
    panel = open_panel(page, lab)
    bar = panel.locator(".jp-EasyRemote-bar > div").first
    expect(bar).to_have_css("transition-duration", "0s")
    picture(page, "forced-colours")


def test_of_a_thousand_nodes_only_those_that_can_be_seen_are_drawn(
    page: Page, lab: processes.Jupyter
) -> None:
    FakeStream(page, [node(f"node-{number}") for number in range(1000)])
    panel = open_panel(page, lab)
    expect(rows(panel).first).to_have_attribute("aria-setsize", "1000")
    assert rows(panel).count() < 40
    rows(panel).first.focus()
    page.keyboard.press("End")
    last = rows(panel).filter(has_text="node-999")
    expect(last).to_be_focused()
    expect(last).to_be_in_viewport(ratio=0.9)
    assert rows(panel).count() < 40
    picture(page, "thousand")


def test_the_rows_are_as_high_as_the_list_believes(page: Page, lab: processes.Jupyter) -> None:
    FakeStream(page, NODES)
    panel = open_panel(page, lab)
    rows(panel).first.focus()
    for _ in NODES:
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
    edges = rows(panel).evaluate_all(
        "rows => rows.map(row => row.getBoundingClientRect()).map(box => [box.top, box.bottom])"
    )
    edges.sort()
    gaps = [after[0] - before[1] for before, after in zip(edges, edges[1:], strict=False)]
    assert gaps == pytest.approx([0] * (len(NODES) - 1), abs=0.6)


def test_the_bundle_stays_small(bundle: Path) -> None:
    files = list((bundle / "static").glob("*.js"))
    assert files
    size = sum(len(gzip.compress(each.read_bytes())) for each in files)
    assert size <= BUNDLE_LIMIT, json.dumps({each.name: each.stat().st_size for each in files})
