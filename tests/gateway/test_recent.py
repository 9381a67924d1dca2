"""What is kept of calls that are over."""

from __future__ import annotations

from easyremote.gateway.recent import LENGTH, WORTH_KEEPING
from easyremote.protocol.messages import Cancel, Finished
from tests.gateway.desk import Desk, payload


def ended(desk: Desk, owner: str = "alice") -> list[tuple[str, str]]:
    return [(call.function, call.code) for call in desk.calls.recent.of(owner)]


def test_cells_are_kept_with_how_they_ended_the_newest_first() -> None:
    desk = Desk()
    node, client = desk.node("n", "$cell"), desk.client()
    client.submit("$cell", origin="kernel/cell")
    node.finish(node.start())
    client.submit("$cell")
    failed = node.start()
    node.say(Finished(failed.call, payload(b"x"), "raised", seconds=3.0, fence=failed.fence))
    assert ended(desk) == [("$cell", "raised"), ("$cell", "")]
    newest, oldest = desk.calls.recent.of("alice")
    assert (newest.seconds, newest.node_id, newest.ended) == (3.0, "n", desk.now)
    assert oldest.origin == "kernel/cell"
    assert ended(desk, "mallory") == []


def test_an_interrupt_that_was_wanted_is_told_as_cancelled() -> None:
    desk = Desk()
    node, client = desk.node("n", "$cell"), desk.client()
    number = client.submit("$cell")
    begun = node.start()
    client.say(Cancel(number))
    node.say(Finished(begun.call, payload(b"x"), "raised", fence=begun.fence))
    assert ended(desk) == [("$cell", "cancelled")]


def test_of_functions_only_those_that_took_their_time_are_kept() -> None:
    desk = Desk()
    node, client = desk.node("n", "f", "$have"), desk.client()
    for function, seconds in (("f", WORTH_KEEPING), ("f", 0.9), ("$have", 5.0)):
        client.submit(function)
        begun = node.start()
        node.say(Finished(begun.call, payload(), seconds=seconds, fence=begun.fence))
    assert ended(desk) == [("f", "")]


def test_what_never_ran_is_kept_with_the_reason() -> None:
    desk = Desk()
    node, client = desk.node("n", "$cell"), desk.client()
    client.submit("$cell")
    node.start()
    node.leave()
    desk.pass_time(61.0)
    assert ended(desk) == [("$cell", "lost")]


def test_only_the_last_are_kept() -> None:
    desk = Desk()
    node, client = desk.node("n", "$cell"), desk.client()
    for number in range(LENGTH + 5):
        client.submit("$cell", origin=str(number))
        node.finish(node.start())
    kept = [call.origin for call in desk.calls.recent.of("alice")]
    assert kept == [str(number) for number in reversed(range(5, LENGTH + 5))]
