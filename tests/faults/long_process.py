"""The long forms of what breaks processes: kills, stops, cancels, and every failpoint."""

from __future__ import annotations

import time
from collections import Counter

from easyremote.errors import CallLost
from easyremote.options.retries import RETRY, WAIT
from tests.faults.history import History, Tally
from tests.faults.scene import Scene, Test, named
from tests.faults.sweep import Case, Stage, cases, open_stage
from tests.faults.test_gateway_killed import kill_in_flight
from tests.faults.test_gateway_stopped import roll
from tests.processes import wait_until

#: Calls that are given a node's kills, and how often a node is killed under them.
CALLS, KILLS = 2000, 12
#: In how many shares, each with a stage of its own, the sweep is played.
SHARES = 6
#: Seconds in which the loss of a node is noticed.
NOTICED = 1.0


def gateway_killed(scene: Scene) -> Tally:
    """The gateway is killed three times with 10,000 calls in flight, half without a node's name."""
    history = kill_in_flight(scene, 10_000, 3)
    _check_no_errors(history)
    return history.tally


def nodes_killed(scene: Scene) -> Tally:
    """A node is killed twelve times under 2,000 calls: a value, or lost and perhaps executed."""
    history = _kill_nodes(scene, WAIT, attempts=1)
    assert set(map(type, history.errors.values())) <= {CallLost}
    return history.tally


def nodes_killed_with_retries(scene: Scene) -> Tally:
    """The same with on_node_loss="retry": all values, each call executed three times at most."""
    history = _kill_nodes(scene, RETRY, attempts=3)
    _check_no_errors(history)
    return history.tally


def node_stopped(scene: Scene) -> Tally:
    """One of two nodes is stopped for good: 1,000 later calls run on the other."""
    scene.stop_node("one")
    with scene.gateway.client() as asked:
        wait_until(lambda: any(node.closed for node in asked.list_nodes()))
    history, client = scene.history(), scene.client()
    for _ in range(1000):
        history.call(client, 0.005)
    history.finish()
    _check_no_errors(history)
    return history.tally


def gateway_stopped(scene: Scene) -> Tally:
    """The gateway is stopped in good order and started ten times under 200 calls a second."""
    history = roll(scene, 10)
    _check_no_errors(history)
    return history.tally


def cancels(scene: Scene) -> Tally:
    """5,000 calls are cancelled at random instants, on processes of their own."""
    with open_stage(scene.home / "stage", scene.seed) as stage:
        told = [broken for _ in range(10) for broken in stage.cancel(500)]
        return Tally(stage.calls, stage.lost, told)


def sweep(scene: Scene, share: int) -> Tally:
    """One share of every edge, role and policy, on processes of their own."""
    every = list(cases())
    scene.chance.shuffle(every)
    left, tally = every[share::SHARES], Tally()
    while left:
        with open_stage(scene.home / f"stage-{len(left)}", scene.seed) as stage:
            told = _play(stage, left)
            tally += Tally(stage.calls, stage.lost, told)
    return tally


def _play(stage: Stage, left: list[Case]) -> list[str]:
    """Play cases until none is left, or one after which the stage is of no use; what is broken."""
    told = []
    while left:
        case = left.pop()
        try:
            broken = stage.play(case)
        except AssertionError as error:
            return [*told, f"{case}: {error}"]
        told += [f"{case}: {each}" for each in broken]
    return told


def _kill_nodes(scene: Scene, choice: str, attempts: int) -> History:
    history = scene.history(attempts)
    client = scene.client().on(on_node_loss=choice)
    for _ in range(CALLS):
        history.call(client, 0.02)
    with scene.gateway.client() as looking:
        for kill in range(KILLS):
            part = (kill + scene.chance.random()) / (KILLS + 1)
            wait_until(lambda part=part: len(history.ran()) >= part * CALLS)
            node_id = scene.chance.choice(["one", "two"])
            scene.kill_node(node_id)
            killed = time.monotonic()
            wait_until(
                lambda node_id=node_id: any(
                    node.node_id == node_id and node.state != "online"
                    for node in looking.list_nodes()
                )
            )
            noticed = time.monotonic() - killed
            assert noticed < NOTICED, f"the loss of {node_id} was noticed after {noticed:.2f} s"
            scene.start_nodes(node_id)
    history.finish()
    return history


def _check_no_errors(history: History) -> None:
    assert history.errors == {}, Counter(map(str, history.errors.values()))


LONG: tuple[Test, ...] = (
    gateway_killed,
    nodes_killed,
    nodes_killed_with_retries,
    node_stopped,
    gateway_stopped,
    cancels,
)
SWEEP = tuple(named(f"sweep_{share + 1}", sweep, share) for share in range(SHARES))
