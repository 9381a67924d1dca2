"""One gateway and two nodes for the tests of a module; each test leaves them running."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator

import pytest

from tests.faults.leaks import Guard
from tests.faults.network.network import Network
from tests.faults.scene import Scene, open_scene

#: CI has to say what a change has broken, so it draws the same each time.
SEED_OF_CI = 14
#: The seed of a run; another one each time elsewhere, unless it is given.
SEED = int(os.environ.get("EASYREMOTE_SEED", "0")) or (
    SEED_OF_CI if "CI" in os.environ else secrets.randbits(32)
)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with open_scene(tmp_path_factory.mktemp("home"), SEED) as scene:
        scene.start_nodes("one", "two")
        yield scene


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test leaves its own process, the gateway and the nodes as it found them.

    A scene of a test's own module may run code, and keep sessions and journals on purpose.
    """
    scene: Scene | None = None
    if "scene" in request.fixturenames:
        scene = request.getfixturevalue("scene")
    elif "network" in request.fixturenames:
        shared: Network = request.getfixturevalue("shared_network")
        scene = shared.scene
    guard = Guard(scene, is_held=not hasattr(request.module, "scene"))
    yield
    left = guard.check()
    assert not left, "\n".join(left)
