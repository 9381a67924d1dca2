"""One gateway, one node and one Jupyter server for the tests of the handlers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import processes


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> processes.Home:
    return processes.Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def jupyter(
    home: processes.Home, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[processes.Jupyter]:
    """A Jupyter server under another base URL, beside a gateway with one node."""
    folder = tmp_path_factory.mktemp("jupyter") / "server"
    with (
        processes.gateway(home, processes.free_port()),
        processes.node(home, "gpu-node"),
        processes.jupyter("jupyter_server", folder, home, base_url="/user/ada/") as served,
    ):
        yield served


@pytest.fixture
def unconfigured_jupyter(tmp_path: Path) -> Iterator[processes.Jupyter]:
    """A Jupyter server of somebody who has no gateway."""
    home = processes.Home(tmp_path / "home")
    with processes.jupyter("jupyter_server", tmp_path / "server", home) as served:
        yield served
