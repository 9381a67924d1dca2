"""What ``%remote_panel`` says."""

from __future__ import annotations

from easyremote.panel.messages import (
    Bar,
    EndedJob,
    Gateway,
    GpuRow,
    JobBars,
    JobRow,
    NodeRow,
    Snapshot,
)
from easyremote.protocol.requests import SessionInfo
from easyremote.protocol.snapshot import FunctionInfo
from easyremote_jupyter.live.live_source import Live
from easyremote_jupyter.live.live_texts import folds, head, page_html, page_text

MARKUP = "<img src=x onerror=alert(1)>"


def live() -> Live:
    gpu = GpuRow("A100", 0.97, 60, 80)
    nodes = [
        NodeRow("b", "online", 1.0, "3.11", "3.0", [], 1, 4, 8, 0.5, 2, 8, [gpu]),
        NodeRow(MARKUP, "offline", 9.0, "3.11", "3.0", [], 0, 4),
    ]
    jobs = [
        JobRow("a1" * 16, "cell", "b", "running", 61.0),
        JobRow("a2" * 16, "f", None, "queued", 3.0),
    ]
    jobs[1].place = 2
    ended = [EndedJob("b1" * 16, "cell", "b", "raised", 3.0, 9.0)]
    shown = Live("my-vps:8080", Snapshot(Gateway("my-vps:8080", "3.0"), nodes, jobs, ended=ended))
    bar = Bar("x", 0, MARKUP, 3, "it", 2.0, "running", 4)
    shown.bars = {jobs[0].call_id: JobBars([bar], 1)}
    shown.functions = [FunctionInfo("b", "add", "Adds.\nMore.", "(a, b)")]
    shown.sessions = [("b", SessionInfo("fit", busy=False, waiting=0, idle=70.0))]
    return shown


def title(job: JobRow | EndedJob) -> str:
    return f"the {job.function}"


def test_all_of_it_is_told_as_text() -> None:
    text = page_text(live(), title)
    assert "my-vps:8080: 1 of 2 nodes online" in text
    assert "b: 1 of 4 running, CPU 50%, RAM 25%, GPU 97%, GPU memory 75%" in text
    assert "the cell on b: running, 01:01 (%remote_cancel a1a1a1a1)" in text
    assert "the f on any node: queued, 2. in the queue" in text
    assert "75%" in text.split("the cell on b: running")[1].splitlines()[1]
    for words in ("failed", "add(a, b)", "Adds.", "fit", "idle 01:10"):
        assert words in text


def test_jobs_that_wait_or_stand_still_say_why_and_functions_what_they_need() -> None:
    shown = live()
    assert shown.snapshot is not None
    running, queued = shown.snapshot.jobs
    running.why = "stands still on b: it runs on battery"
    queued.why = "2nd of 3 for b"
    shown.functions = [FunctionInfo("b", "fit", needs="16 GB of GPU memory")]
    text = page_text(shown, title)
    assert "the cell on b: stands still, 01:01 (stands still on b: it runs on battery)" in text
    assert "00:03 (2nd of 3 for b)" in text
    assert "16 GB of GPU memory" in text


def test_names_are_text_in_the_page_and_only_what_is_known_has_a_meter() -> None:
    page = page_html(live(), title)
    assert "<img" not in page
    assert page.count("&lt;img") == 2  # a node, and a bar
    assert page.count("RAM") == 1  # nothing is known of the node that is offline


def test_what_is_empty_says_what_would_be_there() -> None:
    nothing = Live("my-vps:8080")
    assert head(nothing) == "my-vps:8080: connecting ..."
    nothing.trouble = "The gateway does not answer."
    assert head(nothing) == "my-vps:8080: The gateway does not answer."
    assert [each.as_text() for each in folds(nothing, title)] == [
        "Nothing has run yet.",
        "No node online has registered a function.",
        "No sessions yet: a cell starts one.",
    ]
