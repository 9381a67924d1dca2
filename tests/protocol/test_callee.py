"""The side that runs: what is started, said, said again, and forgotten."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from easyremote.errors import ProtocolError
from easyremote.protocol.call import CallState, HeldCall
from easyremote.protocol.callee import (
    EVENT_WINDOW,
    EVENT_WINDOW_BYTES,
    Callee,
    LocalCall,
)
from easyremote.protocol.failures import unpack_error
from easyremote.protocol.frames import chunk_header, control_record
from easyremote.protocol.held import Outcome, failure, plain_outcome
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
    Ping,
    Seen,
    Started,
    StreamReset,
    StreamStop,
    encode,
)
from easyremote.protocol.streams import Buffer
from tests.protocol.wires import open_link, sent_by

LARGE = b"x" * (INLINE_LIMIT + 1)
INLINE = Payload("pickle5", 3, b"abc")
STREAMED = Payload("pickle5", len(LARGE), b"", 4)
VALUE = Outcome((b"val", b"ue"), 5, "pickle5", seconds=0.5)


class Log:
    """A runner that runs nothing: it keeps what it is asked."""

    def __init__(self) -> None:
        self.started: list[tuple[LocalCall, bytes]] = []
        self.cancelled: list[tuple[LocalCall, bool]] = []
        self.windows: list[LocalCall] = []

    def start(self, held: LocalCall, encoding: str, arguments: Buffer) -> None:
        assert encoding == "pickle5"
        self.started.append((held, bytes(arguments)))

    def cancel(self, held: LocalCall, *, kill: bool) -> None:
        self.cancelled.append((held, kill))

    def window_opened(self, held: LocalCall) -> None:
        self.windows.append(held)


class Running:
    """A callee on its own: the test plays the gateway and the functions."""

    def __init__(self) -> None:
        self.runner = Log()
        self.callee = Callee(self.runner)
        self.link = open_link()
        self.callee.attach(self.link)

    def connect(self) -> list[LocalCall]:
        """A new connection; the calls to name in RESUME."""
        self.callee.detach(self.link)
        self.link.close()
        self.link = open_link()
        return self.callee.attach(self.link)

    def tell(self, *messages: Message) -> list[Message]:
        """The gateway says something; the answer."""
        for message in messages:
            self.callee.receive(message)
        return self.sent()

    def sent(self) -> list[Message]:
        return sent_by(self.link)

    def dispatch(self, number: int = 1, payload: Payload = INLINE, fence: int = 1) -> LocalCall:
        self.callee.receive(dispatch(number, payload, fence))
        return next(held for held in self.callee.unfinished if held.call == number)

    def chunk(self, data: bytes, position: int = 0) -> None:
        for _ in self.link.receive_data(chunk_header(4, len(data), position) + data, 0.0):
            pass

    def reset(self) -> None:
        for _ in self.link.receive_data(control_record(encode(StreamReset(4))), 0.0):
            pass


def dispatch(number: int, payload: Payload = INLINE, fence: int = 1, name: int = 0) -> Dispatch:
    call_id = (name or number).to_bytes(16, "big")
    copy = Payload(payload.encoding, payload.size, payload.data, payload.stream)
    return Dispatch(number, call_id, fence, "f", copy, "s", 2.0, "alice")


def finished(number: int = 1, fence: int = 1, events: int = 0) -> Finished:
    return Finished(number, Payload("pickle5", 5, b"value"), "", True, 0.5, fence, events)


# -- running ---------------------------------------------------------------------------------------


def test_a_call_is_started_with_its_arguments_and_finishes_once() -> None:
    running = Running()
    held = running.dispatch()
    assert running.runner.started == [(held, b"abc")]
    assert (held.function, held.session, held.timeout, held.owner) == ("f", "s", 2.0, "alice")
    running.callee.started(held)
    running.callee.started(held)
    running.callee.finish(held, VALUE)
    running.callee.finish(held, failure("lost", "no"))
    assert running.sent() == [Started(1), finished()]
    assert held.state is CallState.FINISHED
    running.callee.receive(Delivered((1,)))
    assert held.call_id in running.callee, "it is still known: nobody starts it again"
    assert b"another" not in running.callee


def test_a_call_is_started_when_its_arguments_are_whole() -> None:
    running = Running()
    held = running.dispatch(payload=STREAMED)
    running.chunk(LARGE[:100])
    assert running.runner.started == []
    assert not held.has_arguments
    running.chunk(LARGE[100:], 100)
    assert running.runner.started == [(held, LARGE)]


def test_a_call_whose_arguments_break_off_never_starts() -> None:
    running = Running()
    held = running.dispatch(payload=STREAMED)
    running.reset()
    assert len(running.callee) == 0
    assert list(running.callee.unfinished) == []
    assert running.connect() == []
    assert running.runner.started == []
    assert held.state is CallState.DISPATCHED


def test_a_call_whose_arguments_are_not_whole_goes_with_the_connection() -> None:
    running = Running()
    running.dispatch(payload=STREAMED)
    assert running.connect() == []


def test_a_call_whose_arguments_are_announced_wrongly_goes_with_the_connection() -> None:
    running = Running()
    with pytest.raises(ProtocolError, match="stream 4 is announced wrongly"):
        running.callee.receive(dispatch(1, Payload("pickle5", 0, b"", 4)))
    assert running.connect() == []
    assert len(running.callee) == 0


def test_arguments_that_can_not_be_taken_fail_their_call_and_no_other() -> None:
    running = Running()
    stop, answer = running.tell(dispatch(1, Payload("pickle5", 1 << 50, b"", 4)))
    assert stop == StreamStop(4)
    assert isinstance(answer, Finished)
    code, text, details = unpack_error(answer.payload.data)
    assert (code, answer.may_have_run, details["may_have_run"]) == ("cannot-ship", False, False)
    assert "can't take the arguments of f(): a payload of 1,125,899,906,842,624 bytes" in text
    assert running.dispatch(2).has_arguments
    running.tell(Delivered((1,)))
    assert len(running.callee) == 1


@pytest.mark.parametrize("payload", [INLINE, STREAMED], ids=["inline", "streamed"])
def test_a_call_that_can_not_be_started_fails_and_the_shell_hears_of_it(
    payload: Payload, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(held: LocalCall, encoding: str, arguments: Buffer) -> None:
        raise ZeroDivisionError("a mistake")

    running = Running()
    monkeypatch.setattr(running.runner, "start", start)
    with pytest.raises(ZeroDivisionError):  # the shell logs it
        running.callee.receive(dispatch(1, payload))
        running.chunk(LARGE)
    (answer,) = [message for message in running.sent() if isinstance(message, Finished)]
    code, text, details = unpack_error(answer.payload.data)
    assert (code, details["may_have_run"]) == ("internal", True)
    assert "ZeroDivisionError" in text


def test_what_is_unfinished_is_counted_and_what_is_finished_still_held() -> None:
    running = Running()
    first, second = running.dispatch(1), running.dispatch(2)
    running.callee.finish(first, VALUE)
    assert list(running.callee.unfinished) == [second]
    assert len(running.callee) == 2


def test_a_large_outcome_is_offered_as_a_stream() -> None:
    running = Running()
    held = running.dispatch()
    running.callee.finish(held, Outcome((LARGE,), len(LARGE), "pickle5"))
    (message,) = running.sent()
    assert isinstance(message, Finished)
    assert message.payload == Payload("pickle5", len(LARGE), b"", 1)


def test_what_is_no_message_for_a_node_is_ignored() -> None:
    running = Running()
    running.dispatch()
    assert running.tell(Ping(), Started(1)) == []


def test_messages_about_unknown_calls_are_ignored() -> None:
    running = Running()
    assert running.tell(Seen(9, 1), Cancel(9), Attach(9), Delivered((9,))) == []


# -- the same call again ---------------------------------------------------------------------------


def test_a_call_that_is_here_is_never_started_again_but_says_how_it_stands() -> None:
    running = Running()
    held = running.dispatch()
    running.callee.started(held)
    running.callee.emit(held, (b"item",), 4, "pickle5")
    running.sent()
    again = [Started(7), Event(7, 1, Payload("pickle5", 4, b"item"))]
    assert running.tell(dispatch(7, fence=2, name=1)) == again
    running.callee.finish(held, VALUE)
    assert running.sent() == [finished(7, fence=2, events=1)]
    assert len(running.runner.started) == 1


def test_an_older_fence_changes_nothing() -> None:
    running = Running()
    held = running.dispatch(fence=5)
    running.callee.started(held)
    running.sent()
    assert running.tell(dispatch(7, STREAMED, fence=4, name=1)) == [StreamStop(4)]
    assert (held.call, held.fence) == (1, 5)


def test_a_call_that_is_over_is_never_started_again() -> None:
    running = Running()
    held = running.dispatch()
    running.callee.finish(held, VALUE)
    running.sent()
    assert running.tell(Delivered((1,))) == []
    assert len(running.callee) == 0
    stop, message = running.tell(dispatch(7, STREAMED, fence=3, name=1))
    assert stop == StreamStop(4)
    assert isinstance(message, Finished)
    assert (message.call, message.code, message.fence) == (7, "lost", 3)
    assert message.may_have_run
    assert unpack_error(message.payload.data)[0] == "lost"
    assert len(running.runner.started) == 1


def test_only_so_many_calls_that_are_over_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("easyremote.protocol.tombstones.TOMBSTONES", 3)
    running = Running()
    for number in range(1, 7):
        running.callee.finish(running.dispatch(number), VALUE)
        running.tell(Delivered((number,)))
    (message,) = running.tell(dispatch(7, name=4))
    assert isinstance(message, Finished)
    assert message.code == "lost"
    assert running.tell(dispatch(8, name=1)) == []  # forgotten, as one of the oldest
    assert len(running.runner.started) == 7


def test_delivered_before_the_end_is_ignored() -> None:
    running = Running()
    held = running.dispatch()
    assert running.tell(Delivered((1,))) == []
    running.callee.finish(held, VALUE)
    assert running.sent() == [finished()]


# -- events ----------------------------------------------------------------------------------------


def test_the_window_of_events_closes_by_number_and_opens_when_they_are_seen() -> None:
    running = Running()
    held = running.dispatch()
    for _ in range(EVENT_WINDOW):
        assert held.window_is_open
        running.callee.emit(held, (b"x",), 1, "pickle5")
    assert not held.window_is_open
    running.tell(Seen(1, 0))
    assert running.runner.windows == []
    running.tell(Seen(1, 2))
    assert running.runner.windows == [held]
    assert (len(held.unseen), held.unseen_bytes) == (EVENT_WINDOW - 2, EVENT_WINDOW - 2)


def test_the_window_of_events_closes_by_size() -> None:
    running = Running()
    held = running.dispatch()
    running.callee.emit(held, (bytes(EVENT_WINDOW_BYTES),), EVENT_WINDOW_BYTES, "pickle5")
    assert not held.window_is_open
    running.tell(Seen(1, 1), Seen(1, 1))
    assert held.window_is_open
    assert held.unseen_bytes == 0


def test_nobody_is_asked_for_more_events_when_the_call_is_over() -> None:
    running = Running()
    held = running.dispatch()
    running.callee.emit(held, (b"x",), 1, "pickle5")
    running.callee.finish(held, VALUE)
    running.tell(Seen(1, 1))
    assert running.runner.windows == []
    assert not held.unseen


def test_who_waits_anew_is_told_what_was_not_seen() -> None:
    running = Running()
    held = running.dispatch()
    assert running.tell(Attach(1)) == []
    for item in (b"1", b"2", b"3"):
        running.callee.emit(held, (item,), 1, "pickle5")
    running.callee.started(held)
    running.callee.finish(held, VALUE)
    running.sent()
    unseen = Event(1, 3, Payload("pickle5", 1, b"3"))
    assert running.tell(Seen(1, 2), Attach(1)) == [Started(1), unseen, finished(events=3)]


# -- cancel ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kill", [False, True])
def test_a_cancel_goes_to_the_runner_whose_word_counts(kill: bool) -> None:
    running = Running()
    held = running.dispatch()
    assert running.tell(Cancel(1, kill)) == []
    assert running.runner.cancelled == [(held, kill)]
    running.callee.finish(held, VALUE)
    running.tell(Cancel(1, kill))
    assert len(running.runner.cancelled) == 1


def test_a_call_that_is_cancelled_before_its_arguments_are_here_did_not_run() -> None:
    running = Running()
    running.dispatch(payload=STREAMED)
    running.sent()
    (message,) = running.tell(Cancel(1))
    assert isinstance(message, Finished)
    assert (message.code, message.may_have_run) == ("cancelled", False)
    running.chunk(LARGE)
    assert running.runner.started == []


def test_what_ended_before_its_arguments_were_here_is_said_after_a_reconnection() -> None:
    running = Running()
    held = running.dispatch(payload=STREAMED)
    running.tell(Cancel(1))
    named = running.connect()
    assert named == [held]
    running.callee.resumed(named, (3,))
    *_, message = running.sent()
    assert isinstance(message, Finished)
    assert (message.call, message.code) == (3, "cancelled")


# -- connections -----------------------------------------------------------------------------------


def test_without_a_connection_calls_go_on_and_nothing_is_lost() -> None:
    running = Running()
    held = running.dispatch()
    running.callee.detach(running.link)
    running.callee.started(held)
    running.callee.emit(held, (b"x",), 1, "pickle5")
    running.callee.finish(held, VALUE)
    named = running.connect()
    assert named == [held]
    assert running.sent() == []
    running.callee.resumed(named, (5,))
    event = Event(5, 1, Payload("pickle5", 1, b"x"))
    assert running.sent() == [Started(5), event, finished(5, events=1)]


def test_the_end_of_an_older_connection_changes_nothing() -> None:
    running = Running()
    older = running.link
    running.connect()
    running.callee.detach(older)
    running.callee.started(running.dispatch())
    assert running.sent() == [Started(1)]


def test_between_a_new_connection_and_its_answer_nothing_is_said_of_older_calls() -> None:
    running = Running()
    older = running.dispatch(1)
    running.connect()
    newer = running.dispatch(1, INLINE)  # the gateway's number 1 is another call's by now
    assert newer is older  # the same id: it was dispatched again
    running.connect()
    running.callee.receive(dispatch(1, name=2))
    running.callee.started(older)
    running.callee.emit(older, (b"x",), 1, "pickle5")
    running.callee.finish(older, VALUE)
    assert running.sent() == []


def test_a_call_gets_its_new_number_though_its_old_one_is_taken() -> None:
    running = Running()
    older = running.dispatch(1)
    named = running.connect()
    running.callee.receive(dispatch(1, name=2))
    running.callee.resumed(named, (9,))
    running.callee.started(older)
    assert running.sent() == [Started(9)]
    running.callee.started(running.runner.started[-1][0])
    assert running.sent() == [Started(1)]


def test_what_the_gateway_wants_no_more_is_stopped_and_forgotten() -> None:
    running = Running()
    runs, over = running.dispatch(1), running.dispatch(2)
    running.callee.finish(over, VALUE)
    running.callee.resumed(running.connect(), (0, 0))
    assert running.runner.cancelled == [(runs, False)]
    assert len(running.callee) == 0
    (message,) = running.tell(dispatch(3, name=1))
    assert isinstance(message, Finished)
    assert message.code == "lost"


# -- what can't be handled -------------------------------------------------------------------------


def code_of(messages: list[Message]) -> tuple[int, str, bool]:
    """The number, the code and whether it may have run, of the one outcome, an error."""
    (finished,) = [message for message in messages if isinstance(message, Finished)]
    assert unpack_error(finished.payload.data)[0] == finished.code
    return finished.call, finished.code, finished.may_have_run


def test_a_dispatch_that_could_not_be_handled_is_answered_and_not_kept() -> None:
    running = Running()
    running.callee.fail(dispatch(1), "a mistake")
    assert code_of(running.sent()) == (1, "internal", True)
    assert len(running.callee) == 0
    running.callee.detach(running.link)
    running.callee.fail(dispatch(2), "a mistake without a connection")
    assert running.sent() == []


def test_the_call_of_a_message_that_could_not_be_handled_ends_once() -> None:
    running = Running()
    running.dispatch(1)
    running.callee.fail(Cancel(1), "a mistake")
    assert code_of(running.sent()) == (1, "internal", True)
    for message in (Cancel(1), Cancel(9), Delivered((1,))):
        running.callee.fail(message, "another")
    assert running.sent() == []


def test_plain_values_travel_without_pickle() -> None:
    outcome = plain_outcome({"a": [1, b"2"]})
    assert (outcome.encoding, outcome.code) == ("msgpack", "")
    assert msgspec.msgpack.decode(outcome.parts[0]) == {"a": [1, b"2"]}


# -- handing back ----------------------------------------------------------------------------------


def test_what_did_not_start_is_handed_back_and_may_come_again() -> None:
    running = Running()
    calls = [running.dispatch(1), running.dispatch(2)]
    running.callee.hand_back(calls)
    assert running.sent() == [HandBack((1, 2))]
    assert len(running.callee) == 0
    running.callee.hand_back([])
    assert running.tell(dispatch(3, name=1)) == []
    assert len(running.runner.started) == 3


def test_what_is_handed_back_before_the_gateway_has_answered_is_said_with_its_new_number() -> None:
    running = Running()
    held = running.dispatch(1)
    named = running.connect()
    running.callee.hand_back([held])
    assert running.sent() == []
    running.callee.resumed(named, (9,))
    assert running.sent() == [HandBack((9,))]


def test_what_is_handed_back_and_not_wanted_any_more_is_over() -> None:
    running = Running()
    held = running.dispatch(1)
    named = running.connect()
    running.callee.hand_back([held])
    running.callee.resumed(named, (0,))
    assert running.sent() == []


def test_arguments_of_a_call_that_was_handed_back_do_not_start_its_successor() -> None:
    running = Running()
    running.callee.hand_back([running.dispatch(payload=STREAMED)])
    later = Payload("pickle5", len(LARGE), b"", 5)
    running.dispatch(payload=later, fence=2)
    running.chunk(LARGE)
    assert running.runner.started == []


def test_a_reset_of_what_was_handed_back_already_changes_nothing() -> None:
    running = Running()
    running.callee.hand_back([running.dispatch(payload=STREAMED)])
    successor = running.dispatch(fence=2)
    running.reset()
    assert list(running.callee.unfinished) == [successor]


def test_handing_back_without_a_connection_says_nothing() -> None:
    running = Running()
    held = running.dispatch()
    running.callee.detach(running.link)
    running.callee.hand_back([held])
    assert running.sent() == []
    assert len(running.callee) == 0


def test_a_call_that_was_taken_back_is_given_back_and_runs_if_it_has_come_once_more() -> None:
    running = Running()
    running.tell(Dispatch(1, b"a" * 16, 1, "f", INLINE))
    ((held, _),) = running.runner.started
    assert not running.callee.not_run(held, 1)
    assert running.sent() == [HandBack((1,))]
    running.tell(Dispatch(2, b"a" * 16, 1, "f", INLINE))  # as a new one
    _, (again, _) = running.runner.started
    running.tell(Dispatch(3, b"a" * 16, 1, "f", INLINE))  # before it was come upon
    assert len(running.runner.started) == 2
    assert running.callee.not_run(again, 2)
    assert running.sent() == [HandBack((2,))]
    running.callee.finish(again, VALUE)
    (said,) = running.sent()
    assert isinstance(said, Finished)
    assert said.call == 3


@pytest.mark.parametrize(
    ("function", "is_function"), [("f", True), ("$call", True), ("$cell", False), ("$have", False)]
)
def test_functions_are_told_from_cells_and_questions(function: str, is_function: bool) -> None:
    held = LocalCall(1, bytes(16), 1, function, "", "alice", 0.0, 0.0, 0.0, "")
    assert held.is_function == is_function


# -- durable calls ---------------------------------------------------------------------------------


class Disk:
    """A spool whose disk is as slow as a test says."""

    def __init__(self) -> None:
        self.writing: list[Callable[[], None]] = []
        self.forgotten: list[HeldCall] = []

    def keep(self, held: HeldCall, outcome: Outcome, then: Callable[[], None]) -> None:
        assert outcome == VALUE
        self.writing.append(then)

    def forget(self, held: HeldCall) -> None:
        self.forgotten.append(held)


def durable(disk: Disk) -> tuple[Running, LocalCall]:
    running = Running()
    running.callee = Callee(running.runner, spool=disk)
    running.callee.attach(running.link)
    message = dispatch(1)
    message.durable = True
    running.tell(message)
    (held,) = running.callee.unfinished
    return running, held


def test_the_outcome_of_a_durable_call_is_said_when_it_is_on_the_disk() -> None:
    disk = Disk()
    running, held = durable(disk)
    running.callee.started(held)
    running.callee.finish(held, VALUE)
    assert running.sent() == [Started(1)]
    assert running.tell(Attach(1)) == [Started(1)]  # nor is it said again before
    disk.writing.pop()()
    assert running.sent() == [finished()]
    assert running.tell(Attach(1)) == [Started(1), finished()]
    assert disk.forgotten == []
    running.tell(Delivered((1,)))
    assert disk.forgotten == [held]
    assert disk.writing == []


def test_an_outcome_that_is_on_the_disk_too_late_is_not_said() -> None:
    disk = Disk()
    running, held = durable(disk)
    running.callee.finish(held, VALUE)
    named = running.connect()
    running.callee.resumed(named, [0])
    assert disk.forgotten == [held]
    disk.writing.pop()()
    assert running.sent() == []


def test_a_durable_call_that_is_handed_back_is_forgotten() -> None:
    disk = Disk()
    running, held = durable(disk)
    running.callee.hand_back([held])
    assert disk.forgotten == [held]


def test_a_call_of_a_process_before_is_brought_back_with_its_outcome_and_never_runs() -> None:
    disk = Disk()
    running = Running()
    running.callee = Callee(running.runner, spool=disk)
    call_id = (1).to_bytes(16, "big")
    running.callee.revive(call_id, 7, "f", VALUE)
    (held,) = running.connect()
    assert (held.call_id, held.fence) == (call_id, 7)
    assert running.callee.unfinished == []
    assert running.sent() == []
    running.callee.resumed([held], [5])
    assert running.sent() == [Started(5), finished(5, 7)]
    assert running.tell(dispatch(6, fence=8, name=1)) == [Started(6), finished(6, 8)]
    assert running.tell(Delivered((6,))) == []
    assert disk.forgotten == [held]
    assert running.runner.started == []


def test_a_side_without_a_disk_says_the_outcome_of_a_durable_call_at_once() -> None:
    running = Running()
    message = dispatch(1)
    message.durable = True
    running.tell(message)
    (held,) = running.callee.unfinished
    running.callee.finish(held, VALUE)
    assert running.sent() == [finished()]
    assert running.tell(Delivered((1,))) == []
    assert len(running.callee) == 0


# -- handing over ----------------------------------------------------------------------------------


def test_another_process_holds_the_calls_and_knows_those_that_are_over() -> None:
    before, after = Running(), Running()
    held, over = before.dispatch(1), before.dispatch(2)
    for each in (held, over):
        before.callee.finish(each, VALUE)
    before.callee.receive(Delivered((2,)))
    after.callee.take_over(before.callee.all, before.callee.forgotten)
    assert after.connect() == [held]
    after.callee.resumed([held], [5])
    assert after.sent() == [Started(5), finished(5)]
    (refused,) = after.tell(dispatch(6, name=2))
    assert isinstance(refused, Finished)
    assert (refused.call, refused.code) == (6, "lost")
