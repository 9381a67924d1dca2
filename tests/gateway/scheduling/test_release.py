"""Whoever keeps GPU memory in an idle session is asked for it when somebody waits for it."""

from __future__ import annotations

import msgspec
import pytest

from easyremote.gateway.scheduling.scheduler import ASK_IDLE_AFTER
from easyremote.protocol.messages import Event, GpuHolder
from tests.gateway.desk import ClientPeer
from tests.gateway.scheduling.test_holdings import GB, cell, gpu_memory, machine, told
from tests.gateway.test_feed import Watched, asked, nodes_answer

TEXT = (
    "key lab-2 waits for 24 GB of GPU memory on gpu-node; this session has held 31 GB idle for "
    "2 h. Release it?"
)


def session(owner: str = "lab-1", name: str = "s1", idle: float = 7200.0) -> GpuHolder:
    return GpuHolder(31 * GB, owner, name, "", idle)


@pytest.fixture
def desk() -> Watched:
    desk = Watched()
    desk.calls.nodes.watched = True
    return desk


def questions(desk: Watched, client: ClientPeer) -> object:
    client.heard(object)
    return nodes_answer(desk, client)["nodes"][0]["asked"]


def test_the_owner_of_an_idle_session_is_asked_and_nobody_else(desk: Watched) -> None:
    node, ann, bob = machine(desk), desk.client("lab-1"), desk.client("lab-2")
    holders = session(), session("lab-3", "s3"), GpuHolder(5 * GB, what="python of user eve")
    node.say(told(12, *holders))
    assert questions(desk, ann) == {}, "nobody waits"
    cell(bob, gpu_memory(24))
    assert questions(desk, ann) == {"s1": TEXT}
    assert questions(desk, bob) == {}
    assert list(questions(desk, desk.client("lab-3"))) == ["s3"]
    node.say(told(24, session()))
    assert questions(desk, ann) == {}, "it has what it needs"


@pytest.mark.parametrize(
    "holder",
    [
        pytest.param(session(idle=ASK_IDLE_AFTER - 1), id="used a moment ago"),
        pytest.param(session(idle=0.0), id="a cell runs"),
        pytest.param(GpuHolder(0, "lab-1", "s1", "", 7200.0), id="it holds nothing"),
        pytest.param(session("lab-2", "s"), id="of the session that waits"),
    ],
)
def test_nobody_is_asked_for_what_is_used_or_would_not_help(
    desk: Watched, holder: GpuHolder
) -> None:
    node, ann, bob = machine(desk), desk.client("lab-1"), desk.client("lab-2")
    node.say(told(10, holder))
    cell(bob, gpu_memory(48))
    for client in (ann, bob):
        assert questions(desk, client) == {}


def test_a_call_of_ones_own_is_named_so(desk: Watched) -> None:
    node, ann = machine(desk), desk.client("lab-1")
    node.say(told(17, session()))
    cell(ann, gpu_memory(24), "another")
    assert questions(desk, ann) == {"s1": TEXT.replace("key lab-2", "another call of yours")}


def test_who_follows_the_changes_is_told_once_when_it_is_asked_and_when_it_is_over(
    desk: Watched,
) -> None:
    node, ann, bob = machine(desk), desk.client("lab-1"), desk.client("lab-2")
    desk.ask(ann, asked("$changes"))
    cell(bob, gpu_memory(40), "first")
    cell(bob, gpu_memory(24))
    for idle in (7200.0, 7201.0, 7202.0):
        node.say(told(17, session(idle=idle)))
    node.say(told(48))
    told_of = [msgspec.msgpack.decode(each.payload.data)["asked"] for each in ann.heard(Event)]
    assert told_of == [{"s1": TEXT}, {}]
