"""The line of a long cell, with a feed and a clock of the test's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from easyremote_jupyter.output import header
from easyremote_jupyter.output.header import Header, elapsed, machine_text

NODE = {
    "node_id": "gpu-node", "cpu": 0.25, "memory_used": 8_000_000_000,
    "memory_total": 64_000_000_000,
    "gpus": [{"use": 0.87, "memory_used": 3_200_000_000, "memory_total": 16_000_000_000}],
}  # fmt: skip


class ScriptedFeed:
    """One snapshot, and then nothing until it is closed."""

    def __init__(self) -> None:
        self.closed, self.taken = threading.Event(), threading.Event()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        halted = "stands still on gpu-node: its owner works on it"
        jobs = {"c1": "2nd of 3 for gpu-node", "c2": "", "c3": halted}
        told = [{"call_id": call_id, "why": why} for call_id, why in jobs.items()]
        yield {"nodes": [NODE], "jobs": told}
        self.taken.set()
        self.closed.wait(10)

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(header.time, "monotonic", lambda: now[0])
    return now


def test_a_long_cell_says_where_it_is_and_at_the_end_how_long_it_took(clock: list[float]) -> None:
    shown: list[tuple[str, bool]] = []
    feed = ScriptedFeed()
    line = Header(lambda d, u: shown.append((d["text/plain"], u)), "gpu-node", lambda: feed)
    line.tick()
    clock[0] += 1.9
    line.tick()
    assert shown == []
    clock[0] += 1.1
    line.tick("c1")
    assert feed.taken.wait(10)
    line.tick("c1")  # too soon
    clock[0] += 1.0
    line.tick("c1")
    clock[0] += 79
    line.tick()
    line.finish()
    assert feed.closed.is_set()
    assert shown[0][0].startswith("gpu-node 00:03 · ")
    load = "GPU 87% 3.2/16 GB · CPU 25% · memory 8.0/64 GB"
    assert shown[1:] == [
        (f"gpu-node 00:04 · 2nd of 3 for gpu-node · {load}", True),
        ("gpu-node 01:23 · GPU 87% 3.2/16 GB · CPU 25% · memory 8.0/64 GB", True),
        ("gpu-node 01:23", True),
    ]


@pytest.mark.parametrize(
    ("call_id", "runs", "why"),
    [
        ("c1", False, "2nd of 3 for gpu-node"),
        ("c2", False, "waiting for its turn"),
        ("c2", True, "GPU 87% 3.2/16 GB"),
        ("c3", True, "stands still on gpu-node: its owner works on it"),
    ],
)
def test_it_says_why_a_cell_waits_or_stands_still(
    clock: list[float], call_id: str, runs: bool, why: str
) -> None:
    shown: list[str] = []
    feed = ScriptedFeed()
    line = Header(lambda data, update: shown.append(data["text/plain"]), "gpu-node", lambda: feed)
    for _ in range(2):
        clock[0] += 3
        line.tick(call_id, runs=runs)
        assert feed.taken.wait(10)
    feed.close()
    assert shown[1].split(" · ")[1] == why


def test_a_short_cell_has_no_header_and_asks_for_nothing(clock: list[float]) -> None:
    def feed() -> Any:
        raise AssertionError("nobody is asked")

    line = Header(lambda data, update: pytest.fail("it was drawn"), "gpu-node", feed)
    clock[0] += 1.0
    line.tick()
    line.finish()


def test_after_a_clear_it_gets_a_new_display(clock: list[float]) -> None:
    updates: list[bool] = []
    line = Header(lambda data, update: updates.append(update), "n", ScriptedFeed)
    for _ in range(2):
        clock[0] += 3
        line.tick()
    line.redraw()
    line.finish()
    assert updates == [False, True, False]


def test_a_machine_that_is_not_known_is_not_mentioned() -> None:
    assert machine_text([NODE], "other") == ""
    assert machine_text([NODE | {"cpu": None, "gpus": []}], "gpu-node") == ""


@pytest.mark.parametrize(("seconds", "text"), [(0, "00:00"), (83.9, "01:23"), (7261, "2:01:01")])
def test_times_are_short(seconds: float, text: str) -> None:
    assert elapsed(seconds) == text
