"""What becomes of a call, row by row: the way there and back, and whatever can break."""

from __future__ import annotations

import pytest

from easyremote.gateway.nodes import RETURN
from easyremote.gateway.records import LOST_AFTER
from easyremote.options.retries import Retry
from easyremote.protocol.caller import GRACE, RECONNECT_LIMIT
from easyremote.protocol.failures import unpack_error
from easyremote.protocol.messages import (
    INLINE_LIMIT,
    Attach,
    Cancel,
    Delivered,
    Dispatch,
    Event,
    Finished,
    Function,
    GoingAway,
    HandBack,
    Hello,
    Payload,
    Resume,
    Resumed,
    Seen,
    Started,
)
from easyremote.protocol.streams import INITIAL_WINDOW
from tests.gateway.desk import MAX_PAYLOAD, Desk, NodePeer, payload


@pytest.fixture
def desk() -> Desk:
    return Desk()


# -- the ordinary way ------------------------------------------------------------------------------


def test_a_call_goes_to_its_node_and_its_value_comes_back(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    number = client.submit(payload=payload(b"arguments"))
    dispatch = node.start()
    assert (dispatch.function, dispatch.payload.data) == ("f", b"arguments")
    assert dispatch.owner == "alice"
    assert client.only(Started) == Started(number, "n")
    node.finish(dispatch, b"value")
    assert client.only(Finished).payload.data == b"value"
    client.say(Delivered((number,)))
    assert node.only(Delivered) == Delivered((dispatch.call,))
    assert len(desk.calls) == 0


def test_events_pass_to_the_client_and_what_it_has_seen_to_the_node(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    number = client.submit()
    dispatch = node.start()
    node.say(Event(dispatch.call, 1, payload(b"item")))
    event = client.only(Event)
    assert (event.call, event.seq, event.payload.data) == (number, 1, b"item")
    client.say(Seen(number, 1))
    assert node.only(Seen) == Seen(dispatch.call, 1)


def test_a_call_that_is_sent_twice_is_dispatched_once(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    call_id = desk.new_id()
    client.submit(call_id=call_id)
    client.submit(call_id=call_id)
    assert len(node.heard(Dispatch)) == 1


def test_an_owner_never_gets_at_the_call_of_another(desk: Desk) -> None:
    node, alice, mallory = desk.node(), desk.client("alice"), desk.client("mallory")
    call_id = desk.new_id()
    alice.submit(call_id=call_id)
    dispatch = node.start()
    mallory.submit(call_id=call_id)
    code, text, details = mallory.error()
    assert (code, details["may_have_run"]) == ("usage", False)
    assert "This call id is taken" in text
    mallory.say(Resume((call_id,), (7,), started=(True,)))
    assert mallory.only(Resumed) == Resumed((0,))
    mallory.say(Cancel(7))
    mallory.say(Delivered((7,)))
    assert node.heard(Cancel) == []
    node.finish(dispatch)
    assert alice.only(Finished).payload.data == b"value"
    assert mallory.heard(Finished) == []


@pytest.mark.parametrize("other", [-1, 1])
def test_an_outcome_of_another_attempt_ends_the_call_at_once_and_is_let_go(
    desk: Desk, other: int
) -> None:
    node, client = desk.node(slots=1), desk.client()
    client.submit()
    dispatch = node.start()
    client.submit()
    node.say(Finished(dispatch.call, payload(b"old"), fence=dispatch.fence + other))
    code, text, details = client.error()
    assert (code, details["may_have_run"]) == ("lost", True)
    assert "sent the outcome of another attempt: f() may have run" in text
    heard = node.heard(Delivered | Dispatch)  # type: ignore[arg-type]
    assert heard[0] == Delivered((dispatch.call,))
    assert isinstance(heard[1], Dispatch)  # its slot is free


def test_what_a_node_says_before_it_has_said_what_it_holds_reaches_nobody(desk: Desk) -> None:
    """The numbers of the connection before mean other calls on this one."""
    node, client = desk.node(), desk.client()
    client.submit()
    dispatch = node.start()
    client.heard(Started)
    node.leave()
    again = NodePeer(desk, Hello((1, 0), "node", "", "n", b"i" * 16, desk.now))
    again.register("f")
    again.say(Started(dispatch.call))
    again.say(Event(dispatch.call, 1, payload(b"item")))
    again.finish(dispatch, b"value")
    assert client.heard(Finished | Event | Started) == []  # type: ignore[arg-type]
    again.resume([(dispatch.call_id, dispatch.fence)])
    again.finish(dispatch, b"value")
    assert client.only(Finished).payload.data == b"value"


def test_a_slow_function_that_is_cancelled_is_not_taken_for_a_quick_one(desk: Desk) -> None:
    node, client = desk.node(slots=1), desk.client()
    number = client.submit()
    dispatch = node.start()
    client.say(Cancel(number))
    node.say(Finished(dispatch.call, payload(b"x"), "cancelled", fence=dispatch.fence))
    client.submit()
    client.submit()
    assert len(node.heard(Dispatch)) == 1, "nothing is sent ahead"


# -- what is refused -------------------------------------------------------------------------------


def test_a_wrong_name_is_refused_with_the_right_one_and_did_not_run(desk: Desk) -> None:
    desk.node("gpu-node", "train")
    for function, node, text in [
        ("trian", "gpu-node", "Did you mean 'train'?"),
        ("trian", "", "Did you mean 'train'?"),
        ("train", "gpu-nod", "Did you mean 'gpu-node'?"),
        ("$cell", "gpu-node", "no cells and no shipped code"),
    ]:
        client = desk.client()
        client.submit(function, node)
        code, message, details = client.error()
        assert code == "not-found"
        assert text in message
        assert details["may_have_run"] is False


def test_arguments_above_the_limit_are_refused_before_they_travel(desk: Desk) -> None:
    desk.node()
    client = desk.client()
    client.submit(payload=Payload("pickle5", MAX_PAYLOAD + 1, b"", 1))
    code, text, _ = client.error()
    assert code == "usage"
    assert "The arguments of f() are 1.1 GB" in text


def test_what_a_node_hands_back_when_it_stops_waits_for_its_return(desk: Desk) -> None:
    for target in ("n", ""):
        node, client = desk.node("n", "f"), desk.client()
        number = client.submit(node=target)
        dispatch = node.only(Dispatch)
        node.say(GoingAway("the node stops"))
        node.say(HandBack((dispatch.call,)))
        assert client.only(HandBack) == HandBack((number,))
        client.submit(node=target)  # as its client does at once
        node.leave()
        desk.pass_time(LOST_AFTER - 1)
        assert client.heard(Finished) == []
        assert len(desk.node("n", "f", instance=b"j" * 16).heard(Dispatch)) == 1


def test_a_node_that_said_goodbye_and_stays_away_is_offline(desk: Desk) -> None:
    node, client = desk.node("n", "f", slots=1), desk.client()
    client.submit()
    client.submit()  # the only slot is taken
    node.say(GoingAway("the node stops"))
    node.leave()
    desk.pass_time(LOST_AFTER + 1)
    codes = {unpack_error(each.payload.data)[0] for each in client.heard(Finished)}
    assert codes == {"lost", "offline"}
    client.submit()
    code, text, details = client.error()
    assert (code, details["may_have_run"]) == ("offline", False)
    assert "'n' went offline" in text


def test_a_call_that_waits_for_a_node_that_stays_away_is_refused(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    node.leave()
    client.submit()
    assert client.heard(Finished) == []  # it may be back in a second
    desk.pass_time(LOST_AFTER + 1)
    code, _, details = client.error()
    assert (code, details["may_have_run"]) == ("offline", False)


def test_a_call_for_any_node_waits_while_the_last_one_that_has_it_is_away(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    node.leave()
    client.submit(node="")
    client.submit(node="")
    assert len(desk.node().heard(Dispatch)) == 2
    desk.pass_time(1.0)
    assert client.heard(Finished) == []


def test_a_call_for_any_node_is_refused_when_none_comes_back(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    node.leave()
    client.submit(node="")
    desk.pass_time(LOST_AFTER + 1)
    code, text, _ = client.error()
    assert code == "offline"
    assert "No node online has 'f'. The last one that had it, 'n', is offline." in text


def test_a_node_that_comes_back_without_the_function_has_the_calls_refused(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    node.leave()
    client.submit()
    desk.node("n", "g")
    desk.pass_time(0.25)
    code, text, _ = client.error()
    assert code == "not-found"
    assert "It has: g" in text


def test_a_gateway_that_has_just_started_waits_for_the_nodes_to_dial_back(desk: Desk) -> None:
    desk.restart()
    client = desk.client()
    client.submit()
    client.submit("g", "")
    desk.pass_time(1.0)
    assert client.heard(Finished) == []
    assert desk.node("n", "f", "g").heard(Dispatch)
    client.submit("h", "nowhere")
    desk.pass_time(RETURN)
    assert client.error()[0] == "not-found"


def test_the_first_gateway_of_a_home_lets_no_call_wait_for_a_node(desk: Desk) -> None:
    desk.restart(patience=0.0)
    client = desk.client()
    for node in ("nowhere", ""):
        client.submit("f", node)
        assert client.error()[0] == "not-found"


def test_a_gateway_in_its_first_minute_lets_calls_wait_for_what_may_be_on_its_way(
    desk: Desk,
) -> None:
    desk.restart("n", "other")
    desk.pass_time(RETURN)
    client = desk.client()
    client.submit("g", "n")
    client.submit("g", "")
    client.submit("f", "")
    desk.pass_time(1.0)
    assert client.heard(Finished) == []
    client.submit("f", "never-seen")
    assert client.error()[0] == "not-found"
    assert len(desk.node("n", "g").heard(Dispatch)) == 2
    assert client.heard(Finished) == []
    desk.node("other", "g")
    desk.pass_time(1.0)  # all are back, and none has f
    code, _, details = client.error()
    assert (code, details["may_have_run"]) == ("not-found", False)


def test_what_is_not_back_after_a_minute_is_not_there(desk: Desk) -> None:
    desk.restart("n")
    desk.pass_time(LOST_AFTER)
    client = desk.client()
    for node in ("n", ""):
        client.submit("f", node)
        assert client.error()[0] == "not-found"


# -- the client goes -------------------------------------------------------------------------------


def test_a_call_runs_on_without_its_client_who_gets_the_outcome_when_it_is_back(
    desk: Desk,
) -> None:
    node, client = desk.node(), desk.client()
    call_id = desk.new_id()
    client.submit(call_id=call_id)
    dispatch = node.start()
    client.leave()
    node.finish(dispatch)
    again = desk.client()
    again.say(Resume((call_id,), (42,), started=(True,)))
    assert again.only(Resumed) == Resumed((42,))
    node.finish(dispatch)  # the gateway asked the node to say it again
    finished = again.only(Finished)
    assert (finished.call, finished.payload.data) == (42, b"value")


def test_a_call_that_is_sent_again_on_a_new_connection_is_answered_there(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    call_id = desk.new_id()
    client.submit(call_id=call_id)
    dispatch = node.start()
    client.leave()
    again = desk.client()
    again.submit(call_id=call_id, call=42)
    assert node.only(Attach) == Attach(dispatch.call)
    node.finish(dispatch)
    assert again.only(Finished).call == 42


def test_an_outcome_is_held_for_ten_minutes_and_then_forgotten_on_both_sides(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit()
    dispatch = node.start()
    client.leave()
    node.finish(dispatch)
    desk.pass_time(RECONNECT_LIMIT - 1)
    assert len(desk.calls) == 1
    desk.pass_time(2)
    assert len(desk.calls) == 0
    assert node.only(Delivered) == Delivered((dispatch.call,))


def test_a_call_of_a_client_who_stays_away_is_stopped_and_its_late_outcome_let_go(
    desk: Desk,
) -> None:
    node, client = desk.node(), desk.client()
    client.submit()
    dispatch = node.start()
    client.leave()
    desk.pass_time(RECONNECT_LIMIT + 1)
    assert node.only(Cancel) == Cancel(dispatch.call)
    node.finish(dispatch)
    assert node.only(Delivered) == Delivered((dispatch.call,))  # or it would hold it for ever


def test_half_an_argument_goes_with_its_client_and_the_call_does_not_start(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit(payload=Payload("pickle5", 1_000_000, b"", 1))
    dispatch = node.only(Dispatch)
    assert dispatch.payload.stream
    client.leave()
    assert len(desk.calls) == 0
    assert not node.node.calls
    assert node.node.busy == 0


def test_an_outcome_that_the_gateway_made_for_an_absent_client_is_forgotten_in_the_end(
    desk: Desk,
) -> None:
    node, client = desk.node(), desk.client()
    client.submit()
    node.start()
    node.leave()
    client.leave()
    desk.pass_time(LOST_AFTER + 1)
    assert len(desk.calls) == 1
    desk.pass_time(RECONNECT_LIMIT)
    assert len(desk.calls) == 0


# -- the node goes ---------------------------------------------------------------------------------


def test_a_call_whose_node_stays_away_is_lost_and_may_have_run(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit()
    node.start()
    node.leave()
    desk.pass_time(LOST_AFTER - 1)
    assert client.heard(Finished) == []
    desk.pass_time(2)
    code, text, details = client.error()
    assert (code, details["may_have_run"]) == ("lost", True)
    assert "Node 'n' has been out of reach for 60 s: f() may have run" in text


@pytest.mark.parametrize(
    ("function", "words"),
    [("$cell", "the cell may have run"), ("$call", "the shipped function may have run")],
)
def test_a_lost_cell_is_not_called_a_function(desk: Desk, function: str, words: str) -> None:
    node, client = desk.node("n", function), desk.client()
    client.submit(function)
    node.start()
    node.leave()
    desk.pass_time(LOST_AFTER + 1)
    assert words in client.error()[1]


def test_what_a_node_did_not_get_goes_back_to_the_client_who_sends_it_again(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    number = client.submit()
    node.leave()  # DISPATCH went with the connection
    again = desk.node()
    assert client.only(HandBack) == HandBack((number,))
    assert again.node.busy == 0
    client.submit()
    assert len(again.heard(Dispatch)) == 1


def test_a_node_that_comes_back_with_its_call_goes_on_with_it(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit()
    dispatch = node.start()
    node.leave()
    again = desk.node(held=[(dispatch.call_id, dispatch.fence)])
    assert again.only(Resumed) == Resumed((dispatch.call,))
    again.finish(dispatch)
    assert client.only(Finished).payload.data == b"value"


def test_a_new_process_under_the_nodes_id_means_that_the_call_is_lost(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit()
    node.start()
    node.leave()
    desk.node(instance=b"j" * 16)
    code, text, details = client.error()
    assert (code, details["may_have_run"]) == ("lost", True)
    assert "Node 'n' was restarted while it ran" in text


@pytest.mark.parametrize("has_started", [False, True])
def test_what_a_node_hands_back_goes_back_to_the_client(desk: Desk, has_started: bool) -> None:
    node, client = desk.node(), desk.client()
    number = client.submit()
    dispatch = node.only(Dispatch)
    if has_started:  # at the gateway it counts as running: the node came back with it
        node.leave()
        node = desk.node(held=[(dispatch.call_id, dispatch.fence)])
    node.say(HandBack((dispatch.call,)))
    assert client.only(HandBack) == HandBack((number,))
    assert len(desk.calls) == 0


def test_a_node_cannot_hand_back_what_it_has_finished(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit()
    dispatch = node.start()
    node.finish(dispatch)
    node.say(HandBack((dispatch.call, 999)))
    assert client.heard(HandBack) == []
    assert len(desk.calls) == 1


def test_a_node_that_drains_gets_nothing_new(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    node.say(GoingAway("the node stops"))
    client.submit()
    assert node.heard(Dispatch) == []


def test_the_connection_before_cannot_touch_what_belongs_to_the_new_one(desk: Desk) -> None:
    older, client = desk.node(), desk.client()
    newer = desk.node()
    client.submit()
    newer.start()
    older.leave()
    assert newer.node.online
    assert client.heard(Finished) == []


# -- time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [{"timeout": 5.0}, {"queue_timeout": 5.0}])
def test_a_call_that_does_not_get_its_turn_in_time_expires_and_did_not_run(
    desk: Desk, limit: dict[str, float]
) -> None:
    node, client = desk.node("n", "f", slots=1), desk.client()
    client.submit()
    node.start()
    client.submit(**limit)
    desk.pass_time(4.9)
    assert client.heard(Finished) == []
    desk.pass_time(0.2)
    code, text, details = client.error()
    assert (code, details["may_have_run"]) == ("timeout", False)
    assert "No turn came within 5.1 s: f() did not run." in text


def test_the_node_is_told_what_is_left_of_the_time(desk: Desk) -> None:
    node, client = desk.node("n", "f", slots=1), desk.client()
    client.submit()
    first = node.start()
    client.submit(timeout=5.0, queue_timeout=4.0)
    desk.pass_time(3.0)
    node.finish(first)
    told = node.only(Dispatch)
    assert (told.timeout, told.queue_timeout) == (pytest.approx(2.0), pytest.approx(1.0))


def test_a_node_that_does_not_stop_a_call_at_its_deadline_is_told_to_kill_it(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit(timeout=5.0)
    dispatch = node.start()
    desk.pass_time(5.0 + GRACE + 0.1)
    code, text, details = client.error()
    assert (code, details["may_have_run"]) == ("lost", True)
    assert "did not stop it at its deadline" in text
    assert node.only(Cancel) == Cancel(dispatch.call, kill=True)
    node.finish(dispatch)
    assert client.heard(Finished) == []
    assert node.only(Delivered) == Delivered((dispatch.call,))


# -- cancel, in each state -------------------------------------------------------------------------


def test_cancel_of_a_call_that_waits_ends_it_at_once_and_it_never_runs(desk: Desk) -> None:
    node, client = desk.node("n", "f", slots=1), desk.client()
    client.submit()
    first = node.start()
    number = client.submit()
    client.say(Cancel(number))
    code, text, details = client.error()
    assert (code, details["may_have_run"]) == ("cancelled", False)
    assert "f() did not run" in text
    node.finish(first)
    assert node.heard(Dispatch) == []


@pytest.mark.parametrize("kill", [False, True])
@pytest.mark.parametrize("has_started", [False, True])
def test_cancel_of_a_call_at_its_node_is_the_nodes_to_confirm(
    desk: Desk, has_started: bool, kill: bool
) -> None:
    node, client = desk.node(), desk.client()
    number = client.submit()
    dispatch = node.start() if has_started else node.only(Dispatch)
    client.say(Cancel(number, kill))
    assert node.only(Cancel) == Cancel(dispatch.call, kill)
    assert client.heard(Finished) == []


def test_cancel_of_a_call_whose_node_is_away_reaches_it_when_it_is_back(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    number = client.submit()
    dispatch = node.start()
    node.leave()
    client.say(Cancel(number, kill=True))
    client.say(Cancel(number))  # asking again, more gently, takes nothing back
    assert client.heard(Finished) == []
    again = desk.node(held=[(dispatch.call_id, dispatch.fence)])
    assert again.only(Cancel) == Cancel(dispatch.call, kill=True)


def test_cancel_of_a_call_that_is_over_changes_nothing(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    number = client.submit()
    node.finish(node.start())
    client.say(Delivered((number,)))
    client.say(Cancel(number))
    assert node.heard(Cancel) == []


# -- sizes -----------------------------------------------------------------------------------------


def test_a_queued_call_keeps_no_more_of_its_arguments_than_the_window(desk: Desk) -> None:
    desk.node("n", Function("f", max_concurrency=1))
    client = desk.client()
    client.submit()
    client.submit(payload=Payload("pickle5", 1 << 29, b"", 1))
    (call,) = (call for call in desk.calls.table.by_id.values() if call.arguments is not None)
    assert call.arguments is not None
    chunk = memoryview(bytes(INITIAL_WINDOW))
    call.arguments.receive(chunk)
    with pytest.raises(Exception, match="has more bytes than were granted"):
        call.arguments.receive(chunk[:1])


def test_a_call_that_is_over_is_not_run_again_and_its_arguments_are_stopped(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    call_id = desk.new_id()
    number = client.submit(call_id=call_id)
    node.finish(node.start())
    client.heard(Finished)
    client.say(Delivered((number,)))
    again = client.announce(40_000, call_id=call_id)
    code, text, details = client.error()
    assert (code, details["may_have_run"]) == ("lost", True)
    assert "its outcome was delivered" in text
    assert not again.is_wanted
    assert node.heard(Dispatch) == []


def test_arguments_that_are_sent_again_are_stopped_where_the_call_is_known(desk: Desk) -> None:
    desk.node()
    client, mallory = desk.client(), desk.client("mallory")
    call_id = desk.new_id()
    client.submit(call_id=call_id)
    for peer in (client, mallory):
        assert not peer.announce(40_000, call_id=call_id).is_wanted


# -- retries are the client's ---------------------------------------------------------------------


def test_the_retry_policy_of_the_function_goes_to_the_client_with_started_and_with_errors(
    desk: Desk,
) -> None:
    policy = Retry(max_attempts=5)
    node, client = desk.node("n", Function("f", retry=policy), "g"), desk.client()
    client.submit()
    dispatch = node.start()
    assert client.only(Started).retry == policy
    node.finish(dispatch)
    assert client.only(Finished).retry is None, "a value needs none"
    client.submit()
    node.say(Finished(node.start().call, payload(), "raised", fence=desk.calls._dispatcher.fence))
    assert client.only(Finished).retry == policy
    client.submit()
    node.start()
    node.leave()
    desk.pass_time(LOST_AFTER)
    lost = client.heard(Finished)[-1]
    assert (lost.code, lost.retry) == ("lost", policy)


# -- the gateway stops -----------------------------------------------------------------------------


def test_what_waits_goes_back_to_its_client_when_the_gateway_stops(desk: Desk) -> None:
    node, client = desk.node(slots=1), desk.client()
    running, waiting = client.submit(), client.submit()
    large = client.submit(payload=Payload("pickle5", INLINE_LIMIT + 1, b"", 1))
    node.only(Dispatch)
    desk.calls.leave(desk.now)
    assert [each.calls for each in client.heard(HandBack)] == [(waiting,), (large,)]
    assert len(desk.calls) == 1, f"only {running} is left"
    late = client.submit()
    assert client.only(HandBack).calls == (late,)


def test_arguments_of_what_comes_late_to_a_gateway_that_stops_are_stopped(desk: Desk) -> None:
    desk.node()
    client = desk.client()
    desk.calls.leave(desk.now)
    assert not client.announce(40_000).is_wanted
