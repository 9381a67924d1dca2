"""Weighted faults with mixed work, round after round; every round is checked by itself."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import psutil

from easyremote.client.client import Client
from easyremote.errors import CallLost
from tests.faults.history import History, Tally
from tests.faults.network.network import Network

MB = 1 << 20
#: Calls of one round, and the seconds that the longest of them takes.
CALLS, SECONDS = 60, 0.05
#: What a process may have more at the end of a soak than in its middle; and bytes a call between
#: the two, of which its id is kept so that it never runs again (of the last 100,000 calls).
GROWTH, ID = 4 * MB, 200


def run_soak(network: Network, seconds: float) -> Tally:
    """Break something in each round. In the second half no process is killed, and none may grow."""
    begun = time.monotonic()
    faults: Counter[str] = Counter()
    tally = first = Tally()
    middle: dict[str, int] = {}
    while (passed := time.monotonic() - begun) < seconds:
        if passed > seconds / 2 and not middle:
            first, middle = tally, _memory(network)
        history = network.scene.history()
        fault = _choose(network, with_kills=not middle)
        faults[fault.__name__.strip("_")] += 1
        client = network.client()
        _work(network, history, client)
        fault(network)
        history.finish()
        assert history.broken() == [], fault.__name__
        kinds = set(map(type, history.errors.values()))
        assert kinds <= ({CallLost} if fault is _kill_a_node else set()), (fault.__name__, kinds)
        network.heal()
        client.close()
        network.scene.clients.remove(client)
        tally += history.tally
    grown = {name: now - middle[name] for name, now in _memory(network).items()}
    told = ", ".join(f"{name} +{more / MB:.1f} MiB" for name, more in grown.items())
    print(f"{dict(faults)}; in the second half {told}")
    assert max(grown.values()) <= GROWTH + ID * (tally.calls - first.calls)
    return tally


def _work(network: Network, history: History, client: Client) -> None:
    chance = network.scene.chance
    for _ in range(CALLS):
        node_id = chance.choice(network.nodes)
        kind = chance.random()
        if kind < 0.1:
            history.stream(client, 100, node_id=node_id)
        elif kind < 0.2:
            history.carry(client, chance.choice([20_000, 500_000]), node_id=node_id)
        else:
            history.call(client, chance.uniform(0.0, SECONDS), node_id=node_id)


def _memory(network: Network) -> dict[str, int]:
    scene = network.scene
    pids = {"gateway": scene.gateway.process.pid}
    pids |= {node_id: scene.nodes[node_id].pid for node_id in network.nodes}
    return {name: psutil.Process(pid).memory_info().rss for name, pid in pids.items()}


# -- faults ----------------------------------------------------------------------------------------


def _nothing(network: Network) -> None:
    """A round without a fault."""


def _reset_all(network: Network) -> None:
    for proxy in network.proxies:
        proxy.reset()


def _reset_one(network: Network) -> None:
    network.scene.chance.choice(network.proxies).reset()


def _be_slow(network: Network) -> None:
    for proxy in network.proxies:
        proxy.up.latency = proxy.down.jitter = 0.05
        proxy.down.loss = 0.05


def _black_out(network: Network) -> None:
    chance = network.scene.chance
    way = chance.choice(chance.choice(network.proxies).both)
    way.is_black_hole = True
    time.sleep(chance.uniform(0.5, 5.0))  # the fault itself
    way.is_black_hole = False


def _kill_a_node(network: Network) -> None:
    node_id = network.scene.chance.choice(network.nodes)
    network.scene.kill_node(node_id)
    network.scene.start_nodes(node_id, address=network.far[node_id].address)


def _kill_the_gateway(network: Network) -> None:
    network.scene.kill_gateway()
    network.scene.start_gateway()


Fault = Callable[[Network], None]
_GENTLE: dict[Fault, int] = {
    _nothing: 10,
    _reset_all: 4,
    _reset_one: 8,
    _be_slow: 6,
    _black_out: 3,
}
_KILLS: dict[Fault, int] = {_kill_a_node: 3, _kill_the_gateway: 3}


def _choose(network: Network, *, with_kills: bool) -> Fault:
    faults = _GENTLE | _KILLS if with_kills else _GENTLE
    (fault,) = network.scene.chance.choices(list(faults), list(faults.values()))
    return fault
