"""A node is killed under calls, with kill -9: what becomes of them is what their caller chose."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from easyremote.errors import CallLost
from easyremote.options.retries import FAIL, RETRY
from tests.faults.scene import Scene
from tests.processes import LIMIT, wait_until

#: Seconds in which whoever does not want to wait hears that a node is gone; far below a minute.
AT_ONCE = 15.0


@pytest.mark.parametrize("choice", [FAIL, RETRY])
def test_a_node_is_killed_under_calls(scene: Scene, choice: str) -> None:
    """None is executed more often than allowed; who retries gets all values."""
    history = scene.history(attempts=3 if choice == RETRY else 1)
    client = scene.client().on(on_node_loss=choice)
    for _ in range(200):
        history.call(client, 0.02)
    wait_until(lambda: sum(history.ran().values()) >= 20)
    scene.kill_node("one")
    killed = time.monotonic()
    history.finish(LIMIT)
    assert time.monotonic() - killed < AT_ONCE
    assert history.broken() == []
    kinds = Counter(map(type, history.errors.values()))
    assert set(kinds) == ({CallLost} if choice == FAIL else set())
    assert all("Node 'one' is gone" in str(error) for error in history.errors.values())
    scene.start_nodes("one")


def test_a_job_says_that_its_node_is_gone(scene: Scene) -> None:
    history, client = scene.history(), scene.client()
    job = history.jobs[history.call(client, 60.0, node_id="one")]
    wait_until(lambda: bool(history.ran()))
    scene.kill_node("one")
    wait_until(lambda: "its node one is gone; waiting up to 60 s for its return" in str(job))
    assert "waiting for" in job.explain()
    scene.start_nodes("one")
    with pytest.raises(CallLost, match="'one' was restarted while it ran"):
        job.result(LIMIT)
