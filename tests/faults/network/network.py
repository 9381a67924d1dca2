"""A scene whose client and nodes reach the gateway through proxies, each through its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil

from easyremote.client.client import Client
from tests.faults.network.proxy import Proxy
from tests.faults.scene import Scene
from tests.processes import online, wait_until


class Network:
    """Proxies before the gateway of a scene.

    Parameters
    ----------
    scene
        The gateway.
    near
        The proxy of clients.
    far
        The proxies of nodes, by their ids.
    """

    def __init__(self, scene: Scene, near: Proxy, far: dict[str, Proxy]) -> None:
        self.scene, self.near, self.far = scene, near, far
        self._clients: list[Client] = []

    def client(self) -> Client:
        """A client behind its proxy."""
        self._clients.append(self.scene.client(self.near.address))
        return self._clients[-1]

    def close(self) -> None:
        """Close the clients, which say what they have, and kill the nodes."""
        for client in self._clients:
            client.close()
        with self.scene.gateway.client() as other:
            wait_until(lambda: not other.list_jobs())
        for node_id in self.far:
            self.scene.kill_node(node_id)

    @property
    def nodes(self) -> list[str]:
        """The ids of its nodes."""
        return list(self.far)

    @property
    def proxies(self) -> list[Proxy]:
        return [self.near, *self.far.values()]

    @property
    def accepted(self) -> list[int]:
        """How often each peer has dialled."""
        return [proxy.accepted for proxy in self.proxies]

    def heal(self) -> None:
        """End all toxics, and wait until the nodes are back."""
        for proxy in self.proxies:
            proxy.heal()
        self.wait_for_nodes()

    def wait_for_nodes(self) -> None:
        with self.scene.gateway.client() as client:
            wait_until(lambda: online(client) >= self.far.keys())

    def state_of(self, client: Client, node_id: str) -> tuple[str, str]:
        """How the gateway sees a node: its state, and why it takes nothing."""
        node = next(each for each in client.list_nodes() if each.node_id == node_id)
        return node.state, node.closed

    def gateway_memory(self) -> int:
        """Bytes of the gateway's process."""
        memory: int = psutil.Process(self.scene.gateway.process.pid).memory_info().rss
        return memory


@contextmanager
def open_network(scene: Scene, *node_ids: str) -> Iterator[Network]:
    """Start nodes behind proxies; they are killed at the end."""
    with ExitStack() as stack:
        seeds = iter(range(scene.chance.randrange(2**31), 2**32))
        near, *far = [
            stack.enter_context(Proxy(scene.gateway.address, next(seeds)))
            for _ in range(1 + len(node_ids))
        ]
        network = Network(scene, near, dict(zip(node_ids, far, strict=True)))
        for node_id, proxy in network.far.items():
            scene.start_nodes(node_id, address=proxy.address)
        try:
            yield network
        finally:
            network.close()
