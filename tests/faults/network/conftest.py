"""One gateway and two nodes behind proxies, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.conftest import SEED
from tests.faults.network.network import Network, open_network
from tests.faults.scene import open_scene


@pytest.fixture(scope="session")
def shared_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with (
        open_scene(tmp_path_factory.mktemp("home"), SEED) as scene,
        open_network(scene, "one", "two") as network,
    ):
        yield network


@pytest.fixture
def network(shared_network: Network) -> Iterator[Network]:
    """Each test gets it whole, and leaves it whole."""
    yield shared_network
    shared_network.heal()
