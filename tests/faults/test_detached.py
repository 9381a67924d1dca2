"""Detached calls through the death of everybody around them."""

from __future__ import annotations

from tests.faults.detached import detach_and_lose_all
from tests.faults.scene import Scene


def test_they_are_collected_once_by_another_client_and_ran_once(scene: Scene) -> None:
    history = detach_and_lose_all(scene, 6, 15.0)
    assert history.broken() == []
    assert history.errors == {}
    assert set(history.ran().values()) == {1}
