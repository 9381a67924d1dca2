"""Who is told that a call is over, and what: without sockets."""

from __future__ import annotations

import logging

import pytest

from easyremote.gateway.notify.notices import BATCH, MOST, WAITS, Notice
from easyremote.gateway.records import LOST_AFTER
from easyremote.protocol.messages import Cancel, Dispatch, Finished, HandBack, Resume
from tests.gateway.desk import Desk, NodePeer, payload

ADDRESS = "json://my-server/secret-word"


@pytest.fixture
def desk() -> Desk:
    return Desk()


def due(desk: Desk) -> list[Notice]:
    return desk.calls.notices.take(desk.now)


def fail(node: NodePeer, dispatch: Dispatch) -> None:
    node.say(Finished(dispatch.call, payload(b"x"), "raised", seconds=3.0, fence=dispatch.fence))


def test_a_value_is_told_once_in_one_line(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit(notify=ADDRESS)
    begun = node.start()
    assert due(desk) == []
    node.say(Finished(begun.call, payload(b"value"), seconds=7512.0, fence=begun.fence))
    (notice,) = due(desk)
    assert (notice.text, notice.is_good) == ("f() on n: done after 2 h 5 min", True)
    assert (notice.address, notice.owner) == (ADDRESS, "alice")
    node.finish(begun)
    assert due(desk) == []


@pytest.mark.parametrize(
    ("function", "title"),
    [("f", "f()"), ("$cell", "a cell"), ("$call", "a shipped function")],
)
def test_an_error_is_told_without_its_text(desk: Desk, function: str, title: str) -> None:
    node, client = desk.node("n", function), desk.client()
    client.submit(function, notify=ADDRESS)
    fail(node, node.start())
    (notice,) = due(desk)
    assert (notice.text, notice.is_good) == (f"{title} on n: failed after 3.0 s", False)


def test_a_cancelled_call_is_told_of(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    number = client.submit(notify=ADDRESS)
    begun = node.start()
    client.say(Cancel(number))
    fail(node, begun)
    assert [each.text for each in due(desk)] == ["f() on n: cancelled after 3.0 s"]


def test_a_call_that_waited_too_long_is_told_of(desk: Desk) -> None:
    node, client = desk.node(slots=1), desk.client()
    client.submit()
    node.start()
    client.submit(notify=ADDRESS, queue_timeout=5.0)
    desk.pass_time(6.0)
    assert [each.text for each in due(desk)] == ["f() on n: out of time"]


def test_a_call_that_no_node_takes_is_told_of(desk: Desk) -> None:
    desk.node()
    desk.client().submit("g", notify=ADDRESS)
    assert [each.text for each in due(desk)] == ["g() on n: did not run"]


def test_a_call_whose_client_and_node_are_gone_is_told_as_lost(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit(notify=ADDRESS, hold=-1.0)
    node.start()
    client.leave()
    node.leave()
    desk.pass_time(LOST_AFTER + 1)
    assert [each.text for each in due(desk)] == [
        f"f() on n: lost after {(LOST_AFTER + 1) / 60:.0f} min"
    ]


def test_a_gateway_that_was_restarted_hears_of_it_again_from_the_client(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    call_id = desk.new_id()
    number = client.submit(call_id=call_id, notify=ADDRESS)
    begun = node.start()
    desk.restart("n")
    again, back = desk.client(), desk.node(held=[(call_id, begun.fence)])
    again.say(Resume((call_id,), (number,), (), (True,), {number: ADDRESS}))
    (call,) = desk.calls.table.by_id.values()
    back.say(Finished(call.number, payload(), seconds=2.0, fence=begun.fence))
    assert [each.text for each in due(desk)] == ["a call on n: done after 2.0 s"]
    again.say(Resume((call_id,), (number,), (), (True,), {number: ADDRESS}))
    assert due(desk) == []


def test_a_call_that_is_handed_back_is_told_of_when_it_has_run(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    call_id = desk.new_id()
    number = client.submit(call_id=call_id, notify=ADDRESS)
    node.say(HandBack((node.start().call,)))
    assert client.only(HandBack) == HandBack((number,))
    assert due(desk) == []
    client.submit(call=number, call_id=call_id, notify=ADDRESS)
    node.finish(node.start())
    assert [each.text for each in due(desk)] == ["f() on n: done"]


def test_where_nothing_can_be_sent_the_call_does_not_run(desk: Desk) -> None:
    desk.calls.notices.can_send = False
    node, client = desk.node(), desk.client()
    client.submit(notify=ADDRESS)
    code, text, _ = client.error()
    assert code == "usage"
    assert "pip install 'easyremote[notify]'" in text
    assert node.heard(Dispatch) == []
    assert due(desk) == []


@pytest.mark.parametrize("address", ["secret-word", "gnome://secret-word", "json:// secret-word"])
def test_no_address_is_refused_before_the_call_runs(desk: Desk, address: str) -> None:
    node, client = desk.node(), desk.client()
    client.submit(notify=address)
    code, text, _ = client.error()
    assert code == "usage"
    assert "secret-word" not in text
    assert node.heard(Dispatch) == []


def test_what_fails_is_tried_again_later_and_then_given_up(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    node, client = desk.node(), desk.client()
    client.submit("f", notify=ADDRESS)
    node.say(Finished(node.start().call, payload(), seconds=2.0, fence=1))
    notices = desk.calls.notices
    for wait in WAITS:
        (notice,) = due(desk)
        notices.failed(notice, "the service did not take it", desk.now, for_good=False)
        desk.pass_time(wait - 0.1)
        assert due(desk) == []
        desk.pass_time(0.1)
    (notice,) = due(desk)
    notices.failed(notice, "the service did not take it", desk.now, for_good=False)
    desk.pass_time(1000.0)
    assert due(desk) == []
    (ended,) = desk.calls.recent.of("alice")
    assert ended.notified == "not sent by json: the service did not take it"
    assert "A notification by json was not sent: the service did not take it" in caplog.text
    assert "secret-word" not in caplog.text + repr(notice) + repr(ended)


def test_what_can_never_be_sent_is_given_up_at_once(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit(notify=ADDRESS)
    node.say(Finished(node.start().call, payload(), seconds=2.0, fence=1))
    (notice,) = due(desk)
    desk.calls.notices.failed(notice, "it leads to a private address", desk.now, for_good=True)
    desk.pass_time(1000.0)
    assert due(desk) == []


def test_a_call_that_was_told_of_says_so(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit(notify=ADDRESS)
    node.say(Finished(node.start().call, payload(), seconds=2.0, fence=1))
    (notice,) = due(desk)
    desk.calls.notices.sent(notice)
    (ended,) = desk.calls.recent.of("alice")
    assert ended.notified == "sent"


def test_one_key_can_not_fill_the_gateway_with_notices_and_others_are_heard(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    node = desk.node(slots=MOST + 10)
    alice, bob = desk.client("alice"), desk.client("bob")
    for _ in range(MOST + 5):
        alice.submit(notify=ADDRESS)
    bob.submit(notify=ADDRESS)
    for dispatch in node.heard(Dispatch):
        node.finish(dispatch)
    assert caplog.text.count("others of this key wait to be sent") == 5
    told = []
    while batch := due(desk):
        assert len(batch) <= BATCH
        told += [each.owner for each in batch]
        for notice in batch:
            desk.calls.notices.sent(notice)
    assert (told.count("alice"), told.count("bob")) == (MOST, 1)


def test_a_record_of_a_call_does_not_show_the_address(desk: Desk) -> None:
    desk.node()
    desk.client().submit(notify=ADDRESS)
    (call,) = desk.calls.table.by_id.values()
    assert call.notify == ADDRESS
    call.submit = None
    assert "secret-word" not in repr(call)


def test_a_gateway_that_stops_says_what_was_not_sent(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    node, client = desk.node(), desk.client()
    client.submit(notify=ADDRESS)
    node.finish(node.start())
    with caplog.at_level(logging.WARNING):
        desk.calls.notices.close()
    assert "A notification by json was not sent: the gateway stops" in caplog.text
    assert due(desk) == []
