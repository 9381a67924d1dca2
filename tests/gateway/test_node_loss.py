"""A node is gone, or does not answer: what becomes of its calls, and of those that wait for it."""

from __future__ import annotations

import pytest

from easyremote.gateway.records import LOST_AFTER
from easyremote.gateway.scheduling.explain import explain
from easyremote.options.retries import FAIL, RETRY
from easyremote.protocol.link import SILENT_AFTER
from easyremote.protocol.messages import (
    Delivered,
    Dispatch,
    Finished,
    NodeAway,
    Pong,
    Resumed,
)
from tests.gateway.desk import Desk, NodePeer


@pytest.fixture
def desk() -> Desk:
    return Desk()


def fall_silent(desk: Desk, *nodes: NodePeer) -> None:
    """The nodes are asked, and do not answer."""
    for node in nodes:
        node.link.ping(desk.now)
    desk.pass_time(SILENT_AFTER + 0.1)


def answer(desk: Desk, node: NodePeer) -> None:
    node._near.send(Pong())
    data = node._near.data_to_send()
    assert data is not None
    assert not list(node.link.receive_data(data, desk.now))


@pytest.mark.parametrize("choice", [FAIL, RETRY])
def test_who_does_not_want_to_wait_hears_at_once_that_the_node_is_gone(
    desk: Desk, choice: str
) -> None:
    node, client = desk.node(), desk.client()
    client.submit(on_node_loss=choice)
    node.start()
    node.leave()
    code, text, details = client.error()
    assert (code, details["may_have_run"]) == ("lost", True)
    assert "Node 'n' is gone" in text


def test_who_waits_hears_of_it_after_a_minute(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit()
    node.start()
    node.leave()
    desk.pass_time(LOST_AFTER - 1)
    assert client.heard(Finished) == []
    desk.pass_time(2.0)
    assert client.error()[0] == "lost"


def test_a_call_that_waits_for_a_node_which_is_gone_did_not_run(desk: Desk) -> None:
    node, client = desk.node(slots=1), desk.client()
    client.submit()
    node.start()
    hasty, patient = client.submit(on_node_loss=FAIL), client.submit()
    node.leave()
    code, text, details = client.error()
    assert (code, details["may_have_run"]) == ("offline", False)
    assert "Node 'n' went offline" in text
    assert {hasty, patient} & client.client.calls.keys() == {hasty, patient}
    client.submit(on_node_loss=FAIL)
    assert client.error()[0] == "offline", "one that comes later ends at once, too"
    client.submit(on_node_loss=RETRY)
    assert client.heard(Finished) == [], "it waits: it has lost no node yet"


def test_a_node_that_does_not_answer_gets_no_calls_until_it_does(desk: Desk) -> None:
    silent, other, client = desk.node("silent"), desk.node("other"), desk.client()
    fall_silent(desk, silent)
    for _ in range(3):
        client.submit(node="")
    assert len(other.heard(Dispatch)) == 3
    client.submit(node="silent")
    assert silent.heard(Dispatch) == []
    call = list(desk.calls.table.by_id.values())[-1]
    words = explain(desk.calls.table.queues, call, desk.now)
    assert words == "silent has not answered for 5 s, and may be gone"
    answer(desk, silent)
    desk.pass_time(0.1)
    assert silent.only(Dispatch).call_id == call.call_id


def test_a_call_for_any_node_says_that_none_answers(desk: Desk) -> None:
    nodes, client = [desk.node("one"), desk.node("two")], desk.client()
    fall_silent(desk, *nodes)
    client.submit(node="")
    (call,) = desk.calls.table.by_id.values()
    words = explain(desk.calls.table.queues, call, desk.now)
    assert words.startswith("one has not answered for 5 s, and may be gone; two has not")


def test_a_call_that_runs_says_that_its_node_does_not_answer(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit()
    (call,) = desk.calls.table.by_id.values()
    for begin, words in [(False, "n has it, and has not begun it yet"), (True, "it runs on n")]:
        if begin:
            node.start()
        fall_silent(desk, node)
        told = explain(desk.calls.table.queues, call, desk.now)
        assert told.startswith(words)
        assert "; n has not answered for" in told


def test_a_node_that_was_not_asked_is_not_silent(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    desk.pass_time(SILENT_AFTER + 1)
    client.submit()
    assert node.only(Dispatch)


def test_clients_hear_that_a_node_is_gone_and_that_it_is_back(desk: Desk) -> None:
    node, clients = desk.node(), [desk.client("ann"), desk.client("bob")]
    numbers = [clients[0].submit(), clients[0].submit(), clients[1].submit()]
    held = [(each.call_id, each.fence) for each in node.heard(Dispatch)]
    node.leave()
    assert clients[0].only(NodeAway) == NodeAway(tuple(numbers[:2]), "n", LOST_AFTER)
    assert clients[1].only(NodeAway) == NodeAway(tuple(numbers[2:]), "n", LOST_AFTER)
    desk.node(held=held)
    assert clients[1].only(NodeAway) == NodeAway(tuple(numbers[2:]), "n", 0.0)


def test_a_call_whose_outcome_the_client_has_is_over_though_its_node_is_lost(desk: Desk) -> None:
    """The node was lost between its FINISHED and the client's DELIVERED."""
    node, client = desk.node(), desk.client()
    client.submit()
    dispatch = node.start()
    node.finish(dispatch)
    outcome = client.only(Finished)
    node.leave()
    client.say(Delivered((outcome.call,)))
    assert desk.calls.table.by_id == {}
    back = desk.node(held=[(dispatch.call_id, dispatch.fence)])
    assert back.only(Resumed).calls == (0,)
