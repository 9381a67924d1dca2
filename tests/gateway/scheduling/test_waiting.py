"""Calls that wait: by place, key and what they want; each is found without looking at others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from easyremote.gateway.callers import Access
from easyremote.gateway.records import GatewayCall, Node
from easyremote.gateway.scheduling.waiting import Waiting, wanted
from easyremote.protocol.builtins import is_builtin


def call(number: int, owner: str = "ann", function: str = "f", node: str = "") -> GatewayCall:
    target = node, function, Access.LINK
    is_code = is_builtin(function)
    call_id = number.to_bytes(16, "big")
    return GatewayCall(number, call_id, owner, target, is_code=is_code, turn=number)


def test_builtins_wait_apart_because_they_take_no_slot() -> None:
    waiting = Waiting()
    cell, other = call(1, function="$cell", node="n"), call(2, function="f", node="n")
    for each in (cell, other):
        waiting.add(each)
    assert list(waiting.at("n", code=True)) == [wanted(cell)]
    assert list(waiting.at("n", code=False)) == [wanted(other)]
    assert waiting.at("", code=False) == {}
    assert waiting.targets() == [("n", "$cell", Access.LINK), ("n", "f", Access.LINK)]


def test_a_call_that_comes_back_has_its_place_before_those_that_came_later() -> None:
    waiting = Waiting()
    calls = [call(number) for number in range(1, 7)]
    for each in calls[3:]:
        waiting.add(each)
    for back in (2, 1, 3):  # they come back in any order
        again = call(100 + back)
        again.turn = back
        waiting.add(again)
        waiting.check_invariants()
    order = [each.turn for each in waiting.calls(calls[0].target)]
    assert order == [1, 2, 3, 4, 5, 6]
    (queue,) = waiting.queues.values()
    assert queue.first_for(Node("n"))[1].number == 101


@given(st.lists(st.tuples(st.integers(1, 30), st.sampled_from("abc"), st.sampled_from("fg$"))))
def test_whatever_comes_and_goes_all_that_wait_are_found(
    steps: list[tuple[int, str, str]],
) -> None:
    waiting = Waiting()
    there: dict[int, GatewayCall] = {}
    last = 0
    for number, owner, function in steps:
        if number in there:
            waiting.remove(there.pop(number))
        else:
            last += 1
            there[last] = new = call(last, owner, function)
            waiting.add(new)
        waiting.check_invariants()
    assert len(waiting) == len(there)
    for known in there.values():
        like = [each for each in there.values() if wanted(each) == wanted(known)]
        assert waiting.like(wanted(known)) == len(like)
        assert list(waiting.calls(known.target)) == like
        mine = [each.number for each in there.values() if each.owner == known.owner]
        assert sorted(each.number for each in waiting.of(known.owner)) == mine
    for known in there.values():
        waiting.remove(known)
        waiting.remove(known)  # safe to repeat
    assert not waiting.queues
    assert not waiting.in_slots
    assert not waiting.beside
