"""A mistake of ours ends the call that it is about, and nothing else; its story is told."""

from __future__ import annotations

import logging
from typing import NoReturn

import pytest

from easyremote.errors import InternalError, ProtocolError
from easyremote.gateway.records import LOST_AFTER, GatewayCall
from easyremote.gateway.table import STORY, CallTable
from easyremote.protocol.call import CallEvent
from easyremote.protocol.caller import RECONNECT_LIMIT
from easyremote.protocol.messages import (
    Cancel,
    Delivered,
    Dispatch,
    Finished,
    HandBack,
    Payload,
    Resume,
    Resumed,
    Started,
)
from tests.gateway.desk import Desk, payload


@pytest.fixture
def desk() -> Desk:
    return Desk()


def fail(*_: object, **__: object) -> NoReturn:
    raise ZeroDivisionError("a mistake")


@pytest.fixture
def mistaken(monkeypatch: pytest.MonkeyPatch) -> list[GatewayCall]:
    """Calls with which every change of state goes wrong, except that they are given up."""
    calls: list[GatewayCall] = []
    right = CallTable.advance

    def advance(table: CallTable, call: GatewayCall, event: CallEvent, now: float) -> None:
        if call in calls and event is not CallEvent.GIVEN_UP:
            fail()
        right(table, call, event, now)

    monkeypatch.setattr(CallTable, "advance", advance)
    return calls


def the_call(desk: Desk) -> GatewayCall:
    (call,) = desk.calls.table.by_id.values()
    return call


def test_a_mistake_with_a_new_call_is_its_outcome_and_is_logged(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    node, client = desk.node(), desk.client()
    with monkeypatch.context() as patched:
        patched.setattr("easyremote.gateway.dispatch.Dispatch", fail)
        client.submit()
    code, text, details = client.error()
    assert (code, details["may_have_run"]) == ("internal", True)
    assert "Its story: DISPATCHED after 0.000 s." in text
    (line,) = caplog.records
    assert (line.name, line.levelno) == ("easyremote.gateway", logging.ERROR)
    assert line.exc_info is not None
    assert line.exc_info[0] is ZeroDivisionError
    assert node.node.busy == 0
    client.submit()
    node.finish(node.start())
    assert client.only(Finished).payload.data == b"value"


def test_a_mistake_before_a_call_is_in_the_table_is_answered_too(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.node()
    client = desk.client()
    monkeypatch.setattr(CallTable, "add", fail)
    client.submit()
    assert client.error()[0] == "internal"
    assert len(desk.calls) == 0


@pytest.mark.parametrize("message", [Started, Finished, HandBack, Cancel])
def test_a_mistake_with_any_message_ends_the_call_and_frees_its_slot(
    desk: Desk, mistaken: list[GatewayCall], message: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, client = desk.node(slots=1), desk.client()
    number = client.submit()
    dispatch = node.only(Dispatch)
    mistaken.append(the_call(desk))
    if message is Started:
        node.say(Started(dispatch.call))
    elif message is Finished:
        node.finish(dispatch)
    elif message is HandBack:
        node.say(HandBack((dispatch.call,)))
    else:
        monkeypatch.setattr("easyremote.gateway.dispatch.Cancel", fail)
        client.say(Cancel(number))
    assert client.error()[0] == "internal"
    assert node.node.busy == 0


def test_a_mistake_with_one_of_many_leaves_the_others_alone(
    desk: Desk, mistaken: list[GatewayCall]
) -> None:
    node, client = desk.node(), desk.client()
    numbers = [client.submit() for _ in range(3)]
    for dispatch in node.heard(Dispatch):
        node.finish(dispatch)
    mistaken.append(list(desk.calls.table.by_id.values())[1])
    client.heard(Finished)
    client.say(Delivered(tuple(numbers)))
    assert len(desk.calls) == 1
    assert client.error()[0] == "internal"  # the client has had its value, and drops this


def test_a_mistake_when_a_peer_goes_leaves_the_others_alone(
    desk: Desk, mistaken: list[GatewayCall]
) -> None:
    node, client = desk.node(), desk.client()
    for _ in range(3):
        client.submit()
    mistaken.append(list(desk.calls.table.by_id.values())[1])
    node.leave()
    assert client.error()[0] == "internal"
    desk.pass_time(LOST_AFTER + 1)
    assert len(client.heard(Finished)) == 2


def test_a_mistake_in_a_timer_ends_its_call_and_the_others_go_on(
    desk: Desk, mistaken: list[GatewayCall]
) -> None:
    desk.node("n", slots=0)
    client = desk.client()
    for _ in range(3):
        client.submit(timeout=5.0)
    mistaken.append(list(desk.calls.table.by_id.values())[1])
    desk.pass_time(6.0)
    outcomes = client.heard(Finished)
    assert [outcome.code for outcome in outcomes] == ["timeout", "internal", "timeout"]


def test_a_mistake_while_a_node_resumes_does_not_keep_it_out(
    desk: Desk, mistaken: list[GatewayCall]
) -> None:
    node, client = desk.node(), desk.client()
    for _ in range(2):
        client.submit()
    first, second = node.heard(Dispatch)
    node.leave()
    mistaken.append(next(iter(desk.calls.table.by_id.values())))
    again = desk.node(held=[(each.call_id, each.fence) for each in (first, second)])
    assert again.only(Resumed) == Resumed((0, second.call))
    assert client.error()[0] == "internal"


def test_a_mistake_while_a_client_resumes_does_not_keep_it_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, client = desk.node(), desk.client()
    ids = [desk.new_id(), desk.new_id()]
    for call_id in ids:
        client.submit(call_id=call_id)
    node.heard(Dispatch)
    client.leave()
    right = GatewayCall.bind

    def bind(call: GatewayCall, link: object, number: int) -> None:
        if call.call_id == ids[0]:
            fail()
        right(call, link, number)  # type: ignore[arg-type]

    monkeypatch.setattr(GatewayCall, "bind", bind)
    again = desk.client()
    again.say(Resume(tuple(ids), (1, 2), started=(True, True)))
    assert again.only(Resumed) == Resumed((0, 2))


def test_a_call_that_can_not_even_be_ended_is_gone_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, client = desk.node(), desk.client()
    client.submit()
    dispatch = node.only(Dispatch)
    with monkeypatch.context() as patched:
        patched.setattr(CallTable, "advance", fail)
        node.finish(dispatch)
    assert client.error()[0] == "internal"
    assert len(desk.calls) == 0
    client.submit()
    node.finish(node.start())
    assert client.heard(Finished)


def test_a_mistake_of_the_peer_still_closes_its_link(desk: Desk) -> None:
    client = desk.client()
    with pytest.raises(ProtocolError):
        client.submit(payload=Payload("pickle5", -5, b"", 1))
    node = desk.node()
    with pytest.raises(ProtocolError, match="no gateway gave it out"):
        node.resume([(b"x" * 16, 1 << 60)])


def test_the_story_of_a_call_is_told_in_a_wrong_change_and_has_an_end(desk: Desk) -> None:
    table = desk.calls.table
    node, client = desk.node(), desk.client()
    client.submit()
    desk.now += 2.0
    node.start()
    call = the_call(desk)
    with pytest.raises(InternalError, match=r"f\(\) is running and can't be DELIVERED\.") as wrong:
        table.advance(call, CallEvent.DELIVERED, desk.now)
    assert "DISPATCHED after 0.000 s, STARTED after 2.000 s" in wrong.value.message
    for _ in range(10 * STORY):
        table.advance(call, CallEvent.STARTED, desk.now)
    assert len(call.story) == 2 * STORY
    assert call.state.value == "running"


def test_listeners_hear_what_they_asked_for(desk: Desk) -> None:
    heard: list[tuple[str, CallEvent, float]] = []
    desk.calls.table.listen(
        lambda call, event, now: heard.append((call.function, event, now)),
        [CallEvent.STARTED, CallEvent.FINISHED],
    )
    node, client = desk.node(), desk.client()
    client.submit()
    node.finish(node.start(), payload().data)
    assert heard == [
        ("f", CallEvent.STARTED, desk.now),
        ("f", CallEvent.FINISHED, desk.now),
    ]
    desk.pass_time(RECONNECT_LIMIT)
