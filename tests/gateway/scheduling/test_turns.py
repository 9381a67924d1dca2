"""The order of the keys on one node: right whatever changes, and found without looking at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easyremote.gateway.callers import Access
from easyremote.gateway.records import GatewayCall, Node
from easyremote.gateway.scheduling.fairness import AGED_EVERY, NOTED, FairShare
from easyremote.gateway.scheduling.waiting import Queue


def call(turn: int, key: str) -> GatewayCall:
    target = "", "f", Access.LINK
    return GatewayCall(turn, turn.to_bytes(16, "big"), key, target, turn=turn)


def due(queue: Queue, share: FairShare) -> tuple[float, int]:
    """Whose turn it is, found the long way."""
    return min((share.start(key), lane.first.turn) for key, lane in queue.lanes.items())


STEP = st.tuples(
    st.sampled_from(["come", "come back", "go", "charge", "more", "less", "hour"]),
    st.sampled_from("abcde"),
    st.integers(0, 1),
    st.integers(1, 9),
)


@given(st.lists(STEP, max_size=120))
def test_the_order_is_right_whatever_comes_goes_and_is_charged(
    steps: list[tuple[str, str, int, int]],
) -> None:
    queue, nodes = Queue(0), [Node("m"), Node("n")]
    last, now, gone = 1000, 1.0, 1000
    for what, key, which, amount in steps:
        share = nodes[which].shares[0]
        if what == "come":
            last += 1
            queue.add(call(last, key))
        elif what == "come back":
            gone -= 1
            queue.add(call(gone, key))
        elif what == "go" and key in queue.lanes:
            queue.remove(queue.lanes[key].first)
        elif what == "charge":
            share.charge(key, amount)
        elif what in ("more", "less"):
            share.correct(key, amount if what == "more" else -amount)
        else:
            now += AGED_EVERY * amount
            share.age(now)
        for node in nodes if queue.lanes else ():
            start, found = queue.first_for(node)
            assert (start, found.turn) == due(queue, node.shares[0])


class Counted(FairShare):
    """Counts how often a tag was looked at."""

    __slots__ = ("looks",)

    def start(self, key: str) -> float:
        self.looks += 1
        return super().start(key)


@pytest.mark.parametrize("keys", [10, 1000])
def test_a_decision_looks_at_a_few_keys_however_many_wait(keys: int) -> None:
    queue, node = Queue(0), Node("n")
    node.shares[0] = share = Counted()
    share.looks = 0
    names = [f"key-{number}" for number in range(keys)]
    for turn in range(3 * keys):
        queue.add(call(turn, names[turn % keys]))
    decisions = 3 * NOTED + 3 * keys
    for turn in range(3 * keys, 3 * keys + decisions):
        _, found = queue.first_for(node)
        share.charge(found.owner, 1.0)
        queue.remove(found)
        queue.add(call(turn, found.owner))
        share.correct(found.owner, (turn % 7 - 3) / 10)  # less than expected, and more
    assert share.looks / decisions < 8
