"""What one peer may have at the gateway: every limit that is told is enforced."""

from __future__ import annotations

import pytest

from easyremote.errors import ProtocolError
from easyremote.gateway.feed import WATCHES, GatewayFeed
from easyremote.gateway.records import TAKEN
from easyremote.gateway.recovery import MAX_ADOPTED
from easyremote.protocol.failures import unpack_error
from easyremote.protocol.messages import Delivered, Dispatch, Finished, Resume, Resumed, Submit
from tests.gateway.desk import Desk, payload


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_calls_above_the_limit_are_answered_busy_and_nothing_is_kept_of_them(desk: Desk) -> None:
    node, client = desk.node(slots=1), desk.client()
    for _ in range(16 * TAKEN):
        client.submit()
    answers = [unpack_error(each.payload.data) for each in client.heard(Finished)]
    assert {code for code, _, _ in answers} == {"busy"}
    assert not answers[0][2]["may_have_run"]
    assert "has 1250 calls at the gateway, and that is the most" in answers[0][1]
    assert len(desk.calls) == TAKEN
    node.finish(node.only(Dispatch))
    client.say(Delivered((client.only(Finished).call,)))
    client.submit()
    assert client.heard(Finished) == []
    desk.client("bob").submit()
    assert len(desk.calls) == TAKEN + 1, "another client has a limit of its own"


def test_a_call_that_was_sent_before_has_no_way_around_the_limit(desk: Desk) -> None:
    desk.restart()
    client = desk.client()
    client.client.max_calls = 0
    client.submit(age=5.0)
    code, _, details = client.error()
    assert (code, details["may_have_run"]) == ("busy", True)  # it may run where it was sent first


def test_arguments_of_a_call_that_is_turned_away_are_stopped(desk: Desk) -> None:
    desk.node(slots=1)
    client = desk.client()
    client.client.max_calls = 0
    arguments = client.announce(40_000)
    assert not arguments.is_wanted


def test_a_node_that_names_very_many_unknown_calls_is_believed_some_of_them(desk: Desk) -> None:
    held = [(number.to_bytes(16, "big"), number) for number in range(1, 3 * MAX_ADOPTED)]
    numbers = desk.node(held=held).only(Resumed).calls
    assert all(numbers[:MAX_ADOPTED])
    assert not any(numbers[MAX_ADOPTED:])
    assert len(desk.calls) == MAX_ADOPTED


def test_a_client_that_names_very_many_unknown_calls_is_believed_some_of_them(desk: Desk) -> None:
    desk.restart()
    client = desk.client()
    ids = tuple(number.to_bytes(16, "big") for number in range(1, 5 * TAKEN))
    client.say(Resume(ids, tuple(range(1, 5 * TAKEN)), started=(True,) * len(ids)))
    assert sum(map(bool, client.only(Resumed).calls)) == TAKEN
    assert len(desk.calls) == TAKEN


def test_a_number_stands_for_one_call_only(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit(call=7)
    with pytest.raises(ProtocolError, match="the number 7 is that of another call"):
        client.submit(call=7)
    with pytest.raises(ProtocolError, match="the number 7 is that of another call"):
        client.say(Resume((desk.new_id(),), (7,), started=(False,)))
    node.finish(node.only(Dispatch))
    assert client.only(Finished).call == 7


def test_one_client_watches_only_so_often(desk: Desk) -> None:
    feed, client, other = GatewayFeed(desk.calls), desk.client(), desk.client()
    for number in range(1, WATCHES + 2):
        function = "$watch" if number % 2 else "$changes"
        feed.receive(client.client, Submit(number, desk.new_id(), "", function, payload()))
    (refused,) = client.heard(Finished)
    assert (refused.call, unpack_error(refused.payload.data)[0]) == (WATCHES + 1, "busy")
    feed.receive(other.client, Submit(1, desk.new_id(), "", "$watch", payload()))
    assert other.heard(Finished) == []
