"""A gateway that lost its memory gets it back from clients and nodes, in whichever order."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from easyremote.errors import ProtocolError
from easyremote.gateway.keys import KeyStore
from easyremote.gateway.records import KEPT, LOST_AFTER
from easyremote.gateway.recovery import EMPTY, HELD, Holders
from easyremote.protocol.call import CallState
from easyremote.protocol.caller import GRACE, RECONNECT_LIMIT
from easyremote.protocol.messages import (
    Attach,
    Cancel,
    Delivered,
    Dispatch,
    Finished,
    Function,
    HandBack,
    Hello,
    Register,
    Resume,
    Resumed,
)
from tests.gateway.desk import ClientPeer, Desk, NodePeer

CALL_ID = b"c" * 16


@pytest.fixture
def desk() -> Desk:
    """A gateway a moment after its restart."""
    desk = Desk()
    desk.restart("n")
    desk.pass_time(0.5)
    return desk


def test_a_node_names_a_call_first_and_its_client_comes_for_it(desk: Desk) -> None:
    node = desk.node(held=[(CALL_ID, 17)])
    (number,) = node.only(Resumed).calls
    client = desk.client()
    client.say(Resume((CALL_ID,), (3,), started=(True,)))
    assert client.only(Resumed) == Resumed((3,))
    assert node.only(Attach) == Attach(number)
    node.finish(Dispatch(number, CALL_ID, 17, "f", None))  # type: ignore[arg-type]
    assert client.only(Finished).call == 3


def test_a_client_names_a_call_first_and_its_node_comes_with_it(desk: Desk) -> None:
    client = desk.client()
    client.say(Resume((CALL_ID,), (3,), started=(True,)))
    assert client.only(Resumed) == Resumed((3,))
    (number,) = desk.node(held=[(CALL_ID, 17)]).only(Resumed).calls
    assert number


def test_a_call_that_no_node_comes_back_with_is_lost_and_not_named(desk: Desk) -> None:
    client = desk.client()
    client.say(Resume((CALL_ID,), (3,), started=(True,)))
    client.heard(Resumed)
    desk.pass_time(LOST_AFTER + 1)
    code, text, details = client.error()
    assert (code, details["may_have_run"]) == ("lost", True)
    assert "no node came back with it: the call may have run" in text


def test_a_call_that_its_client_sends_again_is_found_with_the_node_that_named_it(
    desk: Desk,
) -> None:
    node, client = desk.node(held=[(CALL_ID, 17)]), desk.client()
    client.submit(call_id=CALL_ID, age=5.0)
    assert node.heard(Dispatch | Attach) == [Attach(1)]  # type: ignore[arg-type]
    (call,) = desk.calls.table.by_id.values()
    assert (call.owner, call.function, call.title) == ("alice", "f", "f()")


def test_a_call_that_was_sent_before_is_not_dispatched_ahead_of_what_its_node_says(
    desk: Desk,
) -> None:
    """It is there under a fence that this gateway has not reached yet."""
    client = desk.client()
    client.submit(call_id=CALL_ID, age=5.0)
    node = desk.node(held=[(CALL_ID, 17)])
    assert node.heard(Dispatch | Resumed) == [Resumed((1,))]  # type: ignore[arg-type]
    client.submit()
    assert node.only(Dispatch).fence == 18


def test_a_call_that_was_sent_before_runs_where_the_node_says_that_it_does_not(
    desk: Desk,
) -> None:
    client = desk.client()
    client.submit(call_id=CALL_ID, age=5.0)
    assert desk.node().only(Dispatch).call_id == CALL_ID


def test_a_call_that_was_sent_before_does_not_run_in_a_process_that_is_younger(
    desk: Desk,
) -> None:
    client = desk.client()
    client.submit(call_id=CALL_ID, age=5.0)
    node = desk.node(uptime=1.0)
    assert node.heard(Dispatch) == []
    code, text, details = client.error()
    assert (code, details["may_have_run"]) == ("lost", True)
    assert "was restarted after it was sent" in text


def test_a_call_for_any_node_that_was_sent_before_waits_for_a_claim_and_holds_up_nobody(
    desk: Desk,
) -> None:
    desk.restart("n", "away")
    client = desk.client()
    client.submit(call_id=CALL_ID, node="", age=5.0)
    client.submit(node="")
    assert desk.node().only(Dispatch).call_id != CALL_ID
    desk.pass_time(LOST_AFTER + 1)
    assert client.error()[0] == "lost"


def test_a_call_for_any_node_runs_once_no_node_from_before_holds_it(desk: Desk) -> None:
    desk.restart("n", "m")
    client = desk.client()
    number = client.submit(call_id=CALL_ID, node="", age=5.0)
    first, new = desk.node("n"), desk.node("new", "f", uptime=0.1, instance=b"j" * 16)
    assert client.heard(HandBack | Finished) == []  # type: ignore[arg-type]
    other = desk.node("m", "g", held=[(b"o" * 16, 17)])
    assert client.only(HandBack).calls == (number,)
    client.submit(call=number, call_id=CALL_ID, node="")
    dispatched = [each for node in (first, new, other) for each in node.heard(Dispatch)]
    assert [each.call_id for each in dispatched] == [CALL_ID]


def test_a_call_for_any_node_that_comes_after_the_last_node_runs_at_once(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit(call_id=CALL_ID, node="", age=5.0)
    assert node.only(Dispatch).call_id == CALL_ID


@pytest.mark.parametrize("client_first", [True, False])
def test_a_call_for_any_node_is_lost_where_a_node_from_before_was_restarted(
    desk: Desk, client_first: bool
) -> None:
    client = desk.client()
    if not client_first:
        desk.node(uptime=1.0)
    client.submit(call_id=CALL_ID, node="", age=5.0)
    if client_first:
        desk.node(uptime=1.0)
    code, text, details = client.error()
    assert (code, details["may_have_run"]) == ("lost", True)
    assert "so was a node to which it may have been given" in text


@pytest.mark.parametrize("client_first", [True, False])
def test_a_call_that_had_begun_is_lost_at_once_where_its_node_comes_without_it(
    desk: Desk, client_first: bool
) -> None:
    client = desk.client()
    if not client_first:
        desk.node()
    client.say(Resume((CALL_ID,), (3,), started=(True,)))
    if client_first:
        assert client.heard(Finished) == []
        desk.node()
    code, text, details = client.error()
    assert (code, details["may_have_run"]) == ("lost", True)
    assert "came back without it" in text


def test_a_cancelled_call_for_any_node_did_not_run_where_no_node_holds_it(desk: Desk) -> None:
    client = desk.client()
    client.say(Cancel(client.submit(call_id=CALL_ID, node="", age=5.0)))
    assert client.heard(Finished) == []
    desk.node()
    code, _, details = client.error()
    assert (code, details["may_have_run"]) == ("cancelled", False)


def test_a_call_that_is_younger_than_the_gateway_was_surely_not_dispatched(desk: Desk) -> None:
    client = desk.client()
    client.submit(call_id=CALL_ID, node="", age=0.1)
    assert desk.node().only(Dispatch).call_id == CALL_ID


def test_a_cancel_of_what_may_run_waits_for_the_nodes_word(desk: Desk) -> None:
    for held, expected in [([(CALL_ID, 17)], "running"), ([], "cancelled")]:
        desk.restart("n")
        client = desk.client()
        client.say(Cancel(client.submit(call_id=CALL_ID, age=5.0)))
        assert client.heard(Finished) == []
        node = desk.node(held=held)
        if expected == "running":
            assert node.only(Cancel)
            assert client.heard(Finished) == []
        else:
            code, _, details = client.error()
            assert (code, details["may_have_run"]) == ("cancelled", False)
            assert node.heard(Dispatch) == []


def test_a_call_that_nobody_comes_for_is_let_go(desk: Desk) -> None:
    node = desk.node(held=[(CALL_ID, 17)])
    (number,) = node.only(Resumed).calls
    desk.pass_time(RECONNECT_LIMIT + 1)
    assert node.heard(Cancel | Delivered) == [Cancel(number), Delivered((number,))]  # type: ignore[arg-type]
    assert len(desk.calls) == 0


def test_what_was_delivered_is_forgotten_by_a_node_that_missed_it(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    number = client.submit()
    dispatch = node.start()
    node.finish(dispatch)
    node.leave()  # before it heard that the outcome is safe
    client.say(Delivered((number,)))
    assert desk.node(held=[(dispatch.call_id, dispatch.fence)]).only(Resumed) == Resumed((0,))


def test_two_nodes_never_go_on_with_one_call(desk: Desk) -> None:
    assert desk.node("n", held=[(CALL_ID, 17)]).only(Resumed).calls != (0,)
    assert desk.node("m", held=[(CALL_ID, 18)]).only(Resumed) == Resumed((0,))


def test_an_attempt_that_is_not_the_present_one_is_not_taken_up_again(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit()
    dispatch = node.start()
    node.leave()
    assert desk.node(held=[(dispatch.call_id, dispatch.fence - 1)]).only(Resumed) == Resumed((0,))
    assert client.heard(HandBack) == []


def test_a_client_that_asks_for_what_is_long_forgotten_hears_that_it_is(desk: Desk) -> None:
    desk.pass_time(LOST_AFTER)
    client = desk.client()
    client.say(Resume((CALL_ID,), (3,), started=(True,)))
    assert client.only(Resumed) == Resumed((0,))


def test_a_minute_after_its_start_no_node_is_on_its_way_back(desk: Desk) -> None:
    desk.restart("n")
    desk.pass_time(LOST_AFTER - 0.1)
    client = desk.client()
    client.say(Resume((CALL_ID,), (3,), started=(True,)))
    assert client.only(Resumed) == Resumed((3,))
    desk.pass_time(0.1)
    late = desk.client()
    late.say(Resume((b"d" * 16,), (3,), started=(True,)))
    assert late.only(Resumed) == Resumed((0,))


def test_a_resume_that_does_not_fit_together_is_refused(desk: Desk) -> None:
    client, node = desk.client(), desk.node()
    for wrong in (
        Resume((CALL_ID,), (), started=(True,)),
        Resume((CALL_ID,), (1,), started=()),
    ):
        with pytest.raises(ProtocolError, match="a number and a state for each call"):
            client.say(wrong)
    with pytest.raises(ProtocolError, match="a fence for each call"):
        node.say(Resume((CALL_ID,)))
    assert len(desk.calls) == 0


def test_a_deadline_is_kept_also_when_the_node_was_away_meanwhile(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit(timeout=20.0)
    dispatch = node.start()
    node.leave()
    again = desk.node(held=[(dispatch.call_id, dispatch.fence)])
    (call,) = desk.calls.table.by_id.values()
    assert call.timer == pytest.approx(desk.now + 20.0 + GRACE)
    desk.pass_time(20.0 + GRACE)
    assert client.error()[0] == "lost"
    assert again.only(Cancel).kill


def test_a_cancelled_call_that_its_node_brings_back_lets_its_arguments_go(desk: Desk) -> None:
    client = desk.client()
    arguments = client.announce(40_000, call_id=CALL_ID, age=5.0)
    desk.node(held=[(CALL_ID, 17)])
    assert not arguments.is_wanted
    assert desk.calls.table.queues.targets() == []


def test_ten_thousand_calls_of_ten_clients_are_all_taken_up_again(desk: Desk) -> None:
    ids = [number.to_bytes(16, "big") for number in range(10_000)]
    clients = [desk.client(f"owner {number}") for number in range(10)]
    for number, client in enumerate(clients[:5]):  # half of them are back before the node
        resume(client, ids[number * 1000 : (number + 1) * 1000])
    node = desk.node(held=[(call_id, 17 + at) for at, call_id in enumerate(ids)])
    assert all(node.only(Resumed).calls)
    for number, client in enumerate(clients[5:], 5):
        resume(client, ids[number * 1000 : (number + 1) * 1000])
    assert len(desk.calls) == 10_000
    assert {call.state for call in desk.calls.table.by_id.values()} == {CallState.RUNNING}
    for client in clients:
        assert client.only(Resumed).calls == tuple(range(1, 1001))


def resume(client: ClientPeer, ids: list[bytes]) -> None:
    client.say(Resume(tuple(ids), tuple(range(1, len(ids) + 1)), started=(True,) * len(ids)))


def test_a_node_counts_as_one_that_may_hold_calls_until_nobody_can_ask_for_them(
    desk: Desk, tmp_path: Path
) -> None:
    keys = KeyStore(tmp_path / "keys.db")
    holders = Holders(keys, desk.nodes)
    assert not holders.come("n")
    assert not holders.come("n"), "the file does not say so yet"
    keys.sync()
    assert holders.come("n")
    node, client = desk.node(), desk.client()
    client.submit()
    node.start()
    holders.left("n", desk.now)
    node.leave()
    holders.left("empty", desk.now)
    holders.come("empty")
    holders.look(desk.now + EMPTY)
    keys.sync()
    assert _kept(keys) == {"n"}
    holders.look(desk.now + HELD)
    keys.sync()
    assert _kept(keys) == set()
    keys.close()


def test_a_node_that_is_back_counts_on(desk: Desk, tmp_path: Path) -> None:
    keys = KeyStore(tmp_path / "keys.db")
    holders = Holders(keys, desk.nodes)
    holders.come("n")
    holders.left("n", desk.now)
    desk.node()
    holders.look(desk.now + HELD)
    assert keys.holders == {"n"}
    keys.close()


def _kept(keys: KeyStore) -> set[str]:
    """What the next gateway will read."""
    again = KeyStore(keys.path)
    again.close()
    return again.holders


# -- detached calls, whose node was restarted ------------------------------------------------------

JOURNAL = b"j" * 16


def detached(journal: bytes = JOURNAL) -> tuple[Desk, ClientPeer, Dispatch]:
    """A detached call that went to a node which is gone; whether it began is not known."""
    desk = Desk()
    client = desk.client()
    client.client.is_own = True
    node = desk.node()
    node.say(Register((Function("f"),), 4, journal=journal))
    client.submit()
    dispatch = node.only(Dispatch)
    assert dispatch.durable
    node.leave()
    return desk, client, dispatch


def comes_back(desk: Desk, journal: bytes, held: Iterable[tuple[bytes, int]] = ()) -> NodePeer:
    """Another process of the node, with this journal."""
    node = NodePeer(desk, Hello((1, 0), "node", "", "n", b"another process!"))
    node.say(Register((Function("f"),), 4, journal=journal))
    node.resume(held)
    return node


def test_a_detached_call_that_its_nodes_journal_has_goes_on_and_is_told() -> None:
    desk, client, dispatch = detached()
    node = comes_back(desk, JOURNAL, [(dispatch.call_id, dispatch.fence)])
    assert node.only(Resumed).calls == (dispatch.call,)
    node.finish(dispatch)
    assert client.only(Finished).code == ""


def test_a_detached_call_that_its_nodes_journal_has_not_is_sent_again() -> None:
    desk, client, _ = detached()
    comes_back(desk, JOURNAL)
    assert client.only(HandBack) == HandBack((1,))


@pytest.mark.parametrize(
    ("before", "after"), [(JOURNAL, b"k" * 16), (JOURNAL, b""), (b"", JOURNAL), (b"", b"")]
)
def test_a_detached_call_is_lost_where_its_nodes_journal_is_not_the_same(
    before: bytes, after: bytes
) -> None:
    desk, client, _ = detached(before)
    comes_back(desk, after)
    code, text, details = client.error()
    assert (code, details["may_have_run"]) == ("lost", True)
    assert "was restarted while it ran" in text


def test_the_journal_of_the_process_that_had_the_call_counts_if_the_next_one_never_resumed() -> (
    None
):
    desk, client, _ = detached()
    silent = NodePeer(desk, Hello((1, 0), "node", "", "n", b"dies once again!"))
    silent.say(Register((Function("f"),), 4, journal=b"k" * 16))
    silent.leave()
    comes_back(desk, JOURNAL)
    assert client.only(HandBack) == HandBack((1,))


def test_a_detached_call_waits_for_a_node_that_is_away_for_long() -> None:
    desk, client, dispatch = detached()
    desk.pass_time(20 * LOST_AFTER)
    assert client.heard(Finished) == []
    node = comes_back(desk, JOURNAL, [(dispatch.call_id, dispatch.fence)])
    node.finish(dispatch)
    assert client.only(Finished).code == ""


def test_a_detached_call_is_lost_when_its_node_is_away_for_a_day_or_when_it_is_cancelled() -> None:
    desk, client, _ = detached()
    desk.pass_time(KEPT)
    assert "out of reach for 86400 s" in client.error()[1]
    desk, client, _ = detached()
    client.say(Cancel(1))
    desk.pass_time(LOST_AFTER)
    assert client.error()[0] == "lost"


def test_a_node_that_is_waited_for_counts_as_one_that_may_hold_calls(tmp_path: Path) -> None:
    desk, _, _ = detached()
    keys = KeyStore(tmp_path / "keys.sqlite3")
    holders = Holders(keys, desk.nodes)
    holders.come("n")
    holders.left("n", desk.now)
    holders.look(desk.now + HELD)
    assert keys.holders == {"n"}
    desk.pass_time(KEPT)  # now its call is lost
    holders.look(desk.now + HELD)
    assert keys.holders == set()
    keys.close()


def test_an_attached_call_is_lost_when_its_node_is_restarted_whatever_its_journal() -> None:
    desk = Desk()
    client, node = desk.client(), desk.node()
    node.say(Register((Function("f"),), 4, journal=JOURNAL))
    client.submit()
    dispatch = node.start()
    assert not dispatch.durable
    node.leave()
    comes_back(desk, JOURNAL, [(dispatch.call_id, dispatch.fence)])
    assert client.error()[0] == "lost"


# -- connections that were replaced ----------------------------------------------------------------


def test_the_end_of_a_nodes_old_connection_touches_nothing_of_the_new_one() -> None:
    desk = Desk()
    client, old = desk.client(), desk.node()
    client.submit()
    dispatch = old.start()
    new = desk.node(held=[(dispatch.call_id, dispatch.fence)])
    old.leave()
    assert new.node.online
    assert desk.calls.table.by_id[dispatch.call_id].state is CallState.RUNNING
    new.finish(dispatch)
    assert client.only(Finished).code == ""


def test_the_end_of_a_clients_old_connection_touches_nothing_of_the_new_one() -> None:
    desk = Desk()
    old, node = desk.client(), desk.node()
    number = old.submit()
    dispatch = node.start()
    new = desk.client()
    resume(new, [dispatch.call_id])
    old.leave()
    desk.pass_time(2 * RECONNECT_LIMIT)  # nobody's hold timer has begun
    node.finish(dispatch)
    assert new.only(Finished).call == number
