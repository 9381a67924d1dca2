"""A gateway and nodes that a test kills, stops and starts again, with a seed that says when."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from easyremote.client.client import Client
from tests.faults.history import History, Tally
from tests.processes import LIMIT, end, free_port, start_gateway, wait_until

PROGRAM = Path(__file__).with_name("ledger_program.py")


class Scene:
    """A gateway, its nodes by their ids, and clients.

    Parameters
    ----------
    home
        The folder of all that belongs to it.
    seed
        Of the moments at which something breaks.
    """

    def __init__(self, home: Path, seed: int) -> None:
        self.home, self.seed, self.chance = home, seed, random.Random(seed)
        print(f"seed {seed}: EASYREMOTE_SEED={seed} replays it")
        self.gateway = start_gateway(home, free_port())
        self._keep_log()
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}
        self.clients: list[Client] = []
        self._histories = 0

    def client(self, address: str = "") -> Client:
        """A client of the gateway, or of what passes on to it at this address."""
        key = self.gateway.keys["client"]
        self.clients.append(Client(address or self.gateway.address, key))
        return self.clients[-1]

    def history(self, attempts: int = 1) -> History:
        self._histories += 1
        return History(self.home / f"ledger-{self._histories}", attempts)

    def start_nodes(self, *node_ids: str, address: str = "") -> None:
        """Start nodes, and wait until all are online; they dial this address."""
        at = ["--gateway", address, "--api-key", self.gateway.keys["node"]] if address else []
        for node_id in node_ids:
            command = [sys.executable, "-m", "easyremote.node", "--node-id", node_id, "--no-code"]
            with (self.home / f"{node_id}.log").open("ab") as log:
                self.nodes[node_id] = subprocess.Popen(
                    [*command, *at, str(PROGRAM)],
                    env=self.gateway.environment(),
                    stdout=log,
                    stderr=log,
                )
        with self.gateway.client() as client:
            wait_until(lambda: set(node_ids) <= _online(client))

    def kill_gateway(self) -> None:
        """Kill -9 the gateway."""
        self.gateway.process.kill()
        self.gateway.process.wait(LIMIT)
        self._log.join(LIMIT)

    def start_gateway(self) -> None:
        """Start a gateway again, at the same address."""
        self.gateway = start_gateway(self.home, int(self.gateway.address.split(":")[1]))
        self._keep_log()

    def _keep_log(self) -> None:
        """Write down what the gateway says: nobody else reads it, and a full pipe would stop it."""
        said = self.gateway.process.stdout
        assert said is not None
        arguments = (said, self.home / "gateway.log")
        self._log = threading.Thread(target=_keep, args=arguments, daemon=True, name="gateway-log")
        self._log.start()

    def kill_node(self, node_id: str) -> None:
        """Kill -9 a node."""
        self.nodes[node_id].kill()
        self.nodes[node_id].wait(LIMIT)

    def stop_node(self, node_id: str) -> None:
        """Stop a node as it stands: it stays connected, and is silent."""
        self.nodes[node_id].send_signal(signal.SIGSTOP)

    def close_clients(self, but: Collection[Client] = ()) -> None:
        """Close the clients, but for these."""
        for client in self.clients:
            if client not in but:
                client.close()
        self.clients = [client for client in self.clients if client in but]

    def close(self) -> None:
        self.close_clients()
        for process in self.nodes.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait(LIMIT)
        self.gateway.process.send_signal(signal.SIGTERM)
        self._log.join(LIMIT)
        end(self.gateway.process)


#: A test of the long form: it gets a gateway with the nodes "one" and "two".
Test = Callable[[Scene], Tally]


def named(name: str, test: Callable[..., Tally], *arguments: object) -> Test:
    """One of several tests that differ in an argument, with a name of its own."""

    def run(scene: Scene) -> Tally:
        return test(scene, *arguments)

    run.__name__ = name
    return run


@contextmanager
def open_scene(home: Path, seed: int) -> Iterator[Scene]:
    scene = Scene(home, seed)
    try:
        yield scene
    finally:
        scene.close()


def _keep(said: IO[str], path: Path) -> None:
    with said, path.open("a") as log:
        for line in said:
            log.write(line)
            log.flush()


def _online(client: Client) -> set[str]:
    return {node.node_id for node in client.list_nodes() if node.state == "online"}
