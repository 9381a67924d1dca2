"""Streams through resets and kills: a prefix of the items, then the rest or a typed error."""

from __future__ import annotations

import time

import pytest

from easyremote.errors import CallLost
from tests.faults.history import History
from tests.faults.network.network import Network
from tests.processes import wait_until

#: What happens to a network while streams run over it.
FAULTS = ("reset", "gateway", "node", "blackout")


def streams_across(network: Network, fault: str, streams: int, items: int) -> History:
    """Let so many streams of so many items run, and break something in their midst."""
    scene = network.scene
    history, client = scene.history(), network.client()
    for number in range(streams):
        history.stream(client, items, node_id=network.nodes[number % 2])
    part = scene.chance.uniform(0.05, 0.8)
    total = streams * items
    wait_until(lambda: sum(len(job.items) for job in history.jobs.values()) >= part * total)
    _break(network, fault)
    history.finish()
    return history


def _break(network: Network, fault: str) -> None:
    scene = network.scene
    if fault == "reset":
        for proxy in network.proxies:
            proxy.reset()
    elif fault == "gateway":
        scene.kill_gateway()
        scene.start_gateway()
    elif fault == "node":
        node_id = scene.chance.choice(network.nodes)
        scene.kill_node(node_id)
        scene.start_nodes(node_id, address=network.far[node_id].address)
    else:
        for proxy in network.proxies:
            proxy.cut()
        time.sleep(1.0)  # the fault itself
        for proxy in network.proxies:
            proxy.cut(is_cut=False)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_stream_has_no_gap_and_ends(network: Network, fault: str) -> None:
    """Only the loss of the process that makes the items may end it, with an error that says so."""
    history = streams_across(network, fault, streams=10, items=200)
    assert history.broken() == []
    kinds = set(map(type, history.errors.values()))
    assert kinds <= ({CallLost} if fault == "node" else set())
