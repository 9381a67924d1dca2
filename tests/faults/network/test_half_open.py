"""Links that are dead and don't say so: each end finds out by itself, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Collection

import pytest

from easyremote.client.client import Client
from easyremote.protocol.link import DEAD_AFTER
from tests.faults.history import History
from tests.faults.network.network import Network
from tests.faults.network.proxy import Toxics
from tests.processes import wait_until

#: Seconds after which each end of a dead link has found that out: the limit, and one more look at
#: the clock. It counts from the last byte that came, which may be a PING.
FOUND = DEAD_AFTER + 10.0 + 5.0


def half_open(network: Network, dead: Collection[Toxics]) -> tuple[History, float]:
    """Make black holes of these ways under calls; in how many seconds all was found."""
    scene = network.scene
    history, client = scene.history(), network.client()
    running = [history.call(client, 2.0, node_id=node_id) for node_id in network.far]
    wait_until(lambda: set(running) <= set(history.ran()))
    before = network.accepted
    for toxics in dead:
        toxics.is_black_hole = True
    begun = time.monotonic()
    # These are on their way when the link dies, or are sent into it.
    for _ in range(20):
        history.call(client, 0.01)
    with scene.gateway.client() as other:
        wait_until(lambda: _all_found(network, other, before), FOUND)
    found = time.monotonic() - begun
    network.heal()
    history.finish()
    return history, found


def _all_found(network: Network, other: Client, before: list[int]) -> bool:
    """Whether every peer has dialled anew, and the gateway has given its nodes up."""
    gone = all(network.state_of(other, node_id)[0] == "offline" for node_id in network.far)
    return gone and all(now > then for now, then in zip(network.accepted, before, strict=True))


def blackouts(network: Network, times: int, seconds: float, between: float) -> History:
    """Cut all links for some seconds, again and again, under calls and streams."""
    history, client = network.scene.history(), network.client()
    history.call(client, 0.0)
    history.finish()
    before = network.accepted
    for _ in range(times):
        until = time.monotonic() + between
        while time.monotonic() < until:
            for _ in range(5):
                history.call(client, 0.02)
            history.stream(client, 50)
            history.carry(client, 200_000)
            history.finish(between)
        for _ in range(20):
            history.call(client, 0.02)
        for proxy in network.proxies:
            proxy.cut()
        history.carry(client, 200_000)
        time.sleep(seconds)  # the fault itself: how long the network is away
        for proxy in network.proxies:
            proxy.cut(is_cut=False)
    history.finish()
    assert network.accepted == before, "a blackout has cost a session"
    return history


@pytest.mark.long
def test_each_end_finds_a_dead_link_by_itself(network: Network) -> None:
    """Up is dead for one node, so that the gateway hears nothing; down for the other one.

    The client's link is dead in both directions.
    """
    near, one, two = network.near, network.far["one"], network.far["two"]
    history, _ = half_open(network, [one.up, two.down, near.up, near.down])
    assert history.broken() == []
    assert history.errors == {}


def test_a_short_blackout_costs_no_session(network: Network) -> None:
    history = blackouts(network, times=1, seconds=5.0, between=0.5)
    assert history.broken() == []
    assert history.errors == {}


@pytest.mark.parametrize(
    "toxics",
    [
        Toxics(latency=0.05, jitter=0.1),
        Toxics(slice=40, slice_delay=0.0005),
        Toxics(loss=0.1),
    ],
    ids=["latency", "slices", "loss"],
)
def test_a_bad_link_loses_nothing(network: Network, toxics: Toxics) -> None:
    for proxy in network.proxies:
        for way in proxy.both:
            vars(way).update(vars(toxics))
    before = network.accepted
    history, client = network.scene.history(), network.client()
    for _ in range(40):
        history.call(client, 0.001)
    history.stream(client, 100)
    history.carry(client, 20_000)
    history.finish()
    assert history.broken() == []
    assert history.errors == {}
    assert [now - then for now, then in zip(network.accepted, before, strict=True)] == [1, 0, 0]


def test_resets_lose_nothing(network: Network) -> None:
    history, client = network.scene.history(), network.client()
    for round in range(8):
        for _ in range(20):
            history.call(client, 0.01)
        history.stream(client, 300)
        history.carry(client, 500_000)
        wait_until(lambda: len(history.ran()) >= len(history.jobs) - 15)
        network.proxies[round % 3].reset()
    history.finish()
    assert history.broken() == []
    assert history.errors == {}
