"""One browser's messages: a snapshot, then only what has changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from easyremote.panel.deltas import MEMORY_STEP, Deltas
from easyremote.panel.messages import (
    Connecting,
    Delta,
    EndedJob,
    Gateway,
    JobRow,
    NodeRow,
    Snapshot,
    Unavailable,
    encode,
)

SAMPLES = Path(__file__).parent / "samples"
A1 = JobRow("a1", "train", "a", "running", 12.3)


def node(node_id: str, since: float = 1.0, **changes: Any) -> NodeRow:
    plain = NodeRow(node_id, "online", since, "3.11.7", "3.0.0", [], 0, 8, 2, 0.1, 2000, 4000)
    return msgspec.structs.replace(plain, **changes)


def snapshot(*nodes: NodeRow, jobs: tuple[JobRow, ...] = (), sample: int = 1) -> Snapshot:
    gateway = Gateway("my-vps:8080", "3.0.0")
    return Snapshot(gateway, list(nodes), list(jobs), sample=sample, server="3.0.0")


def told(*messages: Snapshot | Connecting | Unavailable) -> list[Any]:
    deltas = Deltas(lambda: {})
    return [deltas.next(message) for message in messages]


def test_an_exchange_is_as_its_sample_says() -> None:
    history = {"a": [[40, 42], [25, 25], [1200, 0], [3, 3]], "b": [[10], [50], [0], [0]]}
    busy = {"running": 1, "memory_used": 1000}
    new = NodeRow("c", "online", 0.5, "3.12.1", "3.0.0", ["train"], 0, 1)
    a2 = JobRow("a2", "train", "c", "queued", 0.1, place=1, why="1st of 3 for c")
    last = snapshot(node("a", 15.5, cpu=0.9, **busy), new, jobs=(a2,), sample=5)
    last.latency = 0.0234
    last.more, last.ended = 3, [EndedJob("a1", "train", "a", "", 15.1, 0.4)]
    deltas = Deltas(lambda: history)  # type: ignore[arg-type]  # lists of int will do
    messages = [
        snapshot(node("a", 12.5, cpu=0.42, **busy), node("b", 3.0), jobs=(A1,), sample=2),
        snapshot(node("a", 13.5, cpu=0.9, **busy), node("b", 4.0), jobs=(A1,), sample=3),
        snapshot(node("a", 14.5, cpu=0.9, **busy), node("b", 5.0), jobs=(A1,), sample=4),
        last,
    ]
    exchange = [json.loads(encode(deltas.next(message))) for message in messages]
    assert exchange == json.loads((SAMPLES / "exchange.json").read_text())


def test_without_metrics_only_the_load_stays_as_it_was_told() -> None:
    deltas = Deltas(lambda: {})
    deltas.next(snapshot(node("a"), node("b")))
    busy = snapshot(node("a", cpu=0.9), node("b", cpu=0.9, running=1), node("c", cpu=0.9))
    delta: Any = deltas.next(busy, has_metrics=False)
    assert [(n.node_id, n.cpu, n.running) for n in delta.nodes] == [("b", 0.1, 1), ("c", 0.9, 0)]
    gone: Any = deltas.next(snapshot(node("a", state="suspect", cpu=0.9)), has_metrics=False)
    assert [(n.node_id, n.state, n.cpu) for n in gone.nodes] == [("a", "suspect", 0.9)]
    later: Any = deltas.next(snapshot(node("a", state="suspect", cpu=0.8)))
    assert [n.cpu for n in later.nodes] == [0.8]


def test_time_that_goes_on_is_no_change() -> None:
    later = msgspec.structs.replace(A1, seconds=13.3)
    [_, delta] = told(snapshot(node("a"), jobs=(A1,)), snapshot(node("a", 2.0), jobs=(later,)))
    assert (delta.nodes, delta.jobs) == ([], [])


def test_a_clock_that_began_anew_is_a_change() -> None:
    [_, delta] = told(snapshot(node("a", 60.0)), snapshot(node("a", 0.5)))
    assert [each.since for each in delta.nodes] == [0.5]


def test_a_job_that_is_over_is_told_once() -> None:
    snapshots = [snapshot(sample=sample) for sample in range(3)]
    for number, each in enumerate(snapshots):
        jobs = [EndedJob(f"a{n}", "cell", "a", "", 1.0, 2.0 + number) for n in range(number + 1)]
        each.ended = jobs[::-1]
    [whole, *deltas] = told(*snapshots)
    assert [job.call_id for job in whole.ended] == ["a0"]
    assert [[job.call_id for job in delta.ended] for delta in deltas] == [["a1"], ["a2"]]


def test_jitter_that_no_eye_sees_is_no_change() -> None:
    total = 1000 * MEMORY_STEP
    before = node("a", cpu=0.101, memory_used=5 * MEMORY_STEP + 1, memory_total=total)
    after = node("a", cpu=0.104, memory_used=5 * MEMORY_STEP + 900, memory_total=total)
    before.sent, after.sent = 9700.0, 10_200.0
    [_, delta] = told(snapshot(before), snapshot(after))
    assert delta.nodes == []


def test_messages_that_are_missed_leave_no_hole() -> None:
    """Only what was sent counts: the feed hands a slow browser the newest alone."""
    [_, delta] = told(snapshot(node("a")), snapshot(node("b"), node("c"), sample=9))
    assert [each.node_id for each in delta.nodes] == ["b", "c"]
    assert (delta.gone, delta.seq, delta.sample) == (["a"], 1, 9)


def test_after_a_lost_gateway_a_snapshot_comes_whole() -> None:
    lost = Unavailable("unreachable", "Nothing answers.", 1)
    kinds = [type(each) for each in told(snapshot(node("a")), lost, snapshot(node("a")))]
    assert kinds == [Snapshot, Unavailable, Snapshot]


def test_a_gateway_of_another_version_brings_a_whole_snapshot() -> None:
    other = snapshot(node("a"))
    other.gateway = Gateway("my-vps:8080", "3.0.1")
    assert [type(each) for each in told(snapshot(node("a")), other)] == [Snapshot, Snapshot]


def test_two_browsers_do_not_share_what_they_were_told() -> None:
    message = snapshot(node("a"))
    one, two = Deltas(lambda: {}), Deltas(lambda: {})
    one.next(message)
    assert isinstance(one.next(message), Delta)
    assert isinstance(two.next(message), Snapshot)
    assert message.seq == 0
