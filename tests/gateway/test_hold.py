"""Calls that go on without their client for as long as it said when it sent them."""

from __future__ import annotations

import pytest

from easyremote.gateway.records import KEPT, LOST_AFTER
from easyremote.protocol.caller import RECONNECT_LIMIT
from easyremote.protocol.messages import Cancel, Delivered, Dispatch, Finished, Resume, Resumed
from tests.gateway.desk import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_call_goes_on_for_as_long_as_its_client_said_and_is_then_cancelled(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit(hold=120.0)
    dispatch = node.start()
    client.leave()
    desk.pass_time(119)
    assert node.heard(Cancel) == []
    desk.pass_time(2)
    assert node.only(Cancel) == Cancel(dispatch.call)


def test_a_call_that_is_to_be_kept_is_never_cancelled_and_its_outcome_waits(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    call_id = desk.new_id()
    client.submit(call_id=call_id, hold=-1.0)
    dispatch = node.start()
    client.leave()
    desk.pass_time(100 * RECONNECT_LIMIT)
    assert node.heard(Cancel) == []
    node.finish(dispatch)
    desk.pass_time(KEPT - 10)
    again = desk.client()
    again.say(Resume((call_id,), (7,), started=(True,)))
    assert again.only(Resumed) == Resumed((7,))
    node.finish(dispatch)  # the gateway asked the node to say it again
    assert again.only(Finished).payload.data == b"value"


def test_an_outcome_that_nobody_comes_for_is_forgotten_in_the_end(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit(hold=-1.0)
    dispatch = node.start()
    client.leave()
    node.finish(dispatch)
    desk.pass_time(KEPT + 1)
    assert len(desk.calls) == 0
    assert node.only(Delivered) == Delivered((dispatch.call,))


def test_a_kept_call_whose_node_is_lost_is_forgotten(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit(hold=-1.0)
    node.start()
    client.leave()
    node.leave()
    desk.pass_time(LOST_AFTER + 1)
    assert len(desk.calls) == 0


def test_the_limit_of_running_goes_to_the_node_as_it_is(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit(run_timeout=5.0)
    assert node.only(Dispatch).run_timeout == 5.0
    desk.pass_time(3600)
    assert node.heard(Cancel) == []  # only the node knows how long it has run


def test_an_outcome_that_was_not_taken_before_its_client_went_is_kept_as_long(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit(hold=-1.0)
    node.finish(node.start())
    client.leave()
    desk.pass_time(KEPT - 1)
    assert len(desk.calls) == 1
    desk.pass_time(1)
    assert len(desk.calls) == 0


def test_a_hold_ends_in_the_moment_that_was_told(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit(hold=120.0)
    node.start()
    client.leave()
    desk.pass_time(120.0)
    assert node.heard(Cancel)
    assert len(desk.calls) == 0
