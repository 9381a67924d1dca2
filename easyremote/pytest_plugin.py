"""The pytest plugin: the fixtures ``easyremote_node`` and ``easyremote_client``.

pytest loads it by itself where EasyRemote is installed, so it imports nothing of EasyRemote before
a fixture is used. ``tests/testing/test_pytest_plugin.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from easyremote.client.client import Client
    from easyremote.config import Settings
    from easyremote.node.compute_node import ComputeNode


@pytest.fixture(scope="session")
def easyremote_gateway(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Settings]]:
    """A real gateway on loopback for all tests: the settings of a ``client`` and of a ``node``."""
    from easyremote.config import Settings
    from easyremote.gateway.server import Server
    from easyremote.identity import read_private

    home = tmp_path_factory.mktemp("easyremote")
    with Server(port=0, home=home) as server:
        keys = read_private(home / "local.json")["keys"]
        assert isinstance(keys, dict), "the gateway has written it"
        yield {kind: Settings(server.address, keys[kind]) for kind in ("client", "node")}


@pytest.fixture
def easyremote_node(easyremote_gateway: dict[str, Settings]) -> Iterator[ComputeNode]:
    """A real node on loopback, in a thread: register functions with ``@easyremote_node.register``.

    It also runs functions that are sent, in processes of their own.
    """
    from easyremote.node.compute_node import ComputeNode

    settings = easyremote_gateway["node"]
    node = ComputeNode(settings.gateway, "test-node", api_key=settings.api_key, allow_code=True)
    with node:
        yield node


@pytest.fixture
def easyremote_client(
    easyremote_gateway: dict[str, Settings], easyremote_node: ComputeNode
) -> Iterator[Client]:
    """A client of the node's gateway. All ``@remote`` functions go there, too, during the test."""
    from easyremote.client.client import Client, standing_in

    settings = easyremote_gateway["client"]
    client = Client(settings.gateway, settings.api_key)
    try:
        with standing_in(client):
            yield client
    finally:
        client.close()
