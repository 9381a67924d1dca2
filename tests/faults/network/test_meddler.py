"""Records repeated, out of order between calls, and played again: one result each, run once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from easyremote.protocol.frames import chunk_header, control_record
from easyremote.protocol.messages import (
    Cancel,
    Challenge,
    Delivered,
    Payload,
    Ping,
    Refused,
    Seen,
    Started,
    Submit,
    encode,
)
from tests.faults.conftest import SEED
from tests.faults.history import History
from tests.faults.network.meddler import Meddler, Way, records
from tests.faults.network.network import Network
from tests.faults.scene import Scene, open_scene
from tests.processes import wait_until

#: Bytes of a value that travels in several chunks, and needs credits.
LARGE = 300_000


@pytest.fixture
def meddler(network: Network) -> Iterator[Meddler]:
    with Meddler(network.scene.gateway.address, network.scene.chance.randrange(2**31)) as made:
        yield made


def meddled(scene: Scene, meddler: Meddler, calls: int) -> History:
    """Work of all kinds, between a client and two nodes that all talk through the meddler."""
    history, client = scene.history(), scene.client(meddler.address)
    for number in range(calls):
        node_id = ("three", "four")[number % 2]
        history.call(client, 0.002, node_id=node_id)
        if number % 10 == 0:
            history.stream(client, 50, node_id=node_id)
        if number % 100 == 0:
            history.carry(client, LARGE, node_id=node_id)
    history.finish()
    client.close()
    with scene.gateway.client() as other:
        wait_until(lambda: not other.list_jobs())
    return history


def test_what_is_repeated_or_overtaken_has_one_result_and_runs_once(tmp_path: Path) -> None:
    with open_scene(tmp_path / "home", SEED) as scene, Meddler(scene.gateway.address, SEED) as made:
        scene.start_nodes("three", "four", address=made.address)
        history = meddled(scene, made, 200)
    assert history.broken() == []
    assert history.errors == {}
    assert made.done["repeated"] > 100
    assert made.done["overtaken"] > 100


@pytest.mark.parametrize("restarted", ["", "gateway", "gateway and node"])
def test_an_old_session_that_is_played_again_is_refused(
    network: Network, meddler: Meddler, restarted: str
) -> None:
    """Also where nobody is left who has heard of its calls."""
    meddler.repeats = meddler.overtakes = 0.0
    scene = network.scene
    history, client = scene.history(), scene.client(meddler.address)
    for _ in range(20):
        history.call(client, 0.0, node_id="one")
    history.finish()
    (said,) = meddler.sent
    # Until then it may ask for the outcomes once more, as anybody with its key.
    wait_until(lambda: len(delivered(said)) == 20)
    if restarted:
        scene.kill_gateway()
        if "node" in restarted:
            scene.kill_node("one")
        scene.start_gateway()
        if "node" in restarted:
            scene.start_nodes("one", address=network.far["one"].address)
        network.wait_for_nodes()
    challenge, refused = meddler.replay(said)
    with scene.gateway.client() as other:
        other.call("answer", (1,), node_id="one").result()
    history.call(client, 0.0, node_id="one")
    history.finish()
    assert history.broken() == []
    assert history.errors == {}
    assert isinstance(challenge, Challenge)
    assert isinstance(refused, Refused)
    assert "recorded" in refused.message


def delivered(said: list[bytes]) -> set[int]:
    """The calls whose outcomes have arrived, as far as this connection says."""
    messages = [message for data in list(said) for _, message in records(data)]
    return {call for each in messages if isinstance(each, Delivered) for call in each.calls}


# -- the meddler itself ----------------------------------------------------------------------------


def record(message: object) -> bytes:
    return control_record(encode(message))


def pass_on(meddler: Meddler, *sent: bytes) -> list[bytes]:
    """What a way makes of these records, up to the moment at which it has no patience left."""
    way = Way(meddler)
    got = [due for data in sent for each in records(data) for due in way.next(*each)]
    return [*got, *way.due(everything=True)]


STORY = [
    record(Submit(1, b"1" * 16, "n", "f", Payload())),
    record(Submit(2, b"2" * 16, "n", "f", Payload())),
    *[record(Started(call)) for call in (1, 2)],
    *[record(Seen(call, seq)) for seq in range(1, 20) for call in (1, 2)],
    chunk_header(1, 3) + b"abc",
    record(Ping(1)),
    record(Cancel(1)),
    record(Cancel(2)),
]


def test_it_finds_the_records_of_a_message() -> None:
    assert [each for each, _ in records(b"".join(STORY))] == STORY


def test_without_meddling_all_passes_as_it_came(meddler: Meddler) -> None:
    meddler.repeats = meddler.overtakes = 0.0
    assert pass_on(meddler, *STORY) == STORY


def test_what_is_said_of_one_call_stays_in_order_and_what_settles_all_is_overtaken_by_nothing(
    meddler: Meddler,
) -> None:
    meddler.repeats, meddler.overtakes = 0.0, 0.5
    got = pass_on(meddler, *STORY)
    assert sorted(got) == sorted(STORY)
    assert got != STORY
    for call in (1, 2):
        said = [
            each
            for each in STORY
            for _, message in records(each)
            if getattr(message, "call", None) == call
        ]
        assert [each for each in got if each in said] == said
    ping = got.index(record(Ping(1)))
    assert {*got[ping + 1 :]} == {record(Cancel(1)), record(Cancel(2))}


def test_repeats_add_copies_and_leave_nothing_out(meddler: Meddler) -> None:
    meddler.repeats, meddler.overtakes = 1.0, 0.0
    assert pass_on(meddler, *STORY) == [each for each in STORY for _ in range(2)]
