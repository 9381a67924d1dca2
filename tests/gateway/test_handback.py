"""A node that hands back whatever it is sent costs the gateway little, and is left alone."""

from __future__ import annotations

import pytest

from easyremote.gateway.nodes import HAND_BACKS, REST, RESTS
from easyremote.protocol.messages import Dispatch, HandBack, Started
from tests.gateway.desk import ClientPeer, Desk, NodePeer


@pytest.fixture
def desk() -> Desk:
    return Desk()


def refuse(node: NodePeer, client: ClientPeer, limit: int) -> int:
    """Hand back every call, and send it again, until none comes; how many were handed back."""
    for count in range(limit):
        calls = [each.call for each in node.heard(Dispatch)]
        if not calls:
            return count
        node.say(HandBack(tuple(calls)))
        for _ in client.heard(HandBack):
            client.submit()
    raise AssertionError(f"it was sent {limit} calls without a rest")


def test_a_node_that_hands_back_all_calls_rests_and_then_gets_no_more(desk: Desk) -> None:
    node, client = desk.node(slots=1), desk.client()
    client.submit()
    for rest in range(RESTS):
        assert refuse(node, client, 2 * HAND_BACKS) <= HAND_BACKS
        desk.pass_time(REST * 2**rest - 0.01)
        assert node.heard(Dispatch) == []
        desk.pass_time(0.02)
    refuse(node, client, 2 * HAND_BACKS)
    desk.pass_time(1.0)
    code, text, details = client.error()
    assert (code, details["may_have_run"]) == ("offline", False)
    assert "hands back whatever it is sent" in text
    client.submit(node="")
    assert client.error()[0] in ("offline", "not-found")
    again = desk.node()
    client.submit()
    assert again.heard(Dispatch)


def test_a_node_that_begins_calls_may_hand_back_others_for_ever(desk: Desk) -> None:
    node, client = desk.node(slots=2), desk.client()
    for _ in range(10 * HAND_BACKS):
        client.submit()
        client.submit()
        begun, other = node.heard(Dispatch)
        node.say(Started(begun.call))
        node.say(HandBack((other.call,)))
        node.finish(begun)
    assert not node.node.is_refusing
    assert not node.node.rests_until


def test_what_waits_goes_to_another_node_meanwhile(desk: Desk) -> None:
    node, client = desk.node("n", slots=1), desk.client()
    for _ in range(HAND_BACKS):
        client.submit(node="")
        node.say(HandBack((node.only(Dispatch).call,)))
    other = desk.node("m")
    client.submit(node="")
    assert node.heard(Dispatch) == []
    assert other.heard(Dispatch)


def test_a_node_that_has_just_handed_a_call_back_comes_after_all_others(desk: Desk) -> None:
    liar, client = desk.node("liar", slots=8), desk.client()
    client.submit(node="")
    liar.say(HandBack((liar.only(Dispatch).call,)))
    honest = desk.node("honest", slots=2)
    for _ in range(2):
        client.submit(node="")
    assert len(honest.heard(Dispatch)) == 2
    client.submit(node="")  # and is asked again when the others are full
    (dispatch,) = liar.heard(Dispatch)
    liar.say(Started(dispatch.call))
    client.submit(node="")
    assert liar.heard(Dispatch)


def test_a_call_that_goes_back_keeps_its_place_in_the_line_of_its_key(desk: Desk) -> None:
    node, client = desk.node(slots=1), desk.client()
    ids = [desk.new_id() for _ in range(3)]
    numbers = [client.submit(call_id=each) for each in ids]
    node.say(HandBack((node.only(Dispatch).call,)))
    second = node.only(Dispatch)
    assert (second.call_id, client.only(HandBack).calls) == (ids[1], (numbers[0],))
    client.submit(call_id=ids[0])  # as its client does at once
    node.finish(second)
    order = [each.call_id for each in node.heard(Dispatch)]
    assert order == [ids[0], ids[2]], "it stands before the third, which came later"


def test_calls_of_a_node_that_is_gone_keep_their_places_too(desk: Desk) -> None:
    node, client = desk.node("n", slots=2), desk.client()
    ids = [desk.new_id() for _ in range(4)]
    for each in ids:
        client.submit(node="", call_id=each)
    node.leave()
    again = desk.node("n", slots=2)  # it has the calls no more: they did not start
    assert [each.call_id for each in again.heard(Dispatch)] == ids[2:]
    back = [ids[number - 1] for each in client.heard(HandBack) for number in each.calls]
    for each in back:
        client.submit(node="", call_id=each)
    third = desk.node("m", slots=1)
    assert third.only(Dispatch).call_id == ids[0]
