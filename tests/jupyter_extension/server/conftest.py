"""One gateway, one node and one Jupyter server for the tests of the handlers.

And the same again with a node that runs cells.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from easyremote.client.client import Client
from tests import processes
from tests.processes import LIMIT


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="session")
def cells_jupyter(
    cells_home: processes.Home, cells: Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[processes.Jupyter]:
    folder = tmp_path_factory.mktemp("jupyter") / "server"
    with processes.jupyter("jupyter_server", folder, cells_home, base_url="/user/ada/") as served:
        yield served


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """What a browser has: also the cookies of an address that is no name."""
    jar = aiohttp.CookieJar(unsafe=True)
    limit = aiohttp.ClientTimeout(total=LIMIT)
    async with aiohttp.ClientSession(timeout=limit, cookie_jar=jar) as session:
        yield session
