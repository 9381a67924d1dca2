"""Who is next: the key whose turn it is; limits; the node that is through with a call first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easyremote.gateway.records import AHEAD, AHEAD_SECONDS, QUICK, GatewayCall
from easyremote.gateway.scheduling.estimates import smoothed
from easyremote.gateway.scheduling.scheduler import FEW
from easyremote.protocol.call import CallState
from easyremote.protocol.messages import Function
from tests.gateway.scheduling.farm import Farm


def test_calls_run_in_the_order_in_which_they_came() -> None:
    farm = Farm()
    farm.node("n", "f", "g")
    calls = [farm.call("f"), farm.call("g"), farm.call("f", "n"), farm.call("g"), farm.call("f")]
    for call in calls:
        farm.finish(call)
    assert [number for _, number in farm.ran] == [1, 2, 3, 4, 5]


def test_who_comes_later_does_not_overtake_who_waits() -> None:
    farm = Farm()
    node = farm.node("n", "f", slots=1)
    first, second = farm.call(), farm.call()
    first.free_slot()  # a slot is free, and not given away yet
    third = farm.call()
    farm.fill(node)
    assert (first.state, second.state) == (CallState.DISPATCHED, CallState.DISPATCHED)
    assert third.state is CallState.QUEUED


def test_max_concurrency_holds_for_its_function_and_leaves_the_slots_to_the_others() -> None:
    farm = Farm()
    farm.node("n", Function("f", max_concurrency=1), "g", slots=4)
    calls = [farm.call("f") for _ in range(3)] + [farm.call("g") for _ in range(3)]
    assert [number for _, number in farm.ran] == [1, 4, 5, 6]
    farm.finish(calls[0])
    assert [number for _, number in farm.ran][4:] == [2]


def test_shipped_code_takes_no_slot() -> None:
    farm = Farm()
    farm.node("n", "f", Function("$cell", max_concurrency=2), slots=1)
    farm.call("f")
    cells = [farm.call("$cell", "n") for _ in range(3)]
    assert [cell.state for cell in cells] == [
        CallState.DISPATCHED,
        CallState.DISPATCHED,
        CallState.QUEUED,
    ]


def test_the_least_loaded_node_is_taken_by_share_not_by_number() -> None:
    farm = Farm()
    farm.node("small", "f", slots=1)
    farm.node("large", "f", slots=4)
    for _ in range(5):
        farm.call()
    assert [node for node, _ in farm.ran] == ["small", "large", "large", "large", "large"]


def test_of_two_free_nodes_the_quicker_one_is_taken() -> None:
    farm = Farm()
    farm.node("slow", "f").runs["f"] = 9.0
    farm.node("quick", "f").runs["f"] = 1.0
    farm.call()
    assert farm.ran == [("quick", 1)]


def test_how_long_a_function_runs_on_a_node_is_learnt_from_values_only() -> None:
    farm = Farm()
    node = farm.node("n", "f")
    farm.finish(farm.call(), 1.0)
    failing = farm.call()
    failing.code = "raised"
    farm.finish(failing, 9.0)
    farm.finish(farm.call(), 2.0)
    assert node.runs["f"] == farm.scheduler.estimates.of("f") == smoothed(1.0, 2.0)
    assert node.owed == 0.0


def test_a_node_whose_outcomes_come_late_is_taken_after_one_whose_outcomes_do_not() -> None:
    farm = Farm()
    farm.now = 100.0
    far, near = farm.node("far", "f"), farm.node("near", "f")
    for node, late in ((far, 0.5), (near, 0.01)):
        call = farm.call("f", node.node_id)
        farm.now += 1.0 + late
        farm.finish(call, 1.0)
    assert (far.lag, near.lag) == (pytest.approx(0.5), pytest.approx(0.01))
    farm.call()
    assert farm.ran[-1][0] == "near"


def test_quick_functions_are_sent_ahead_of_free_slots() -> None:
    farm = Farm()
    node = farm.node("n", "f", slots=1)
    farm.finish(farm.call(), 0.0001)
    for _ in range(AHEAD + 10):
        farm.call()
    assert node.busy == 1 + AHEAD


@pytest.mark.parametrize("slots", [0, 1, 4])
def test_so_much_is_sent_ahead_as_keeps_the_slots_busy_for_a_moment(slots: int) -> None:
    farm = Farm()
    node = farm.node("n", "f", slots=max(slots, 1))
    seconds = QUICK * 0.8
    farm.finish(farm.call(), seconds)
    node.slots = slots
    for _ in range(AHEAD):
        farm.call()
    assert node.busy == pytest.approx(AHEAD_SECONDS * slots / seconds, abs=1)


def test_a_node_takes_nothing_that_names_another_or_that_it_has_not() -> None:
    farm = Farm()
    farm.node("n", "f")
    farm.call("f", "m")
    farm.call("g")
    assert farm.ran == []


def test_a_call_that_is_removed_never_runs_and_holds_up_nobody() -> None:
    farm = Farm()
    farm.node("n", "f", slots=1)
    first, second, third = farm.call(), farm.call(), farm.call()
    farm.scheduler.remove(second)
    farm.scheduler.remove(second)
    farm.finish(first)
    assert [number for _, number in farm.ran] == [1, 3]
    farm.finish(third)
    assert farm.scheduler.targets() == []
    farm.scheduler.check_invariants()


def test_of_a_few_nodes_all_get_their_share() -> None:
    farm = Farm()
    nodes = [farm.node(f"n{number}", "f", slots=2) for number in range(FEW)]
    for _ in nodes:
        farm.call()
    assert {node.busy for node in nodes} == {1}


def test_of_many_nodes_two_are_compared_and_none_is_overloaded() -> None:
    farm = Farm()
    nodes = [farm.node(f"n{number}", "f", slots=8) for number in range(10 * FEW)]
    for _ in nodes:
        farm.call()
    assert max(node.busy for node in nodes) <= 3  # by one choice it would be five or six


def test_nodes_without_room_are_passed_over_however_many_there_are() -> None:
    farm = Farm()
    full = [farm.node(f"full{number}", "f", slots=1) for number in range(5 * FEW)]
    calls = [farm.call("f", node.node_id) for node in full]
    farm.node("free", "f")
    farm.call()
    assert farm.ran[-1][0] == "free"
    farm.call()
    farm.finish(calls[7])
    assert farm.ran[-1][0] == "full7", "it is compared again once it has room"
    farm.finish(calls[9])
    farm.call()
    assert farm.ran[-1][0] == "full9"
    farm.nodes.check_invariants()


def test_a_function_is_quick_below_its_limit_only() -> None:
    farm = Farm()
    node = farm.node("n", "f", slots=1)
    node.runs["f"] = QUICK
    for _ in range(3):
        farm.call()
    assert node.busy == 1


@given(st.lists(st.sampled_from(["f", "g", "f@a", "g@b", "done"]), max_size=60))
def test_nobody_starves_whatever_comes(steps: list[str]) -> None:
    farm = Farm()
    farm.node("a", "f", Function("g", max_concurrency=1), slots=2)
    farm.node("b", "f", "g", slots=1)
    calls: list[GatewayCall] = []
    running: list[GatewayCall] = []
    for step in steps:
        if step == "done" and running:
            farm.finish(running[0])
        elif step != "done":
            function, _, node = step.partition("@")
            calls.append(farm.call(function, node))
        running = [call for call in calls if call.state is CallState.DISPATCHED]
    while running:
        farm.finish(running[0])
        running = [call for call in calls if call.state is CallState.DISPATCHED]
    assert all(call.state is CallState.FINISHED for call in calls)
    for target in {call.target for call in calls}:
        mine = {call.number for call in calls if call.target == target}
        order = [number for _, number in farm.ran if number in mine]
        assert order == sorted(order), "first come, first served"
