"""The gateway is stopped in good order and started again under calls: no client sees an error."""

from __future__ import annotations

import threading
import time

from tests.faults.history import History
from tests.faults.scene import Scene
from tests.processes import end

#: Calls a second, and how long each takes.
RATE, SECONDS = 200, 0.005


def roll(scene: Scene, times: int) -> History:
    """Stop the gateway with SIGTERM and start it again, so many times, under calls all the while.

    A call is made every few milliseconds, also while there is no gateway.
    """
    history, client = scene.history(), scene.client().connect()
    is_over = threading.Event()

    def ask() -> None:
        due = time.monotonic()
        while not is_over.wait(max(due - time.monotonic(), 0.0)):
            due += 1 / RATE
            node_id = ("", "one", "", "two")[len(history.jobs) % 4]
            history.call(client, SECONDS, node_id=node_id)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(times):
            is_over.wait(scene.chance.uniform(0.2, 1.0))
            end(scene.gateway.process)
            scene.start_gateway()
    finally:
        is_over.set()
        asking.join()
    history.finish()
    return history


def test_a_client_sees_no_error(scene: Scene) -> None:
    history = roll(scene, 2)
    assert history.broken() == []
    assert history.errors == {}
