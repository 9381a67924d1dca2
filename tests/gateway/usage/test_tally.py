"""What is counted of each call, and that each is counted once."""

from __future__ import annotations

import math

import pytest

from easyremote.errors import UsageError
from easyremote.gateway.callers import Access
from easyremote.gateway.usage import tally
from easyremote.gateway.usage.tally import COUNTED, OTHER, RAN_FOR, Counts
from easyremote.options.requirements import Requirements
from easyremote.protocol.messages import (
    Attach,
    Cancel,
    Event,
    Finished,
    Function,
    Gpu,
    Register,
    Resume,
    Submit,
)
from easyremote.protocol.usage import By, UsageRequest, UsageRow
from easyremote.times import read_seconds
from tests.gateway.desk import Desk, payload


def used(desk: Desk, by: By = "function", key: str | None = None) -> dict[str, UsageRow]:
    return {row.name: row for row in desk.calls.tally.rows(UsageRequest(by), key)}


def ends(row: UsageRow) -> dict[str, int]:
    """How many calls ended in each way in which any did."""
    return {name: getattr(row, name) for name in COUNTED[:6] if getattr(row, name)}


def test_each_way_in_which_a_call_ends_is_counted_once() -> None:
    desk = Desk()
    node, client = desk.node("n", Function("f", max_concurrency=1)), desk.client()
    client.submit()
    node.finish(node.start())
    client.submit()
    begun = node.start()
    node.say(Finished(begun.call, payload(b"x"), "raised", seconds=2.0, fence=begun.fence))
    cancelled, waits = client.submit(), client.submit()
    begun = node.start()
    client.say(Cancel(waits))
    client.say(Cancel(cancelled))
    node.say(Finished(begun.call, payload(b"x"), "raised", seconds=1.0, fence=begun.fence))
    client.submit()
    running = node.start()
    client.submit(queue_timeout=1.0)
    desk.pass_time(2.0)
    node.finish(running)
    client.submit()
    node.start()
    node.leave()
    desk.pass_time(61.0)
    client.submit()
    (row,) = (row for name, row in used(desk).items() if name == "f")
    ended = {"values": 2, "errors": 1, "cancelled": 2, "timed_out": 1, "lost": 1, "refused": 1}
    assert (row.calls, ends(row)) == (8, ended)
    assert row.run_seconds == 2.0 + 1.0 + 2.0 + 61.0
    by_node = used(desk, "node")
    assert {name: row.calls for name, row in by_node.items()} == {"n": 5, "": 3}


def test_what_a_call_holds_is_counted_for_as_long_as_it_runs() -> None:
    desk = Desk()
    function = Function("train", requirements=Requirements(gpu=2, gpu_memory=10 * 10**9))
    node, client = desk.node("n", function), desk.client()
    gpus = (Gpu("A", 0.0, 0, 40 * 10**9),) * 3
    node.say(Register((function, Function("$cell")), 4, (), 8, 20, gpus))
    client.submit("train")
    begun = node.start()
    node.say(Finished(begun.call, payload(), seconds=1800.0, fence=begun.fence))
    client.submit("$cell", needs=Requirements(gpu=1))  # all of the memory of one
    begun = node.start()
    node.say(Finished(begun.call, payload(), seconds=3600.0, fence=begun.fence))
    rows = used(desk)
    assert (rows["train"].gpu_seconds, rows["train"].gpu_gb_hours) == (3600.0, 10.0)
    assert (rows["$cell"].gpu_seconds, rows["$cell"].gpu_gb_hours) == (3600.0, 40.0)


def test_a_call_that_fails_has_run_for_as_long_as_it_ran() -> None:
    """Its node does not say how long: nobody runs for nothing by raising at the end."""
    desk = Desk()
    node, client = desk.node(), desk.client()
    client.submit(call_id=b"c" * 16)
    begun = node.start()
    desk.pass_time(7.0)
    client.leave()
    error = Finished(begun.call, payload(b"x"), "raised", fence=begun.fence)
    node.say(error)
    assert used(desk)["f"].run_seconds == 7.0
    desk.pass_time(10.0)
    desk.client().say(Resume((b"c" * 16,), (1,), started=(True,)))
    node.say(Finished(begun.call, payload(b"x"), "raised", fence=begun.fence))
    assert used(desk)["f"].run_seconds == 7.0
    assert [call.seconds for call in desk.calls.table.by_id.values()] == [7.0]


def test_bytes_are_those_that_passed_those_of_questions_too() -> None:
    desk = Desk()
    node, client = desk.node("n", "$cell", "$keep"), desk.client()
    client.submit("$cell", payload=payload(b"12345"))
    begun = node.start()
    node.say(Event(begun.call, 1, payload(b"12")))
    node.finish(begun, b"123")
    client.submit("$keep", payload=payload(b"1234567"))
    node.finish(node.start(), b"1")
    rows = used(desk)
    assert (rows["$cell"].argument_bytes, rows["$cell"].result_bytes) == (5, 5)
    assert (rows["$keep"].argument_bytes, rows["$keep"].result_bytes) == (7, 1)
    assert (rows["$cell"].calls, rows["$keep"].calls) == (1, 0)


def test_an_outcome_that_is_sent_again_counts_as_bytes_and_not_as_a_call() -> None:
    desk = Desk()
    node, client = desk.node(), desk.client()
    client.submit(call_id=b"c" * 16)
    begun = node.start()
    client.leave()
    node.finish(begun, b"123")  # nobody is there: it stays on the node
    assert used(desk)["f"].result_bytes == 0
    back = desk.client()
    back.say(Resume((b"c" * 16,), (9,), started=(True,)))
    node.only(Attach)
    node.finish(begun, b"123")
    row = used(desk)["f"]
    assert (row.calls, row.values, row.result_bytes) == (1, 1, 3)


def test_a_call_that_outlived_the_gateway_counts_for_its_key_when_this_is_back() -> None:
    desk = Desk()
    node, client = desk.node(), desk.client()
    client.submit(call_id=b"c" * 16)
    fence = node.start().fence
    desk.restart("n")
    node = desk.node("n", held=[(b"c" * 16, fence)])
    (number,) = node.node.calls
    finished = Finished(number, payload(b"123"), seconds=5.0, fence=fence)
    node.say(finished)
    assert used(desk) == {}
    back = desk.client("alice")
    back.say(Resume((b"c" * 16,), (1,), started=(True,)))
    node.say(Finished(number, payload(b"123"), seconds=5.0, fence=fence))
    (row,) = used(desk, "key").values()
    assert (row.name, row.calls, row.run_seconds) == ("alice", 1, 5.0)


def test_a_call_whose_client_never_comes_back_counts_as_cancelled() -> None:
    desk = Desk()
    node, client = desk.node(), desk.client()
    client.submit(hold=5.0)
    client.submit("f", hold=5.0)
    node.heard(Submit)
    client.leave()
    desk.pass_time(6.0)
    assert ends(used(desk)["f"]) == {"cancelled": 2}


def test_a_key_sees_its_own() -> None:
    desk = Desk()
    node = desk.node()
    for owner, access in (("alice", Access.LINK), ("bob", Access.LINK)):
        desk.client(owner, access).submit()
        node.finish(node.start())
    assert used(desk, "key").keys() == {"alice", "bob"}
    assert used(desk, "function", "bob")["f"].calls == 1


def test_names_that_nobody_has_take_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    node, client = desk.node("n", "f", "g", "h"), desk.client()
    monkeypatch.setattr(tally, "NAMES", 2)
    for function in ("bad", "worse", "f", "g", "h"):
        client.submit(function, node="")
    assert ends(used(desk)[OTHER]) == {"refused": 2}
    client.leave()
    desk.pass_time(3600.0)
    names = {name: row.calls for name, row in used(desk).items()}
    assert names == {OTHER: 3, "f": 1, "g": 1}
    assert node.node.calls == {}


def test_what_was_taken_is_in_the_sums_all_the_same() -> None:
    desk = Desk()
    node, client = desk.node(), desk.client()
    for _ in range(2):
        client.submit()
        node.finish(node.start())
        ((place, counts),) = desk.calls.tally.take().items()
        assert (place, counts.values) == (("alice", "n", "f"), 1)
    assert desk.calls.tally.take() == {}
    assert used(desk)["f"].calls == 2


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5m", 90), ("2 h", 7200), ("7d", 604800), ("1w", 604800)]
)
def test_lengths_of_time_are_read_with_their_unit(text: str, seconds: float) -> None:
    assert read_seconds(text, "since") == seconds


@pytest.mark.parametrize("text", ["", "d", "-1h", "7y", "1e3", "nan", "0", "9999999w"])
def test_other_texts_are_no_time(text: str) -> None:
    with pytest.raises(UsageError, match="since"):
        read_seconds(text, "since")


def test_calls_are_counted_by_how_long_they_ran() -> None:
    desk = Desk()
    node, client = desk.node("n", "f"), desk.client()
    for seconds in (0.0, 0.01, 0.011, 0.1, 0.4, 14400.0, 20000.0):
        client.submit()
        begun = node.start()
        node.say(Finished(begun.call, payload(b"x"), seconds=seconds, fence=begun.fence))
    client.submit()
    begun = node.start()
    node.say(Finished(begun.call, payload(b"x"), "raised", seconds=2.0, fence=begun.fence))
    client.submit("f", "no_such_node")  # it never runs
    counts = Counts()
    for each in desk.calls.tally.sums("function").values():
        counts.add(each)
    upto = dict(counts.ran_for())
    assert list(upto) == [*RAN_FOR, math.inf]
    told = [upto[bound] for bound in (0.01, 0.1, 0.5, 1.0, 5.0, 3600.0, 14400.0, math.inf)]
    assert told == [2, 4, 5, 5, 6, 6, 7, 8]
