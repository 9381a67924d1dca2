"""The gateway is killed while calls are in flight: none is lost, none runs twice."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tests.faults.history import History
from tests.faults.scene import Scene
from tests.processes import wait_until

#: Seconds that a call takes.
SECONDS = 0.005
#: Seconds in which every session is back after the gateway is.
BACK = 10.0


def kill_in_flight(scene: Scene, calls: int, kills: int) -> History:
    """Kill the gateway again and again under so many calls, half of them without a node's name."""
    history = scene.history()
    clients = [scene.client() for _ in range(max(calls // 1000, 1))]
    for number in range(calls):
        node_id = ("", "one", "", "two")[number % 4]
        history.call(clients[number % len(clients)], SECONDS, node_id=node_id)
    for kill in range(kills):
        part = (kill + scene.chance.random()) / (kills + 1)
        wait_until(lambda part=part: sum(history.ran().values()) >= part * calls)
        scene.kill_gateway()
        scene.start_gateway()
        fresh = [scene.client().call("answer", (kill,), node_id=each) for each in ("one", "")]
        check_all_back(clients, time.monotonic() + BACK)
        assert [job.result(BACK) for job in fresh] == [kill * 7 + 1] * 2
    history.finish()
    return history


def check_all_back(clients: Sequence, deadline: float) -> None:
    wait_until(lambda: all(client.connection for client in clients), deadline - time.monotonic())


def test_no_call_is_lost_and_none_runs_twice(scene: Scene) -> None:
    history = kill_in_flight(scene, 1000, 1)
    assert history.broken() == []
    assert history.errors == {}
