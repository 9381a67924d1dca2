"""Cells that print numbered lines while the gateway is killed, and what is seen of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from easyremote.client.client import Client
from easyremote.client.job import RemoteJob
from easyremote.client.session import Session
from easyremote.events import Stream
from easyremote.gateway.keys import KeyStore
from tests.faults.history import Tally
from tests.faults.scene import Scene, Test
from tests.processes import LIMIT, wait_until

#: The node that runs the cells.
NODE = "cells"
_REQUEST: dict[str, Any] = {"count": 1, "writes": [], "modules": {}}


class Printer:
    """A cell that prints ``NAME NUMBER`` again and again, until `end`.

    Parameters
    ----------
    client
        Whose cell it is.
    name
        What each of its lines begins with.
    folder
        Where the file is made that ends it.
    pause
        Seconds between two lines.
    node
        Where it runs.
    """

    def __init__(
        self, client: Client, name: str, folder: Path, pause: float, node: str = NODE
    ) -> None:
        self.name, self._gate = name, folder / f"{name}-is-over"
        code = (
            "import pathlib, time\n"
            "number = 0\n"
            f"while not pathlib.Path({str(self._gate)!r}).exists():\n"
            f"    print({name!r}, number, flush=True)\n"
            "    number += 1\n"
            f"    time.sleep({pause})\n"
            "print('end', number)\n"
        )
        self.session = Session(client, node, "s")
        self.job: RemoteJob[Any] = self.session.submit_cell(_REQUEST | {"code": code})
        #: How many lines were seen, all of them right and in order.
        self.seen = 0
        self.end_line = ""
        self._rest = ""

    def read(self, count: int) -> None:
        """Read on until so many more lines are here."""
        enough = self.seen + count

        def has_enough() -> bool:
            event = next(self.job.events(0.5), None)
            assert not self.job.done(), self.job.exception()
            if isinstance(event, Stream):
                self._take(event.text)
            return self.seen >= enough

        wait_until(has_enough)

    def end(self) -> None:
        """End the cell, read the rest, and end its session."""
        self.finish()
        self.session.end()

    def finish(self) -> None:
        """End the cell, and read the rest."""
        self._gate.touch()
        self.job.result(LIMIT)
        for event in self.job.events(0.5):
            if isinstance(event, Stream):
                self._take(event.text)
        assert self.end_line == f"end {self.seen}", (self.end_line, self.seen)

    def _take(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.startswith("end "):
                self.end_line = line
            else:
                assert line == f"{self.name} {self.seen}", f"{line!r} in place of {self.seen}"
                self.seen += 1


def start_node(scene: Scene) -> None:
    """Start the node that runs cells, if it is not there."""
    if NODE in scene.nodes:
        return
    with (scene.home / f"{NODE}.log").open("ab") as log:
        scene.nodes[NODE] = subprocess.Popen(
            [sys.executable, "-m", "easyremote.node", "--node-id", NODE],
            env=scene.gateway.environment(),
            stdout=log,
            stderr=log,
        )
    with scene.gateway.client() as client:
        wait_until(lambda: any(node.node_id == NODE for node in client.list_nodes()))


def two_owners_print(scene: Scene, folder: Path, kills: int, pause: float = 0.002) -> None:
    """Two owners' cells print on one node while the gateway is killed again and again.

    Raises
    ------
    AssertionError
        A line of one is missing, comes twice, or is seen by the other.
    """
    start_node(scene)
    keys = KeyStore(scene.home / "gateway.sqlite3")
    clients = [
        Client(scene.gateway.address, str(keys.create("client", name))) for name in ("ann", "bob")
    ]
    scene.clients += clients
    keys.close()
    printers = [
        Printer(client, name, folder, pause)
        for client, name in zip(clients, ("ann", "bob"), strict=True)
    ]
    for printer in printers:
        printer.read(10)
    for _ in range(kills):
        scene.kill_gateway()
        scene.start_gateway()
        # Now and then it is killed again as soon as the first of the two is back.
        for printer in printers if scene.chance.random() < 0.7 else printers[:1]:
            printer.read(scene.chance.randrange(1, 200))
        scene.chance.shuffle(printers)
    for printer in printers:
        printer.end()


def cells_of_two_owners(scene: Scene) -> Tally:
    """Two owners' cells print through 200 kills of the gateway: each sees its own lines only."""
    two_owners_print(scene, scene.home, 200, pause=0.01)
    return Tally(calls=2)


LONG: tuple[Test, ...] = (cells_of_two_owners,)
