"""The faults of this folder, longer and more often; ``python -m tests.faults.long`` runs them."""

from __future__ import annotations

import os

from tests.faults.history import Tally
from tests.faults.network.meddler import Meddler
from tests.faults.network.network import open_network
from tests.faults.network.soak import run_soak
from tests.faults.network.test_clock import caller_stands_still, stand_still
from tests.faults.network.test_half_open import blackouts, half_open
from tests.faults.network.test_meddler import meddled
from tests.faults.network.test_slow import MB, bulk, p99, stopped_reader
from tests.faults.network.test_streams import FAULTS, streams_across
from tests.faults.network.test_wire import lossy, open_far_node
from tests.faults.network.wire import why_not
from tests.faults.scene import Scene, Test, named

NODES = ("three", "four")

#: How long each role stands still, and how long the soak is, in seconds.
STOPPED = 90.0
SOAK = 60.0 * float(os.environ.get("EASYREMOTE_SOAK_MINUTES", "30"))
ROLES = ("gateway", "node", "client")


def links_half_open(scene: Scene) -> Tally:
    """Each end's link is dead: up, down, both. Each is found in 40 s after its last byte."""
    with open_network(scene, *NODES) as network:
        one, two = network.far.values()
        near = network.near
        told, tally = [], Tally()
        for dead in ([one.up, two.down, *near.both], [*one.both, *two.both, near.up, near.down]):
            history, found = half_open(network, dead)
            assert history.errors == {}
            tally += history.tally
            told.append(f"{found:.1f} s")
        print(f"dead links found after {', '.join(told)}")
    return tally


def short_blackouts(scene: Scene) -> Tally:
    """Five seconds of each twenty nothing passes, five times."""
    with open_network(scene, *NODES) as network:
        history = blackouts(network, times=5, seconds=5.0, between=15.0)
    assert history.errors == {}
    return history.tally


def packets_lost(scene: Scene) -> Tally:
    """One tenth of the packets is lost, on a wire to another network namespace."""
    if reason := why_not():
        print(f"left out: {reason}")
        return Tally()
    with open_far_node(scene.home / "far", scene.chance.randrange(2**31)) as far:
        history = lossy(far, 0.1, rounds=100)
        print(f"{far.wire.lost} of {far.wire.lost + far.wire.carried} packets were lost")
    assert history.errors == {}
    return history.tally


def slow_link(scene: Scene) -> Tally:
    """100 MB over 1 MB/s beside small calls: their p99 is at most 1.5 s."""
    with open_network(scene, *NODES) as network:
        history, beside, peak = bulk(network, 100 * MB, 1 * MB)
    print(f"small calls' p99 {p99(beside.seconds):.2f} s, gateway RSS +{peak.most / MB:.0f} MiB")
    assert history.errors == {}
    assert p99(beside.seconds) <= 1.5
    assert peak.most <= 32 * MB
    return history.tally + beside.history.tally


def slow_reader(scene: Scene) -> Tally:
    """A reader stops in a stream of 1 GB: the others' p99 is at most a fifth longer.

    What flows until the reader stops, some megabytes, is beside a few calls of each turn. A turn is
    so long that these are less than the hundredth part.
    """
    with open_network(scene, *NODES) as network:
        found = stopped_reader(network, blocks=1000, calls=1000, turns=5)
    without, beside = p99(found.without), p99(found.beside)
    print(
        f"p99 {1000 * without:.2f} ms without it, {1000 * beside:.2f} ms beside it; "
        f"gateway RSS +{found.peak.most / MB:.0f} MiB"
    )
    assert beside <= 1.2 * without
    assert found.peak.most <= 64 * MB
    return found.history.tally


def frames_meddled_with(scene: Scene) -> Tally:
    """Records repeated and out of order between calls, then every old session played again."""
    with Meddler(scene.gateway.address, scene.chance.randrange(2**31)) as meddler:
        scene.start_nodes(*NODES, address=meddler.address)
        history = meddled(scene, meddler, 1000)
        assert history.errors == {}
        for said in list(meddler.sent):
            meddler.replay(said)
        print(f"{dict(meddler.done)}, {len(meddler.sent)} sessions played again")
        for node_id in NODES:
            scene.kill_node(node_id)
    return history.tally


def stands_still(scene: Scene, role: str) -> Tally:
    """A process stands still for 90 s: nothing is lost, nothing runs twice."""
    if role == "client":
        return caller_stands_still(scene, STOPPED).tally
    with open_network(scene, *NODES) as network:
        history = stand_still(network, role, STOPPED)
    assert history.errors == {}
    return history.tally


def streams(scene: Scene, fault: str) -> Tally:
    """50 streams of 500 items, four times, through one fault each time."""
    tally = Tally()
    with open_network(scene, *NODES) as network:
        for _ in range(4):
            history = streams_across(network, fault, streams=50, items=500)
            assert fault == "node" or history.errors == {}
            tally += history.tally
    return tally


def soak(scene: Scene) -> Tally:
    """Half an hour of weighted faults under mixed work; the processes do not grow."""
    with open_network(scene, *NODES) as network:
        return run_soak(network, SOAK)


LONG: tuple[Test, ...] = (
    soak,
    links_half_open,
    short_blackouts,
    packets_lost,
    slow_link,
    slow_reader,
    frames_meddled_with,
    *(named(f"{role}_stands_still", stands_still, role) for role in ROLES),
    *(named(f"streams_across_{fault}", streams, fault) for fault in FAULTS),
)
