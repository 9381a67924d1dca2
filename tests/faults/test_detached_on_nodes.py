"""A detached call whose node is killed: brought back, begun again, or lost. It never runs twice."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from easyremote.client.client import Client
from easyremote.errors import CallLost
from tests.faults.ledger_program import answer
from tests.faults.scene import Scene
from tests.processes import LIMIT, wait_until


def executions(ledger: Path) -> int:
    return len(ledger.read_text().split()) if ledger.exists() else 0


def test_a_call_that_ran_when_its_node_was_killed_is_lost_and_does_not_run_again(
    scene: Scene, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    job = scene.client().on("one").detach("work", str(ledger), 1, 600.0)
    wait_until(lambda: executions(ledger) == 1)
    scene.kill_node("one")
    scene.start_nodes("one")
    with pytest.raises(CallLost, match="was restarted while it ran") as caught:
        job.result(LIMIT)
    assert caught.value.may_have_run
    assert executions(ledger) == 1


def test_a_call_that_ended_while_the_gateway_was_dead_is_collected_after_both_came_back(
    scene: Scene, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    job = scene.client().on("one").detach("work", str(ledger), 2, 1.0)
    wait_until(lambda: executions(ledger) == 1)
    scene.kill_gateway()
    wait_until(lambda: _has_spooled(scene.home))
    scene.kill_node("one")
    scene.start_gateway()
    scene.start_nodes("one")
    with scene.gateway.client() as other:
        assert other.attach(job.call_id).result(LIMIT) == answer(2)
        other.attach(job.call_id).release()
    assert executions(ledger) == 1
    wait_until(lambda: not _has_spooled(scene.home))


def test_a_call_that_its_node_had_not_begun_runs_when_the_node_is_back(
    scene: Scene, tmp_path: Path
) -> None:
    ledger, first = tmp_path / "ledger", tmp_path / "first"
    client = scene.client().on("one")
    assert client.detach("work", str(first), 3, 0.0).result(LIMIT) == answer(3)
    scene.stop_node("one")  # what it is sent from now on, it never reads
    job = client.detach("work", str(ledger), 4, 0.0)
    wait_until(lambda: _state(client, job.call_id) == "dispatched")
    scene.kill_node("one")
    scene.start_nodes("one")
    assert job.result(LIMIT) == answer(4)
    assert executions(ledger) == 1
    assert executions(first) == 1


def _state(client: Client, call_id: str) -> str:
    return next(call.state for call in client.outstanding() if call.call_id == call_id)


def _has_spooled(home: Path) -> bool:
    """Whether a node's journal holds an outcome."""
    (file,) = (home / "nodes").glob("one-*.db")
    with closing(sqlite3.connect(file)) as database:
        ((count,),) = database.execute("SELECT COUNT(*) FROM calls WHERE outcome IS NOT NULL")
    return bool(count)
