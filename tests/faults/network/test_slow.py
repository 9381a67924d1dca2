"""Slow links and slow readers: they hold up nobody else, and the gateway keeps little for them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Self

from easyremote.client.client import Client
from tests.faults.history import History
from tests.faults.ledger_program import BLOCK
from tests.faults.network.network import Network
from tests.processes import wait_until

MB = 1 << 20
#: What the gateway may need more while a large value passes, and while a reader stands still.
BULK_MEMORY, READER_MEMORY = 32 * MB, 64 * MB


class Meanwhile:
    """A thread that runs while a block lasts."""

    def __init__(self) -> None:
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        raise NotImplementedError


@dataclass
class Beside(Meanwhile):
    """Small calls, one after the other, in a thread beside something large."""

    history: History
    client: Client
    node_id: str
    #: Seconds that each took.
    seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def _run(self) -> None:
        while not self._ending.is_set():
            begun = time.monotonic()
            number = self.history.call(self.client, 0.0, node_id=self.node_id)
            self.history.jobs[number].exception()
            self.seconds.append(time.monotonic() - begun)

    def next(self, count: int) -> list[float]:
        """The seconds of so many calls from now on."""
        done = len(self.seconds)
        wait_until(lambda: len(self.seconds) >= done + count)
        return self.seconds[done : done + count]


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]


class Peak(Meanwhile):
    """The most memory that the gateway takes while a block lasts, beyond what it had before."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._before = network.gateway_memory()
        self.most = 0
        super().__init__()

    def _run(self) -> None:
        while not self._ending.wait(0.02):
            self.most = max(self.most, self._network.gateway_memory() - self._before)


def bulk(network: Network, size: int, rate: float) -> tuple[History, Beside, Peak]:
    """Carry so many bytes over a link of this rate, beside small calls of the same client."""
    history, small = network.scene.history(), network.scene.history()
    client = network.client()
    small.call(client, 0.0, node_id=network.nodes[0])
    small.finish()
    before = network.accepted
    for proxy in network.proxies:
        for way in proxy.both:
            way.rate = rate
    with Peak(network) as peak, Beside(small, client, network.nodes[0]) as beside:
        history.carry(client, size, node_id=network.nodes[0])
        history.finish(60.0 + 3 * size / rate)
    small.finish()
    assert network.accepted == before, "a link that was slow was cut"
    assert small.broken() == []
    return history, beside, peak


@dataclass
class Stopped:
    """What a reader that stops did to others: the seconds of their calls, and the memory."""

    history: History
    peak: Peak
    without: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)


def stopped_reader(network: Network, blocks: int, calls: int, turns: int = 1) -> Stopped:
    """Read a few blocks of a stream, then none; so many small calls without it and beside it.

    They take turns, so that whatever else the machine does is in both figures.
    """
    slow, peak = network.client(), Peak(network)
    found = Stopped(network.scene.history(), peak)
    with peak, Beside(found.history, network.client(), network.nodes[0]) as small:
        for _ in range(turns):
            found.without += small.next(calls)
            stream = slow.call("flood", (blocks,), stream=True, node_id=network.nodes[0])
            for index in range(3):
                assert next(stream) == index.to_bytes(4, "big") * (BLOCK // 4)
            found.beside += small.next(calls)
            stream.cancel()
    found.history.finish()
    return found


def test_a_large_value_on_a_slow_link_cuts_nobody_off(network: Network) -> None:
    history, beside, peak = bulk(network, size=6 * MB, rate=4 * MB)
    assert history.broken() == []
    assert history.errors == {}
    assert beside.seconds
    assert peak.most < BULK_MEMORY


def test_a_reader_that_stops_costs_the_gateway_little(network: Network) -> None:
    found = stopped_reader(network, blocks=200, calls=50)
    assert found.history.broken() == []
    assert found.peak.most < READER_MEMORY


def test_a_client_that_is_cut_off_in_a_stream_costs_the_gateway_little(network: Network) -> None:
    """The reader does not even say that it is slow: nothing of it reaches the gateway."""
    scene = network.scene
    history, other = scene.history(), scene.client()
    with Peak(network) as peak:
        stream = network.client().call("flood", (200,), stream=True, node_id=network.nodes[0])
        next(stream)
        network.near.cut()
        for _ in range(50):
            history.call(other, 0.0, node_id=network.nodes[0])
        history.finish()
    assert history.broken() == []
    assert peak.most < READER_MEMORY
    network.near.cut(is_cut=False)
    assert sum(1 for _ in stream) == 199
