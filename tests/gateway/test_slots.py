"""Slots of a node: taken by calls whose arguments are whole, free when nobody waits any more."""

from __future__ import annotations

import pytest

from easyremote.gateway.dispatch import STALLED_AFTER
from easyremote.gateway.records import STREAM_HOLD
from easyremote.protocol.caller import RECONNECT_LIMIT
from easyremote.protocol.messages import Cancel, Dispatch, Function, HandBack
from tests.gateway.desk import Desk

SIZE = 40_000


@pytest.fixture
def desk() -> Desk:
    return Desk()


# -- arguments that do not come --------------------------------------------------------------------


@pytest.mark.parametrize("function", [Function("f"), Function("f", max_concurrency=2)])
def test_announced_arguments_that_do_not_come_keep_nobody_out(
    desk: Desk, function: Function
) -> None:
    node, idle, busy = desk.node("n", function, slots=2), desk.client(), desk.client("bob")
    for _ in range(8):
        idle.announce(SIZE)
    node.heard(Dispatch)
    busy.submit()
    assert node.only(Dispatch).owner == "bob"


def test_no_more_arguments_come_at_a_time_than_there_are_slots(desk: Desk) -> None:
    node, client = desk.node("n", "f", slots=2), desk.client()
    calls = [client.announce(SIZE) for _ in range(5)]
    assert len(node.heard(Dispatch)) == 2
    client.say(Cancel(calls[2].call))  # one that waits is let go with its stream
    assert not calls[2].is_wanted
    assert calls[0].is_wanted


def test_a_slot_is_taken_when_the_arguments_are_whole(desk: Desk) -> None:
    node, client = desk.node("n", "f", slots=1), desk.client()
    call = client.announce(SIZE, sent=SIZE - 1)
    assert (node.node.busy, node.node.active) == (0, {})
    call.send(1)
    assert (node.node.busy, node.node.active) == (1, {"f": 1})
    client.submit()
    (dispatch,) = node.heard(Dispatch)
    node.finish(dispatch)
    assert len(node.heard(Dispatch)) == 1


def test_arguments_that_are_here_before_their_turn_take_a_slot_at_once(desk: Desk) -> None:
    node, client = desk.node("n", "f", slots=1), desk.client()
    client.submit()
    call = client.announce(SIZE, sent=SIZE)
    assert node.node.busy == 1
    node.finish(node.only(Dispatch))
    assert node.node.busy == 1
    assert not node.node.arriving
    assert call.call in client.client.calls


def test_arguments_that_stop_coming_go_back_and_make_room(desk: Desk) -> None:
    node, client = desk.node("n", "f", slots=1), desk.client()
    stuck = client.announce(SIZE, sent=10)
    (dispatch,) = node.heard(Dispatch)
    client.announce(SIZE, sent=SIZE)
    assert node.heard(Dispatch) == []
    desk.pass_time(STALLED_AFTER - 1)
    assert client.heard(HandBack) == []
    desk.pass_time(1)  # ten bytes came since it was dispatched
    desk.pass_time(STALLED_AFTER)
    assert client.only(HandBack) == HandBack((stuck.call,))
    assert not stuck.is_wanted
    assert node.only(Dispatch).call != dispatch.call
    assert not node._near._streams.incoming, "the node was told that the rest does not come"


def test_bytes_that_came_before_its_turn_give_a_call_no_more_time(desk: Desk) -> None:
    node, client = desk.node("n", "f", slots=0), desk.client()
    stuck = client.announce(SIZE, sent=10)
    node.register("f", slots=1)
    assert node.heard(Dispatch)
    desk.pass_time(STALLED_AFTER)
    assert client.only(HandBack) == HandBack((stuck.call,))


def test_slow_arguments_are_waited_for_as_long_as_they_come(desk: Desk) -> None:
    desk.node("n", "f", slots=1)
    client = desk.client()
    call = client.announce(SIZE)
    for _ in range(5):
        desk.pass_time(STALLED_AFTER - 1)
        call.send(1)
    assert client.heard(HandBack) == []
    call.send(SIZE - 5)
    desk.pass_time(10 * STALLED_AFTER)
    assert client.heard(HandBack) == []


def test_a_client_is_not_blamed_for_a_node_that_welcomes_no_more(desk: Desk) -> None:
    desk.node("n", "f", slots=1)
    client = desk.client()
    client.announce(1_000_000, sent=65_536)  # all that is welcome before the node grants more
    desk.pass_time(STALLED_AFTER + 1)
    desk.pass_time(STALLED_AFTER + 1)
    assert client.heard(HandBack) == []


def test_a_call_without_its_arguments_goes_back_when_its_node_goes(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    call = client.announce(SIZE, sent=10)
    node.leave()
    assert client.only(HandBack) == HandBack((call.call,))
    assert len(desk.calls) == 0


def test_arguments_whose_client_is_gone_make_room_for_those_of_others(desk: Desk) -> None:
    node, gone, other = desk.node("n", "f", slots=1), desk.client(), desk.client("bob")
    gone.announce(SIZE, sent=10)
    node.heard(Dispatch)
    other.announce(SIZE, sent=10)
    assert node.heard(Dispatch) == []
    gone.leave()
    assert node.only(Dispatch).owner == "bob"


# -- streams whose client is gone ------------------------------------------------------------------

STREAM = Function("f", streams=True)


def test_the_slot_of_a_stream_is_free_soon_after_its_client_is_gone(desk: Desk) -> None:
    node, client = desk.node("n", STREAM, slots=4), desk.client()
    for _ in range(4):
        client.submit()
    calls = node.heard(Dispatch)
    client.leave()
    desk.pass_time(STREAM_HOLD - 1)
    assert node.heard(Cancel) == []
    desk.pass_time(1)
    assert {each.call for each in node.heard(Cancel)} == {each.call for each in calls}
    assert node.node.busy == 0


def test_a_stream_that_begins_when_its_client_is_gone_is_not_held_longer(desk: Desk) -> None:
    node, client = desk.node("n", STREAM, slots=1), desk.client()
    client.submit()
    client.submit()
    first, _ = node.only(Dispatch), client.leave()
    desk.pass_time(STREAM_HOLD - 1)
    node.finish(first)
    second = node.only(Dispatch)
    desk.pass_time(STREAM_HOLD)
    assert second.call in {each.call for each in node.heard(Cancel)}


@pytest.mark.parametrize(("function", "hold"), [(STREAM, 300.0), (Function("f"), 0.0)])
def test_what_was_asked_for_and_what_is_no_stream_is_held_as_before(
    desk: Desk, function: Function, hold: float
) -> None:
    node, client = desk.node("n", function), desk.client()
    client.submit(hold=hold)
    node.start()
    client.leave()
    desk.pass_time((hold or RECONNECT_LIMIT) - 1)
    assert node.heard(Cancel) == []
    desk.pass_time(1)
    assert node.heard(Cancel)
