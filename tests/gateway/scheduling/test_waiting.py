"""Calls that wait: by place, key and what they want; each is found without looking at others."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from easyremote.gateway.callers import Access
from easyremote.gateway.records import GatewayCall
from easyremote.gateway.scheduling.waiting import Waiting, wanted
from easyremote.protocol.builtins import is_builtin


def call(number: int, owner: str = "ann", function: str = "f", node: str = "") -> GatewayCall:
    target = node, function, Access.LINK
    is_code = is_builtin(function)
    return GatewayCall(number, number.to_bytes(16, "big"), owner, target, is_code=is_code)


def test_builtins_wait_apart_because_they_take_no_slot() -> None:
    waiting = Waiting()
    waiting.add(call(1, function="$cell", node="n"))
    waiting.add(call(2, function="f", node="n"))
    assert list(waiting.lines("n", code=True)["ann"].in_order())[0].number == 1
    assert list(waiting.lines("n", code=False)["ann"].in_order())[0].number == 2
    assert waiting.lines("", code=False) == {}
    assert waiting.targets() == [("n", "$cell", Access.LINK), ("n", "f", Access.LINK)]


def test_a_call_that_does_not_fit_is_passed_over_and_stays_first() -> None:
    waiting = Waiting()
    for number, function in enumerate("ffgfg", start=1):
        waiting.add(call(number, function=function))
    line = waiting.lines("", code=False)["ann"]
    asked: list[int] = []

    def is_g(call: GatewayCall, _: object) -> bool:
        asked.append(call.number)
        return call.function == "g"

    found = line.first(is_g)
    assert found is not None
    assert (found.number, asked) == (3, [1, 3]), "of each lane the first one is asked"
    waiting.remove(found)
    found = line.first(lambda call, _: True)
    assert found is not None
    assert found.number == 1
    assert line.first(lambda call, _: False) is None
    assert line.oldest.number == 1
    waiting.check_invariants()


@given(st.lists(st.tuples(st.integers(1, 30), st.sampled_from("abc"), st.sampled_from("fg$"))))
def test_whatever_comes_and_goes_the_oldest_call_of_a_key_is_known(
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
    for known in there.values():
        mine = [each.number for each in there.values() if each.owner == known.owner]
        is_code = known.function == "$"
        line = waiting.lines("", code=is_code)[known.owner]
        assert line.oldest.number == min(
            number for number in mine if (there[number].function == "$") == is_code
        )
        assert waiting.counts[wanted(known)]
        assert known in waiting.calls(known.target)
    for known in there.values():
        waiting.remove(known)
        waiting.remove(known)  # safe to repeat
    assert not waiting.counts
    assert not waiting.in_slots
    assert not waiting.beside
