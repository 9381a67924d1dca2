"""How a key's own calls are shown to people."""

from __future__ import annotations

from typing import Any

from easyremote.gateway.jobs import LIMIT, is_work, jobs_of
from easyremote.gateway.permissions import principal_of
from easyremote.protocol.messages import Resume
from easyremote.protocol.snapshot import GatewayInfo, GatewaySnapshot
from tests.gateway.desk import Desk


def jobs(desk: Desk, owner: str = "alice") -> GatewaySnapshot:
    principal = principal_of(owner, owner, "client")
    return GatewaySnapshot(
        (), GatewayInfo(), *jobs_of(desk.calls.table, desk.calls.recent, principal, desk.now)
    )


def column(shown: GatewaySnapshot, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(getattr(job, name) for name in names) for job in shown.jobs]


def test_the_place_in_the_queue_counts_whoever_waits_for_the_same() -> None:
    desk = Desk()
    desk.node("n", "f", slots=1)
    alice, bob = desk.client("alice"), desk.client("bob")
    alice.submit()
    bob.submit()
    alice.submit()
    assert column(jobs(desk), "state", "place") == [("dispatched", None), ("queued", 2)]
    assert column(jobs(desk, "bob"), "state", "place") == [("queued", 1)]


def test_a_job_that_waits_says_why_and_one_that_runs_does_not() -> None:
    desk = Desk()
    node, client = desk.node("n", "f", slots=1), desk.client("alice")
    client.submit()
    node.start()
    client.submit()
    assert column(jobs(desk), "why") == [("",), ("1st of 1 for n (f() of key alice)",)]


def test_a_cell_waits_behind_the_cells_of_its_session_on_the_node() -> None:
    desk = Desk()
    node, client = desk.node("n", "$cell"), desk.client()
    client.submit("$cell", session="one")
    node.start()
    for session in ("two", "one", "one"):
        client.submit("$cell", session=session)
    assert column(jobs(desk), "state", "place") == [
        ("running", None),
        ("dispatched", None),
        ("dispatched", 1),
        ("dispatched", 2),
    ]


def test_a_job_says_where_it_came_from_in_so_many_characters() -> None:
    desk = Desk()
    desk.node("n", "$cell")
    client = desk.client()
    client.submit("$cell", origin="kernel/cell")
    client.submit("$cell", origin="x" * 10_000)
    assert column(jobs(desk), "origin") == [("kernel/cell",), ("x" * 200,)]


def test_of_very_many_jobs_those_that_run_are_shown_and_the_rest_is_counted() -> None:
    desk = Desk()
    client = desk.client()
    desk.node("n", "f", "$cell", slots=1)
    for _ in range(LIMIT + 10):
        client.submit("f")
    client.submit("$cell")
    shown = jobs(desk)
    assert column(shown, "function", "state")[:2] == [("f", "dispatched"), ("cell", "dispatched")]
    assert (len(shown.jobs), shown.more) == (LIMIT, 11)


def test_questions_about_other_calls_are_no_jobs_and_no_work() -> None:
    desk = Desk()
    node, client = desk.node("n", "$cell", "$output"), desk.client()
    client.submit("$cell")
    client.submit("$output")
    assert column(jobs(desk), "function") == [("cell",)]
    assert [is_work(name) for name in node.node.active] == [True, False]


def test_what_is_over_tells_how_long_ago() -> None:
    desk = Desk()
    node, client = desk.node("n", "$cell"), desk.client()
    client.submit("$cell")
    node.finish(node.start())
    desk.pass_time(30.0)
    shown = jobs(desk)
    assert shown.jobs == ()
    (ended,) = shown.ended
    assert (ended.function, ended.code, ended.ago) == ("cell", "", 30.0)


def test_a_call_that_may_run_on_a_node_that_is_away_is_shown_as_suspect() -> None:
    desk = Desk()
    desk.restart("n")
    client = desk.client()
    client.submit("$cell", age=5.0)
    client.say(Resume((b"c" * 16,), (99,), started=(True,)))
    assert column(jobs(desk), "function", "state", "place") == [
        ("cell", "suspect", 1),
        ("unknown", "suspect", None),
    ]
