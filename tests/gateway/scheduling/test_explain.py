"""Why a call waits: each reason has its sentence."""

from __future__ import annotations

import pytest

from easyremote.errors import CallTimeout, from_wire
from easyremote.gateway.jobs import jobs_of
from easyremote.gateway.nodes import HAND_BACKS
from easyremote.gateway.records import GatewayCall
from easyremote.gateway.scheduling.explain import explain, in_words, standings
from easyremote.gateway.scheduling.outlook import LOOKED_AT
from easyremote.protocol.messages import (
    Dispatch,
    Finished,
    Function,
    GoingAway,
    HandBack,
    NodeAway,
    Register,
    Started,
)
from tests.gateway.desk import ClientPeer, Desk, NodePeer, payload


@pytest.fixture
def desk() -> Desk:
    return Desk()


def newest(desk: Desk) -> GatewayCall:
    return next(reversed(desk.calls.table.by_id.values()))


def why(desk: Desk, call: GatewayCall | None = None) -> str:
    return explain(desk.calls.table.queues, call or newest(desk), desk.now)


def ran(desk: Desk, node: NodePeer, client: ClientPeer, function: str, seconds: float) -> None:
    """Have a function run once, so that it is known how long it takes."""
    client.submit(function, node.node.node_id)
    dispatch = node.start()
    node.say(Finished(dispatch.call, payload(), seconds=seconds, fence=dispatch.fence))


def test_a_turn_says_the_place_the_time_and_who_is_before(desk: Desk) -> None:
    node = desk.node("gpu-node", "train", "fit", slots=1)
    ann, bob = desk.client("lab-1"), desk.client("lab-2")
    ran(desk, node, ann, "train", 60.0)
    ran(desk, node, ann, "fit", 60.0)
    ann.submit("train", "gpu-node")
    node.start()
    for _ in range(2):
        ann.submit("fit", "gpu-node")
    bob.submit("train", "gpu-node")
    desk.now += 20.0
    assert why(desk) == "1st of 3 for gpu-node, about 40 s (train() of key lab-1)"
    ann.submit("train", "gpu-node")
    assert why(desk) == (
        "4th of 4 for gpu-node, about 4 min (2 x fit() of key lab-1, train() of key lab-1, "
        "train() of key lab-2)"
    )


def test_no_time_is_told_where_a_function_before_it_was_never_over(desk: Desk) -> None:
    node, client = desk.node("n", "f", slots=1), desk.client("lab-1")
    client.submit()
    node.start()
    client.submit()
    assert why(desk) == "1st of 1 for n (f() of key lab-1)"


def test_any_node_is_a_place_too_and_all_that_have_the_function_count(desk: Desk) -> None:
    for name in ("a", "b"):
        desk.node(name, slots=1)
    client = desk.client("lab-1")
    for _ in range(3):
        client.submit(node="")
    assert why(desk) == "1st of 1 for any node with f() (2 x f() of key lab-1)"


def test_far_back_in_a_long_queue_nobody_counts(desk: Desk) -> None:
    desk.node("n", slots=1)
    clients = [desk.client("lab-1") for _ in range(3)]
    for number in range(LOOKED_AT + 10):
        clients[number % 3].submit()
    assert why(desk).startswith(f"after more than {LOOKED_AT} of {LOOKED_AT + 9} for n (1001 x f()")
    standing = standings(desk.calls.table.queues, [newest(desk)], desk.now)
    assert standing[newest(desk).number].place is None


def test_a_limit_of_the_function_is_told_where_slots_are_free(desk: Desk) -> None:
    desk.node("n", Function("f", max_concurrency=2), slots=4)
    client = desk.client("lab-1")
    for _ in range(3):
        client.submit()
    assert why(desk).endswith("; f() runs at most 2 at a time on n")


def test_a_node_that_is_away_stops_rests_or_connects_is_told(desk: Desk) -> None:
    node, client = desk.node("n", slots=1), desk.client()
    client.submit()
    client.submit()
    node.say(GoingAway())
    assert why(desk) == "n takes no new calls: it stops when those that run there are over"
    node.leave()
    desk.now += 12.0
    assert why(desk) == "n has been offline for 12 s"
    node = desk.node("n", slots=1)
    for _ in range(HAND_BACKS):
        client.submit()
        node.say(HandBack(tuple(each.call for each in node.heard(Dispatch))))
    client.submit()
    assert why(desk) == "n has handed back what it was sent, and is asked again in 1 s"


def test_a_call_of_a_function_that_no_node_online_has_waits_for_its_return(desk: Desk) -> None:
    node, client = desk.node("n", slots=1), desk.client()
    client.submit(node="")
    client.submit(node="")
    node.leave()
    assert why(desk) == "no node online has f(); one that has it may be on its way back"


def test_after_a_restart_it_is_told_what_the_gateway_waits_for(desk: Desk) -> None:
    desk.restart()
    client = desk.client()
    client.submit(age=5.0)
    assert why(desk) == "the gateway was restarted, and waits for the node that may run it"
    desk.node("other")
    client.submit()
    assert why(desk) == "n is not there yet: the gateway has just been started"


def test_a_free_node_that_is_slow_is_told_of(desk: Desk) -> None:
    quick, slow = desk.node("quick", slots=1), desk.node("slow", slots=1)
    client = desk.client("lab-1")
    quick.node.runs["f"] = 1.0
    slow.node.runs["f"] = 100.0
    desk.calls.table.queues.estimates.ran("f", 1.0)
    client.submit(node="")
    client.submit(node="")
    assert why(desk) == (
        "1st of 1 for any node with f(), about 1 s (f() of key lab-1); slow has room, but others "
        "will be through with it sooner"
    )


def test_what_a_node_has_and_has_not_begun_is_told(desk: Desk) -> None:
    node, client = desk.node("n", "$cell", "$call", "f"), desk.client()
    client.submit("f")
    assert why(desk) == "n has it, and has not begun it yet"
    client.announce(40_000)
    assert why(desk) == "its arguments are on their way to n"
    for _ in range(3):
        client.submit("$cell", session="one")
    assert why(desk) == "behind 2 cells of its own session on n"
    client.submit("$cell", session="two")
    assert why(desk) == "n has it, and has not begun it yet"
    node.say(Register(tuple(map(Function, ("$cell", "$call", "f"))), 4, processes=1))
    client.submit("$call")
    client.submit("$call")
    assert why(desk) == "n has 2 shipped functions of this key, and runs 1 of them at a time"


def test_what_runs_and_what_is_over_is_told(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit()
    dispatch = node.start()
    call = newest(desk)
    desk.now += 200.0
    assert why(desk, call) == "it runs on n for 3 min"
    node.leave()
    assert why(desk, call) == (
        "its node n is gone, and it may have run there; waiting for 60 s more for the node to come "
        "back"
    )
    again = desk.node(held=[(call.call_id, dispatch.fence)])
    again.say(Finished(call.number, payload(), "raised", fence=dispatch.fence))
    assert why(desk, call) == "it is over with the error 'raised'"


def test_the_error_of_a_call_that_waited_too_long_says_how_it_stood(desk: Desk) -> None:
    node, client = desk.node("n", slots=1), desk.client("lab-1")
    client.submit()
    node.start()
    client.submit(queue_timeout=5.0)
    desk.pass_time(5.1)
    error = from_wire(*client.error())
    assert isinstance(error, CallTimeout)
    assert str(error) == (
        "No turn came within 5.1 s: f() did not run. How it stood: 1st of 1 for n (f() of key "
        "lab-1)."
    )


def test_to_see_where_many_calls_stand_takes_one_look(desk: Desk) -> None:
    desk.node("n", slots=1)
    ann, bob = desk.client("ann"), desk.client("bob")
    for client in (ann, bob):
        for _ in range(5):
            client.submit()
    calls = [call for call in desk.calls.table.by_id.values() if call.owner == "bob"]
    found = standings(desk.calls.table.queues, calls, desk.now)
    # Ann's first call runs. From then on they take turns, and Bob is first.
    assert [found[call.number].place for call in calls] == [1, 3, 5, 7, 9]
    assert all(each.why for each in found.values())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (59.0, "59 s"), (240.0, "4 min"), (7300.0, "2 h")],
)
def test_times_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert in_words(seconds) == text


def test_a_started_message_is_all_that_makes_a_call_run(desk: Desk) -> None:
    node, client = desk.node(), desk.client()
    client.submit()
    node.say(Started(node.only(Dispatch).call))
    assert why(desk).startswith("it runs on n")


def test_what_its_owner_has_halted_says_so_until_it_goes_on(desk: Desk) -> None:
    node = desk.node("desk", "$cell", "in_thread", Function("in_process", in_process=True))
    ann = desk.client("ann")
    for function in ("$cell", "in_thread", "in_process"):
        ann.submit(function, "desk")
        node.start()
    cell, in_thread, in_process = desk.calls.table.by_id.values()
    offered = tuple(node.node.functions.values())
    closed = "its owner lends it from 22:00"
    node.say(Register(offered, 4, closed=closed, stands_still=True))
    for call in (cell, in_process):
        assert why(desk, call) == f"stands still on desk: {closed}"
    assert why(desk, in_thread).startswith("it runs on desk")
    told = {message.stands_still: message.calls for message in ann.heard(NodeAway)}
    assert told == {closed: (1, 3), "": (2,)}
    jobs, _, _ = jobs_of(desk.calls.table, desk.calls.recent, ann.client.principal, desk.now)
    assert [(job.state, job.why) for job in jobs] == [
        ("running", f"stands still on desk: {closed}"),
        ("running", ""),
        ("running", f"stands still on desk: {closed}"),
    ]
    node.say(Register(offered, 4))
    assert why(desk, cell).startswith("it runs on desk")
    assert [(message.calls, message.stands_still) for message in ann.heard(NodeAway)] == [
        ((1, 2, 3), "")
    ]
