"""`RelayedCalls`: the calls that a node passes on. The test plays the gateway and the process."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from easyremote.node.ledger import SLOTS, Ledger, memory_file
from easyremote.node.processes.process import Process, RelayedCall
from easyremote.node.processes.relay import RelayedCalls
from easyremote.protocol.builtins import CALL
from easyremote.protocol.call import CallState
from easyremote.protocol.held import failure
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    INLINE_LIMIT,
    Attach,
    Cancel,
    Delivered,
    Dispatch,
    Event,
    Finished,
    HandBack,
    Message,
    Payload,
    Seen,
    Started,
    StreamStop,
    encode,
)
from tests.protocol.wires import deliver, open_link, sent_by

LARGE = b"x" * (INLINE_LIMIT + 1)


class Node:
    """A relay with one process; a call that is placed waits until the test passes it on."""

    def __init__(self) -> None:
        self.placed: list[RelayedCall] = []
        self.stopped: list[tuple[RelayedCall, bool]] = []
        self.over: list[RelayedCall] = []
        self.free: list[Process] = []
        self.calls = RelayedCalls(self)
        self.process = Process("alice", "s", {})
        self.process.link.open(0.0)
        self.link = open_link()
        self.calls.attach(self.link)

    def place(self, call: RelayedCall) -> None:
        self.placed.append(call)

    def stop(self, call: RelayedCall, *, kill: bool) -> None:
        self.stopped.append((call, kill))

    def left(self, call: RelayedCall) -> None:
        self.over.append(call)

    def freed(self, process: Process) -> None:
        self.free.append(process)

    def dispatch(
        self,
        number: int = 1,
        payload: Payload | None = None,
        name: int = 0,
        session: str = "s",
        owner: str = "alice",
    ) -> None:
        call_id = (name or number).to_bytes(16, "big")
        payload = payload or Payload("pickle5", 3, b"abc")
        self.calls.receive(
            Dispatch(number, call_id, number, "$cell", payload, session, owner=owner)
        )

    def passed(self, number: int = 1) -> RelayedCall:
        """A call that the process has; what was said until then is dropped."""
        self.dispatch(number)
        call = self.placed[-1]
        self.calls.pass_to(self.process, call)
        sent_by(self.process.link)
        sent_by(self.link)
        return call

    def process_says(self, *messages: Message) -> list[Message]:
        """What the gateway hears when the process says this."""
        for message in messages:
            self.calls.receive_from(self.process, message)
        return sent_by(self.link)

    def reconnect(self) -> list[RelayedCall]:
        self.calls.detach(self.link)
        self.link.close()
        self.link = open_link()
        return self.calls.attach(self.link)

    def to_process(self) -> list[Message]:
        return sent_by(self.process.link)


def value(number: int, events: int = 0) -> Finished:
    return Finished(number, Payload("pickle5", 5, b"value"), events=events)


def event(number: int, seq: int = 1) -> Event:
    return Event(number, seq, Payload("msgpack", 4, b"item"))


def streams(link: Link, data: bytes) -> Payload:
    """A payload that a peer of ``link`` starts to send; its bytes come with `deliver`."""
    return link.offer((data,), len(data), "pickle5")


def test_a_call_goes_to_its_process_under_a_number_of_its_own_and_back() -> None:
    node = Node()
    node.dispatch(7)
    (call,) = node.placed
    node.calls.pass_to(node.process, call)
    (sent,) = node.to_process()
    assert isinstance(sent, Dispatch)
    assert (sent.call, sent.function, sent.session, sent.owner) == (
        call.inner,
        "$cell",
        "s",
        "alice",
    )
    assert sent.payload == Payload("pickle5", 3, b"abc")
    said = node.process_says(Started(call.inner), event(call.inner), value(call.inner, 1))
    assert said == [Started(7), event(7), Finished(7, value(0).payload, fence=7, events=1)]
    assert node.over == [call]
    assert call.arguments == b""
    node.calls.receive(Seen(7, 1))
    node.calls.receive(Delivered((7,)))
    assert node.to_process() == [Seen(call.inner, 1), Delivered((call.inner,))]
    assert len(node.calls) == len(node.process.calls) == 0


def test_a_call_is_placed_when_its_arguments_are_whole() -> None:
    node = Node()
    gateway = open_link()
    node.dispatch(1, streams(gateway, LARGE + LARGE))
    node.dispatch(2, session="other")
    assert [call.call for call in node.placed] == [2]
    while deliver(gateway, node.link) or deliver(node.link, gateway) or gateway.has_output:
        pass
    assert [call.call for call in node.placed] == [2, 1]
    node.calls.pass_to(node.process, node.placed[1])
    (sent,) = node.to_process()
    assert isinstance(sent, Dispatch)
    assert sent.payload.size == 2 * len(LARGE)


def test_a_call_whose_arguments_never_come_holds_nothing() -> None:
    node = Node()
    node.dispatch(1, streams(open_link(), LARGE))
    assert node.placed == []
    assert node.reconnect() == []
    assert len(node.calls) == 0


def test_what_a_process_says_before_resumed_is_dropped_and_asked_for_again() -> None:
    node = Node()
    call = node.passed(1)
    named = node.reconnect()
    node.dispatch(1, name=2)  # a new gateway has given the number to another call
    large = streams(open_link(), LARGE)
    early = node.process_says(
        Started(call.inner),
        event(call.inner),
        Event(call.inner, 2, large),
        value(call.inner, 2),
    )
    assert early == []
    assert node.to_process() == [StreamStop(large.stream)]
    node.calls.resumed(named, (9,))
    assert node.to_process() == [Attach(call.inner)]
    said = node.process_says(Started(call.inner), event(call.inner), value(call.inner, 2))
    assert said == [Started(9), event(9), Finished(9, value(0).payload, fence=1, events=2)]


def test_an_outcome_of_the_nodes_own_is_said_again_by_the_node() -> None:
    node = Node()
    node.dispatch(1)
    (call,) = node.placed
    node.calls.finish(call, failure("cancelled", "no"))
    (first,) = sent_by(node.link)
    node.calls.resumed(node.reconnect(), (4,))
    (again,) = sent_by(node.link)
    assert isinstance(first, Finished) and isinstance(again, Finished)
    assert (first.call, again.call, first.payload) == (1, 4, again.payload)
    assert node.over == [call]


def test_a_call_that_was_stopped_says_why_and_not_what_the_process_reports() -> None:
    node = Node()
    call = node.passed()
    call.stopping = failure("timeout", "too long")
    (said,) = node.process_says(Finished(call.inner, Payload("msgpack", 1, b"x"), "raised"))
    assert isinstance(said, Finished)
    assert said.code == "timeout"
    call = node.passed(2)
    call.stopping = failure("timeout", "too long")
    (said,) = node.process_says(value(call.inner))  # it was quicker
    assert isinstance(said, Finished)
    assert said.code == ""


def test_what_the_gateway_wants_no_more_is_stopped_and_frees_its_process_when_it_ends() -> None:
    node = Node()
    call = node.passed()
    node.calls.resumed(node.reconnect(), (0,))
    assert node.stopped == [(call, False)]
    assert len(node.calls) == 0
    assert node.over == []  # the process is still busy with it
    assert node.process_says(Finished(call.inner, Payload(), "cancelled")) == []
    assert node.over == [call]
    assert node.to_process() == [Delivered((call.inner,))]
    assert node.process.calls == {}


def test_a_call_that_is_over_is_never_passed_on_again() -> None:
    node = Node()
    call = node.passed()
    node.process_says(value(call.inner))
    node.calls.receive(Delivered((1,)))
    node.dispatch(5, name=1)
    (said,) = sent_by(node.link)
    assert isinstance(said, Finished)
    assert (said.call, said.code) == (5, "lost")
    assert len(node.placed) == 1


def test_a_call_that_ends_here_while_its_process_runs_it_frees_the_process_when_that_ends() -> None:
    node = Node()
    call = node.passed()
    node.calls.fail(Cancel(1), "a mistake")
    (said,) = sent_by(node.link)
    assert isinstance(said, Finished)
    assert said.code == "internal"
    assert node.over == []
    assert node.process_says(event(call.inner)) == []  # nothing after the outcome
    node.calls.receive(Delivered((1,)))
    assert node.process_says(event(call.inner), value(call.inner)) == []
    assert node.over == [call]
    assert node.process.calls == {}


def test_a_process_that_dies_ends_its_calls_and_says_so_of_outcomes_that_went_with_it() -> None:
    node = Node()
    runs, over = node.passed(1), node.passed(2)
    node.process_says(value(over.inner, 3))
    crash = failure("crashed", "killed")
    for call in (runs, over):
        node.calls.lost(node.process, call, crash)
    said = sent_by(node.link)
    assert [(type(each), each.call, each.code, each.events) for each in said] == [  # type: ignore[union-attr]
        (Finished, 1, "crashed", 0),
        (Finished, 2, "crashed", 0),
    ]
    assert runs.state is over.state is CallState.FINISHED
    assert node.process.calls == {}


def test_a_call_that_waits_can_be_handed_back_and_come_again() -> None:
    node = Node()
    node.dispatch(1)
    node.calls.hand_back(node.placed)
    assert sent_by(node.link) == [HandBack((1,))]
    node.dispatch(2, name=1)
    assert [call.call for call in node.placed] == [1, 2]


def test_a_process_that_speaks_of_calls_that_it_does_not_have_is_told_to_forget_them() -> None:
    node = Node()
    assert node.process_says(Started(9), event(9), value(9)) == []
    assert node.to_process() == [Delivered((9,))]


# -- calls of one session keep their order ---------------------------------------------------------


def placed_numbers(node: Node) -> list[int]:
    return [call.call for call in node.placed]


def test_a_session_gets_its_calls_in_the_order_in_which_they_came() -> None:
    node, peer = Node(), open_link()
    node.dispatch(1, streams(peer, LARGE))
    node.dispatch(2)
    node.dispatch(3)
    assert placed_numbers(node) == []
    deliver(peer, node.link)
    assert placed_numbers(node) == [1, 2, 3]


def test_a_call_of_another_session_or_owner_waits_for_no_arguments_but_its_own() -> None:
    node, peer = Node(), open_link()
    node.dispatch(1, streams(peer, LARGE))
    node.dispatch(2, session="other")
    node.dispatch(3, owner="bob")
    assert placed_numbers(node) == [2, 3]


def test_arguments_that_break_off_let_the_next_call_of_the_session_go() -> None:
    node, peer = Node(), open_link()
    payload = streams(peer, LARGE)
    node.dispatch(1, payload)
    node.dispatch(2)
    peer.abort_stream(payload.stream)
    deliver(peer, node.link)
    assert placed_numbers(node) == [2]


def test_a_cancelled_call_whose_arguments_are_on_their_way_lets_the_next_one_go() -> None:
    node, peer = Node(), open_link()
    node.dispatch(1, streams(peer, LARGE))
    node.dispatch(2)
    node.calls.receive(Cancel(1))
    assert placed_numbers(node) == [2]


def test_a_call_that_was_cancelled_behind_another_is_not_placed() -> None:
    node, peer = Node(), open_link()
    node.dispatch(1, streams(peer, LARGE))
    node.dispatch(2)
    node.calls.receive(Cancel(2))
    (stopped, _) = node.stopped[0]
    node.calls.finish(stopped, failure("cancelled", "It did not run."))
    deliver(peer, node.link)
    assert placed_numbers(node) == [1]


def test_after_a_new_connection_what_waited_behind_lost_arguments_goes() -> None:
    node, peer = Node(), open_link()
    node.dispatch(1, streams(peer, LARGE))
    node.dispatch(2)
    node.reconnect()
    assert placed_numbers(node) == [2]


@pytest.fixture
def crowded() -> Iterator[tuple[Node, list[RelayedCall], Ledger]]:
    """A process that runs one call, has three more, and writes what it does into a ledger."""
    node = Node()
    file = memory_file()
    node.process.ledger, theirs = Ledger(file), Ledger(file)
    os.close(file)
    for number in range(1, 5):
        node.dispatch(number, session="")
    calls = list(node.placed)
    for call in calls:
        node.process.queue.append(call)
        node.calls.send_ahead(node.process, call)
    node.calls.begins(calls[0])
    theirs.begin(calls[0].inner)
    node.to_process()
    node.placed.clear()
    yield node, calls, theirs
    theirs.close()
    node.process.ledger.close()


def test_what_has_not_begun_can_be_taken_back_and_sent_once_more(
    crowded: tuple[Node, list[RelayedCall], Ledger],
) -> None:
    node, (first, second, third, _), ledger = crowded
    assert not node.calls.take_back(first)
    number = second.inner
    assert node.calls.take_back(second)
    assert (second.process, second.inner, second.state) == (None, 0, CallState.DISPATCHED)
    assert not ledger.begin(number)
    assert ledger.begin(third.inner)
    assert not node.calls.take_back(third)
    node.calls.send_ahead(node.process, second)
    assert ledger.begin(second.inner)
    (sent,) = node.to_process()
    assert isinstance(sent, Dispatch)
    assert (sent.call, sent.payload) == (second.inner, Payload("pickle5", 3, b"abc"))


def test_the_slot_of_a_call_that_was_taken_back_is_free_when_its_process_has_come_upon_it(
    crowded: tuple[Node, list[RelayedCall], Ledger],
) -> None:
    node, (_, second, third, fourth), _ = crowded
    numbers = [call.inner for call in (second, third, fourth)]
    assert all(node.calls.take_back(call) for call in (second, third, fourth))
    node.process.queue.clear()
    node.process.last = numbers[0] + SLOTS - 2
    assert node.process.is_free
    node.process.last += 1
    assert not node.process.is_free
    node.process_says(HandBack((numbers[0],)))
    assert node.free == [node.process]
    assert node.process.is_free
    assert node.placed == []


def test_a_call_that_was_taken_back_as_it_was_to_begin_is_placed_once_more(
    crowded: tuple[Node, list[RelayedCall], Ledger],
) -> None:
    node, (_, second, third, _), ledger = crowded
    for call in (second, third):
        assert ledger.begin(call.inner)
        assert not node.calls.take_back(call)
    node.calls.begins(second)
    third.stopping = failure("cancelled", "it was cancelled", may_have_run=False)
    said = node.process_says(HandBack((second.inner, third.inner)))
    assert node.placed == [second]
    assert (second.inner, second.state) == (0, CallState.DISPATCHED)
    assert [(each.call, each.code) for each in said if isinstance(each, Finished)] == [
        (3, "cancelled")
    ]


def test_outcomes_that_a_dead_process_had_no_time_to_send_are_taken_from_its_ledger(
    crowded: tuple[Node, list[RelayedCall], Ledger],
) -> None:
    node, calls, ledger = crowded
    for call in calls:
        call.function = CALL
    ledger.end(calls[0].inner, encode(value(calls[0].inner)))
    ledger.begin(calls[1].inner)
    ledger.end(calls[1].inner, b"what the function of a user has spoiled")
    ledger.begin(calls[2].inner)
    node.calls.hear_last(node.process)
    said = [each for each in sent_by(node.link) if isinstance(each, Finished)]
    assert said == [Finished(1, value(0).payload, fence=1)]
    assert [call.is_finished for call in calls] == [True, False, False, False]
    assert node.over == [calls[0]]
