"""``python -m tests.faults.long``: the faults of this folder, longer and more often.

It prints one line for each test, with its seed; ``--seed`` replays a run. It ends with 1 if a
promise was broken.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import click

from easyremote.errors import CallLost
from easyremote.options.retries import RETRY, WAIT
from tests.faults.cells import two_owners_print
from tests.faults.detached import detach_and_lose_all
from tests.faults.history import History
from tests.faults.scene import Scene, open_scene
from tests.faults.test_gateway_killed import kill_in_flight
from tests.processes import wait_until

#: Calls that are given a node's kills, and how often a node is killed under them.
CALLS, KILLS = 2000, 12


def gateway_killed(scene: Scene) -> History:
    """The gateway is killed three times with 10,000 calls in flight, half without a node's name."""
    history = kill_in_flight(scene, 10_000, 3)
    assert history.errors == {}, Counter(map(str, history.errors.values()))
    return history


def nodes_killed(scene: Scene) -> History:
    """A node is killed twelve times under 2,000 calls: a value, or lost and perhaps executed."""
    history = _kill_nodes(scene, WAIT, attempts=1)
    assert set(map(type, history.errors.values())) <= {CallLost}
    return history


def nodes_killed_with_retries(scene: Scene) -> History:
    """The same with on_node_loss="retry": all values, each call executed three times at most."""
    history = _kill_nodes(scene, RETRY, attempts=3)
    assert history.errors == {}, Counter(map(str, history.errors.values()))
    return history


def node_stopped(scene: Scene) -> History:
    """One of two nodes is stopped for good: 1,000 later calls run on the other."""
    scene.stop_node("one")
    with scene.gateway.client() as asked:
        wait_until(lambda: any(node.closed for node in asked.list_nodes()))
    history = scene.history()
    client = scene.client()
    for _ in range(1000):
        history.call(client, 0.005)
    history.finish()
    assert history.errors == {}, Counter(map(str, history.errors.values()))
    return history


def cells_of_two_owners(scene: Scene) -> History:
    """Two owners' cells print through 200 kills of the gateway: each sees its own lines only."""
    return two_owners_print(scene, 200, pause=0.01)


def detached(scene: Scene) -> History:
    """Detached calls of 10 minutes: client killed, gateway killed twice, a node's link cut."""
    history = detach_and_lose_all(scene, 8, 600.0)
    assert history.errors == {}, Counter(map(str, history.errors.values()))
    return history


def _kill_nodes(scene: Scene, choice: str, attempts: int) -> History:
    history = scene.history(attempts)
    client = scene.client().on(on_node_loss=choice)
    for _ in range(CALLS):
        history.call(client, 0.02)
    for kill in range(KILLS):
        part = (kill + scene.chance.random()) / (KILLS + 1)
        wait_until(lambda part=part: len(history.ran()) >= part * CALLS)
        node_id = scene.chance.choice(["one", "two"])
        scene.kill_node(node_id)
        scene.start_nodes(node_id)
    history.finish()
    return history


TESTS: tuple[Callable[[Scene], History], ...] = (
    gateway_killed,
    nodes_killed,
    nodes_killed_with_retries,
    node_stopped,
    cells_of_two_owners,
    detached,
)


@click.command()
@click.option("--seed", type=int, default=0, help="Of a run that is to be replayed.")
def main(seed: int) -> None:
    seed = seed or secrets.randbits(32)
    print(f"python -m tests.faults.long --seed {seed}")
    broken = 0
    for test in TESTS:
        with tempfile.TemporaryDirectory() as home, open_scene(Path(home) / "home", seed) as scene:
            scene.start_nodes("one", "two")
            begun = time.monotonic()
            try:
                history = test(scene)
                told = history.broken()
                lost = len(history.errors)
            except AssertionError as error:
                told, lost = [str(error)], 0
            broken += bool(told)
            print(
                f"{test.__name__:28} {time.monotonic() - begun:6.1f} s, {lost:3} lost, "
                f"{'; '.join(told[:5]) or 'no promise broken'}"
            )
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
