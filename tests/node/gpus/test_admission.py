"""Which GPUs a call gets: what is free, minus what was promised and not yet taken."""

from __future__ import annotations

import pytest

from easyremote.node.gpus.admission import Left, Promises
from easyremote.node.gpus.nvml import Card
from easyremote.options.requirements import Requirements

GB = 10**9


def card(uuid: str = "a", used: int = 0, total: int = 48) -> Card:
    return Card(uuid, "A100", 0.0, used * GB, total * GB)


def needs(gb: int, gpu: int = 1) -> Requirements:
    return Requirements(gpu=gpu, gpu_memory=gb * GB)


WHOLE = Requirements(gpu=1)


def test_what_was_promised_and_not_yet_taken_is_not_free() -> None:
    promises = Promises()
    promises.promise("call", "p", ["a"], needs(31))
    assert promises.left(card(), {}) == Left(17 * GB, 1)
    assert promises.left(card(used=10), {"p": {"a": 10 * GB}}) == Left(17 * GB, 1), "it takes it"
    assert promises.left(card(used=40), {"p": {"a": 40 * GB}}) == Left(8 * GB, 1), "and more"
    assert promises.left(card(used=30), {"p": {"a": 10 * GB}}).memory == 0, "others take, too"
    assert promises.end("call") and not promises.end("call")
    assert promises.left(card(used=10), {"p": {"a": 10 * GB}}) == Left(38 * GB, 0)


def test_calls_of_one_process_run_one_after_the_other_so_the_largest_promise_counts() -> None:
    promises = Promises()
    promises.promise("first", "p", ["a"], needs(10))
    promises.promise("second", "p", ["a"], needs(20))
    assert promises.left(card(), {}).memory == 28 * GB
    promises.end("second")
    assert promises.left(card(), {}).memory == 38 * GB


def test_what_the_process_of_the_call_holds_is_no_obstacle_to_it() -> None:
    promises = Promises()
    taken = {"mine": {"a": 31 * GB}}
    assert not promises.choose(needs(24), [card(used=31)], taken)
    assert promises.choose(needs(40), [card(used=31)], taken, ["mine"]) == ("a",)
    assert not promises.choose(needs(40), [card(used=40)], taken, ["mine"]), "nine are foreign"


def test_the_fullest_gpu_that_will_do_is_shared_and_whole_ones_are_the_emptiest() -> None:
    promises = Promises()
    cards = [card("a"), card("b", 20), card("c", 40)]
    assert promises.choose(needs(8), cards, {}) == ("c",)
    assert promises.choose(needs(20), cards, {}) == ("b",)
    assert promises.choose(WHOLE, cards, {}) == ("a",)
    promises.promise("whole", "p", ["a"], WHOLE)
    assert promises.choose(needs(30), cards, {}) == (), "all of it was promised"
    assert promises.choose(WHOLE, cards, {}) == ("b",)
    assert promises.choose(needs(8, gpu=2), cards, {}) == ("c", "b")
    assert promises.choose(needs(8, gpu=3), cards, {}) == ()


@pytest.mark.parametrize(("gb", "ended"), [(18, ["old"]), (28, ["old", "new"]), (40, [])])
def test_idle_processes_end_oldest_first_if_that_helps_and_only_as_many_as_it_takes(
    gb: int, ended: list[str]
) -> None:
    taken = {"old": {"a": 10 * GB}, "elsewhere": {"b": 10 * GB}, "new": {"a": 20 * GB}}
    cards = [card("a", used=40), card("b", used=48)]
    idle = ["elsewhere", "old", "new"]
    assert Promises().to_end(needs(gb), cards, taken, idle) == ended
