"""Which node gets a call: each strategy; a name of one node; functions that are not offered."""

from __future__ import annotations

from collections import Counter

import pytest

from easyremote.gateway.callers import Access
from easyremote.gateway.records import LOST_AFTER
from easyremote.protocol.messages import (
    Delivered,
    Dispatch,
    Finished,
    Function,
    NotOffered,
    Register,
    Withheld,
)
from tests.gateway.desk import ClientPeer, Desk, NodePeer


def spread(client: ClientPeer, nodes: list[NodePeer], calls: int, **options: str) -> list[str]:
    """The nodes that got so many calls, in order; each call ends before the next begins."""
    got = []
    for _ in range(calls):
        client.submit("f", "", **options)
        for node in nodes:
            for dispatch in node.heard(Dispatch):
                got.append(node.node.node_id)
                node.finish(dispatch)
    return got


def three(desk: Desk, balancing: str = "", slots: str = "444") -> list[NodePeer]:
    f = Function("f", balancing=balancing)
    return [desk.node(name, f, slots=int(n)) for name, n in zip("abc", slots, strict=True)]


@pytest.mark.parametrize("by", ["function", "caller"])
def test_round_robin_takes_turns_whatever_runs_there(by: str) -> None:
    desk = Desk()
    nodes = three(desk, "round_robin" if by == "function" else "")
    nodes[0].node.runs["f"] = 9.0  # the default would leave this slow one out
    options = {"balancing": "round_robin"} if by == "caller" else {}
    assert Counter(spread(desk.client(), nodes, 9, **options)) == {"a": 3, "b": 3, "c": 3}


def test_the_newest_word_of_a_function_counts() -> None:
    desk = Desk()
    nodes = three(desk, "round_robin")
    assert desk.nodes.strategies == {"f": "round_robin"}
    nodes[0].register("f")
    assert desk.nodes.strategies == {}


def test_latency_takes_the_node_that_answers_quickest() -> None:
    desk = Desk()
    nodes = three(desk, "latency")
    nodes[1].link.latency, nodes[2].link.latency = 0.2, 0.001
    assert spread(desk.client(), nodes, 3) == ["c", "c", "c"]
    nodes[0].link.latency = 0.0005
    assert spread(desk.client(), nodes, 1) == ["a"]


def test_weighted_gives_calls_in_proportion_to_slots_and_no_bursts() -> None:
    desk = Desk()
    nodes = three(desk, "weighted", "421")
    got = spread(desk.client(), nodes, 14)
    assert Counter(got) == {"a": 8, "b": 4, "c": 2}
    assert all(set(got[start : start + 4]) != {"a"} for start in range(len(got) - 3))


def test_a_node_without_room_is_passed_over_by_every_strategy() -> None:
    for strategy in ("round_robin", "latency", "weighted"):
        desk = Desk()
        full = desk.node("full", Function("f", balancing=strategy), slots=1)
        free = desk.node("free", Function("f", balancing=strategy), slots=4)
        full.link.latency = 0.001
        client = desk.client()
        for _ in range(3):
            client.submit("f", "")
        assert len(full.heard(Dispatch)) + len(free.heard(Dispatch)) == 3
        assert full.node.busy <= 1


ONE = Function("f", balancing="one_node")


def test_a_name_of_one_node_is_refused_to_a_second_one_and_both_sides_hear_why() -> None:
    desk = Desk()
    first, second = desk.node("first", ONE), desk.node("second", "f", "g")
    why = "it belongs to 'first' (registered there with load_balancing=False)"
    assert second.only(NotOffered) == NotOffered((Withheld("f", why),))
    client = desk.client()
    client.submit("f", "")
    first.finish(first.only(Dispatch))
    client.heard(Finished)
    client.submit("f", "second")
    code, text, _ = client.error()
    assert (code, text) == ("not-found", f"second has f(), but {why}.")
    client.submit("g", "second")
    assert second.heard(Dispatch), "its other functions are offered"


def test_who_wants_a_name_alone_that_another_has_does_not_get_it() -> None:
    desk = Desk()
    desk.node("first", "f")
    second = desk.node("second", ONE)
    (told,) = second.only(NotOffered).functions
    assert told.why == "'first' has it, too (registered here with load_balancing=False)"
    assert [each.node_id for each in desk.nodes.offering("f", Access.LINK)] == ["first"]


def test_the_name_stays_with_a_node_that_is_away_for_a_moment_and_then_goes_on() -> None:
    desk = Desk()
    first, second = desk.node("first", ONE), desk.node("second", ONE)
    second.heard(NotOffered)
    first.leave()
    desk.pass_time(LOST_AFTER / 2)
    assert not desk.nodes.offering("f", Access.LINK)
    desk.pass_time(LOST_AFTER)
    assert second.only(NotOffered) == NotOffered(), "it is offered there from now on"
    desk.client().submit("f", "")
    assert second.only(Dispatch).function == "f"
    back = desk.node("first", ONE)
    assert len(back.only(NotOffered).functions) == 1


def test_calls_that_wait_go_on_when_the_name_is_free() -> None:
    desk = Desk()
    first, second = desk.node("first", ONE, slots=1), desk.node("second", ONE)
    client = desk.client()
    client.submit("f", "")
    client.submit("f", "")  # it waits: the only slot is taken
    first.register("other")
    assert second.only(Dispatch).function == "f"


# -- functions that a node has and does not offer --------------------------------------------------


def test_callers_are_told_which_nodes_have_a_function_and_why_they_do_not_offer_it() -> None:
    desk = Desk()
    for name, why in (("laptop", "no GPU"), ("desk", "only 1 GPU (2 are needed)")):
        peer = desk.node(name, "g")
        peer.say(Register((Function("g"),), 4, withheld=(Withheld("train", why),)))
    client = desk.client()
    for target, told in (
        ("laptop", "laptop has train(), but no GPU."),
        ("", "laptop has train(), but no GPU; desk has train(), but only 1 GPU (2 are needed)."),
    ):
        client.submit("train", target)
        code, text, _ = client.error()
        assert (code, text) == ("not-found", told)
    visitor = desk.client("visitor", Access.HTTP)
    visitor.submit("train", "")
    assert "GPU" not in visitor.error()[1], "who comes by HTTP hears of public functions only"


def test_a_node_that_offers_it_gets_the_call_and_while_it_is_away_both_are_told() -> None:
    desk = Desk()
    desk.node("laptop").say(Register((), 4, withheld=(Withheld("train", "no GPU"),)))
    box = desk.node("box", "train")
    client = desk.client()
    client.submit("train", "")
    box.finish(box.only(Dispatch))
    client.say(Delivered((client.only(Finished).call,)))
    box.leave()
    desk.pass_time(2 * LOST_AFTER)
    client.submit("train", "")
    code, text, _ = client.error()
    assert code == "offline" and "'box', is offline" in text and "but no GPU" in text
