"""What holds over time: equal shares, short waits, short makespans, whatever the nodes are like."""

from __future__ import annotations

import random
import time
from itertools import count

import pytest

from tests.gateway.scheduling.farm import Farm, Machine, jain, keep_busy, makespan

#: Kinds of calls: some keys have short ones, some long ones.
LENGTHS = (0.5, 1.0, 4.0, 10.0)


@pytest.mark.parametrize("keys", [5, 50])
@pytest.mark.parametrize("nodes", [1, 4])
def test_keys_that_wait_get_equal_run_seconds_whatever_their_calls_take(
    keys: int, nodes: int
) -> None:
    farm = Farm()
    functions = [f"f{length}" for length in LENGTHS]
    for number in range(nodes):
        farm.node(f"n{number}", *functions, slots=2, machine=Machine(speed=1.0 + number))
    for number in range(keys):
        length = LENGTHS[number % len(LENGTHS)]
        # Whoever has short calls has many of them; the first one floods.
        outstanding = 500 if number == 0 else max(8, int(20 / length))
        keep_busy(farm, f"key-{number}", f"f{length}", length, outstanding)
    farm.run(until=60.0 * keys / nodes)
    assert jain([farm.used[f"key-{number}"] for number in range(keys)]) >= 0.98


@pytest.mark.parametrize("slots", [1, 4])
def test_nobody_waits_longer_than_one_call_of_a_key_that_has_a_thousand_queued(slots: int) -> None:
    farm = Farm()
    farm.node("n", "f", slots=slots)
    for _ in range(1000):
        farm.call(key="flood", seconds=1.0)
    chance = random.Random(1)
    for moment in range(1, 200):
        for key in ("ann", "bob", "eve"):
            at = 5.0 * moment + chance.random()
            farm.at(at, lambda key=key: farm.call(key=key, seconds=0.2))
    farm.run()
    for key in ("ann", "bob", "eve"):
        # One running call of the flood, and the short calls of the two others.
        assert max(farm.waits[key]) <= 1.0 + 2 * 0.2 + 1e-9, key
    assert len(farm.waits["flood"]) == 1000


def test_a_flood_that_was_there_before_anything_had_finished_wins_nothing() -> None:
    farm = Farm()
    farm.node("n", "f", slots=1)
    for _ in range(100):
        farm.call(key="flood", seconds=30.0)
    for _ in range(3):
        farm.call(key="late", seconds=30.0)
    farm.run(until=7 * 30.0)
    assert farm.used["late"] == pytest.approx(90.0)


def test_a_key_that_has_slept_has_no_credit() -> None:
    farm = Farm()
    farm.node("n", "f", slots=1)
    keep_busy(farm, "steady", "f", 1.0, 5)
    farm.run(until=10_000.0)
    before = farm.used["steady"]
    keep_busy(farm, "sleeper", "f", 1.0, 5)
    farm.run(until=10_100.0)
    assert farm.used["steady"] - before == pytest.approx(50.0, abs=2.0)
    assert farm.used["sleeper"] == pytest.approx(50.0, abs=2.0)


def test_what_a_key_has_run_on_one_node_is_no_debt_on_another() -> None:
    farm = Farm()
    farm.node("busy", "f", slots=1)
    farm.node("idle", "f", slots=1)
    for _ in range(1000):
        farm.call("f", "busy", key="ann")
    for _ in range(50):
        farm.call("f", "idle", key="bob")
    farm.at(900.0, lambda: [farm.call("f", "idle", key="bob") for _ in range(20)])
    farm.at(900.0, lambda: [farm.call("f", "idle", key="ann") for _ in range(20)])
    farm.run(until=920.0)
    ran = [number for node, number in farm.ran if node == "idle"][50:]
    assert sum(number > 1070 for number in ran) == pytest.approx(10, abs=1), "they take turns"


@pytest.mark.parametrize("seed", range(3))
def test_the_makespan_on_four_uneven_nodes_is_near_the_best(seed: int) -> None:
    assert makespan(seed) <= 1.15


def test_a_slow_node_that_looks_idle_does_not_hold_calls_up() -> None:
    farm = Farm()
    for number in range(2):
        farm.node(f"quick{number}", "f", slots=1)
    farm.node("slow", "f", slots=8, machine=Machine(speed=0.01))
    ids = count()

    def come() -> None:
        farm.call(key=f"key-{next(ids) % 3}", seconds=1.0)

    for moment in range(500):
        farm.at(0.7 * moment, come)
    farm.run(until=350.0)
    slow = sum(node == "slow" for node, _ in farm.ran)
    assert slow <= 10, "it is tried, and then left to itself while the quick ones keep up"
    assert len(farm.ran) >= 490


def test_a_call_is_left_to_quicker_nodes_for_so_long_as_it_would_run_on_the_slow_one() -> None:
    farm = Farm()
    quick, slow = farm.node("quick", "f"), farm.node("slow", "f")
    quick.runs["f"] = 1.0
    slow.runs["f"] = 50.0
    for _ in range(10):
        farm.scheduler.estimates.ran("f", 1.0)
    farm.call(seconds=1000.0)
    farm.call(seconds=1000.0)
    assert [node for node, _ in farm.ran] == ["quick"]
    farm.at(49.0, lambda: None)
    farm.run(until=49.0)
    farm.fill(slow)
    assert [node for node, _ in farm.ran] == ["quick"]
    farm.now = 50.0
    farm.fill(slow)
    assert [node for node, _ in farm.ran] == ["quick", "slow"]


def test_a_call_is_not_left_to_others_where_somebody_has_chosen_a_strategy() -> None:
    farm = Farm()
    quick, slow = farm.node("quick", "f"), farm.node("slow", "f")
    quick.runs["f"] = 1.0
    slow.runs["f"] = 50.0
    farm.scheduler.estimates.ran("f", 1.0)
    farm.nodes.strategies["f"] = "round_robin"
    for _ in range(2):
        farm.call(seconds=1000.0)
    assert {node for node, _ in farm.ran} == {"quick", "slow"}


def test_a_node_that_has_fewer_slots_than_it_says_gets_calls_after_those_that_have_them() -> None:
    farm = Farm()
    farm.node("liar", "f", slots=100, machine=Machine(slots=1))
    farm.node("honest", "f", slots=8)
    for moment in range(400):
        farm.at(0.2 * moment, lambda: farm.call(key="ann", seconds=1.0))
    farm.run(until=80.0)
    late = [node for node, _ in farm.ran[200:]]
    assert late.count("honest") >= 0.9 * len(late)


def test_several_names_behind_one_node_and_one_name_behind_several_nodes() -> None:
    farm = Farm()
    farm.node("one", "a", "b", "shared", slots=1)
    farm.node("two", "shared", slots=1)
    keep_busy(farm, "ann", "a", 1.0, 20)
    keep_busy(farm, "bob", "b", 3.0, 20)
    keep_busy(farm, "eve", "shared", 1.0, 20)
    farm.run(until=1000.0)
    # `one` is shared by all three, `two` has one user only; nothing is idle.
    assert sum(farm.used.values()) == pytest.approx(2000.0, abs=10.0)
    assert jain([farm.used["ann"], farm.used["bob"]]) >= 0.99
    assert farm.used["eve"] >= 1000.0


def test_a_hundred_thousand_queued_calls_are_cancelled_without_looking_at_each_other() -> None:
    def cancelled(calls: int) -> float:
        farm = Farm()
        farm.node("n", *(f"f{number}" for number in range(10)), slots=1)
        queued = [farm.call(f"f{number % 10}", key=f"key-{number % 7}") for number in range(calls)]
        began = time.process_time()
        for call in queued[1:]:
            farm.scheduler.remove(call)
        taken = time.process_time() - began
        assert farm.scheduler.targets() == []
        return taken

    few = min(cancelled(10_000) for _ in range(3))
    assert cancelled(100_000) < 30 * few, "ten times as many take about ten times as long"
