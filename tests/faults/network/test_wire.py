"""The system's own TCP on a wire that loses packets: a node in another network namespace."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.conftest import SEED
from tests.faults.history import History
from tests.faults.network.wire import Wire, why_not
from tests.faults.scene import PROGRAM
from tests.processes import LIMIT, Gateway, end, environment, online, wait_until


class FarNode:
    """A gateway here and a node at the other end of a wire."""

    def __init__(self, home: Path, wire: Wire) -> None:
        self.home, self.wire = home, wire
        home.mkdir(exist_ok=True)
        self._environment = {**environment(home), "PYTHONUNBUFFERED": "1"}
        # To listen beyond loopback it asks for TLS, or for a proxy that does it.
        beyond = ("--host", "0.0.0.0", "--behind-proxy", "--allow-host", wire.here)
        gateway = self._start("easyremote", "gateway", "--port", "0", *beyond)
        assert gateway.stdout is not None
        line = gateway.stdout.readline()
        port = int(line.split()[2].rstrip(".").rsplit(":", 1)[1])
        self.gateway = Gateway(f"127.0.0.1:{port}", home, gateway)
        key = self.gateway.keys["node"]
        at = ("--gateway", f"http://{wire.here}:{port}", "--api-key", key, "--node-id", "far")
        self.node = self._start(
            "easyremote.node", *at, "--no-code", str(PROGRAM), before=wire.command
        )
        with self.gateway.client() as client:
            wait_until(lambda: online(client) == {"far"})

    def _start(self, *arguments: str, before: list[str] | None = None) -> subprocess.Popen[str]:
        command = [*(before or []), sys.executable, "-m", *arguments]
        log = (self.home / f"{arguments[0]}.log").open("ab")
        with log:
            return subprocess.Popen(
                command,
                env=self._environment,
                text=True,
                stdout=subprocess.PIPE if "gateway" in arguments else log,
                stderr=log,
            )

    def close(self) -> None:
        end(self.node)
        end(self.gateway.process)


@contextmanager
def open_far_node(home: Path, seed: int) -> Iterator[FarNode]:
    with Wire(seed) as wire:
        node = FarNode(home, wire)
        try:
            yield node
        finally:
            wire.loss_up = wire.loss_down = 0.0
            node.close()


@pytest.fixture(scope="module")
def far_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarNode]:
    if reason := why_not():
        pytest.skip(reason)
    with open_far_node(tmp_path_factory.mktemp("home"), SEED) as made:
        yield made


def lossy(far: FarNode, loss: float, rounds: int) -> History:
    """Calls, streams and values on a wire that loses this part of its packets."""
    history = History(far.home / f"ledger-{loss}")
    with far.gateway.client() as client:
        far.wire.loss_up = far.wire.loss_down = loss
        for _ in range(rounds):
            for _ in range(20):
                history.call(client, 0.001)
            history.stream(client, 100)
            history.carry(client, 100_000)
            history.finish()
        far.wire.loss_up = far.wire.loss_down = 0.0
    return history


def test_a_tenth_of_the_packets_is_lost_and_nothing_else(far_node: FarNode) -> None:
    lost = far_node.wire.lost
    history = lossy(far_node, 0.1, rounds=10)
    assert history.broken() == []
    assert history.errors == {}
    assert far_node.wire.lost > lost


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_wire_that_is_dead_one_way_for_a_while_costs_nothing(far_node: FarNode, way: str) -> None:
    """Acknowledgements are lost, too: TCP sends again what has come long ago."""
    history = History(far_node.home / f"ledger-{way}")
    with far_node.gateway.client() as client:
        for _ in range(10):
            history.call(client, 0.3)
        wait_until(lambda: len(history.ran()) > 0)
        lost = far_node.wire.lost
        setattr(far_node.wire, f"loss_{way}", 1.0)
        for _ in range(10):
            history.call(client, 0.01)
        wait_until(lambda: far_node.wire.lost > lost + 3)
        setattr(far_node.wire, f"loss_{way}", 0.0)
        history.finish(LIMIT)
    assert history.broken() == []
    assert history.errors == {}
