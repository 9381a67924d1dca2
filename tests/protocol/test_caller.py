"""The side that asks: submitting, resuming, ending; each outcome exactly once."""

from __future__ import annotations

import pytest

from easyremote.errors import CallLost, CallTimeout
from easyremote.gateway.records import MAX_CALLS, TAKEN
from easyremote.protocol.answers import (
    DELIVER_AFTER,
    DELIVER_AT_ONCE,
    UNSURE,
    UNSURE_SECONDS,
    OutstandingCall,
)
from easyremote.protocol.caller import GRACE, RECONNECT_LIMIT, Caller
from easyremote.protocol.failures import pack_error, unpack_error
from easyremote.protocol.frames import chunk_header
from easyremote.protocol.messages import (
    INLINE_LIMIT,
    Cancel,
    Delivered,
    Event,
    Finished,
    GoingAway,
    HandBack,
    Message,
    NodeAway,
    Payload,
    Resume,
    Resumed,
    Seen,
    Started,
    StreamStop,
    Submit,
)
from tests.protocol.wires import open_link, sent_by
from tests.protocol.world import Waiting

LARGE = b"x" * (INLINE_LIMIT + 1)
VALUE = Payload("pickle5", 3, b"abc")


class Asking:
    """A caller on its own: the test plays the gateway."""

    def __init__(self, *, connected: bool = True, max_calls: int = 10) -> None:
        self.now = 100.0
        self.caller = Caller()
        self.link = open_link()
        if connected:
            self.connect(max_calls)

    def connect(self, max_calls: int = 10) -> list[Message]:
        """A new connection; what is said first on it."""
        self.caller.detach(self.link, self.now)
        self.link = open_link(self.now)
        self.caller.attach(self.link, max_calls, self.now)
        return self.sent()

    def cut(self) -> None:
        self.caller.detach(self.link, self.now)

    def submit(
        self, argument: bytes = b"abc", timeout: float = 0.0, function: str = "f"
    ) -> OutstandingCall:
        sink = Waiting(argument)
        submit = Submit(0, len(self.caller).to_bytes(16, "big"), "n", function, Payload())
        submit.timeout = timeout
        return self.caller.submit(submit, (argument,), len(argument), "pickle5", sink, self.now)

    def tell(self, *messages: Message) -> list[Message]:
        """The gateway says something; the answer."""
        for message in messages:
            self.caller.receive(message, self.now)
        self.caller.flush(self.now)
        return self.sent()

    def acknowledged(self) -> list[Message]:
        """What is said when the moment for it has come."""
        self.now += DELIVER_AFTER
        self.caller.handle_timeout(self.now)
        return self.sent()

    def sent(self) -> list[Message]:
        return sent_by(self.link)


def waiting(call: OutstandingCall) -> Waiting:
    assert isinstance(call.sink, Waiting)
    return call.sink


def error_of(call: OutstandingCall) -> tuple[str, bool]:
    """The code of the error that a call ended with, and whether it may have run."""
    ((code, body),) = waiting(call).outcomes
    assert unpack_error(body)[0] == code
    return code, bool(unpack_error(body)[2]["may_have_run"])


def numbers(messages: list[Message]) -> list[int]:
    return [message.call for message in messages if isinstance(message, Submit)]


# -- there and back --------------------------------------------------------------------------------


def test_a_call_is_sent_at_once_and_its_outcome_is_acknowledged() -> None:
    asking = Asking()
    call = asking.submit()
    (submit,) = asking.sent()
    assert submit == Submit(1, bytes(16), "n", "f", VALUE)
    assert asking.tell(Started(1, "n"), Started(1, "n")) == []
    assert asking.tell(Finished(1, VALUE)) == []
    assert waiting(call).starts == 1
    assert waiting(call).outcomes == [("", b"abc")]
    assert len(asking.caller) == 0
    asking.caller.handle_timeout(asking.now)
    assert asking.sent() == []
    assert asking.acknowledged() == [Delivered((1,))]
    assert asking.acknowledged() == []


def test_an_acknowledgement_goes_before_a_call_for_which_it_makes_room() -> None:
    asking = Asking(max_calls=2)
    asking.submit()
    asking.tell(Finished(1, VALUE))
    asking.submit()
    assert numbers(asking.sent()) == [2]
    asking.submit()
    delivered, submit = asking.sent()
    assert delivered == Delivered((1,))
    assert numbers([submit]) == [3]


def test_many_acknowledgements_go_at_once() -> None:
    asking = Asking(max_calls=DELIVER_AT_ONCE)
    for _ in range(DELIVER_AT_ONCE):
        asking.submit()
    asking.sent()
    for number in range(1, DELIVER_AT_ONCE):
        assert asking.tell(Finished(number, VALUE)) == []
    (delivered,) = asking.tell(Finished(DELIVER_AT_ONCE, VALUE))
    assert delivered == Delivered(tuple(range(1, DELIVER_AT_ONCE + 1)))


def test_a_large_outcome_is_acknowledged_at_once() -> None:
    asking = Asking()
    call = asking.submit()
    asking.sent()
    asking.tell(Finished(1, Payload("pickle5", 3, b"", 4)))
    for _ in asking.link.receive_data(chunk_header(4, 3) + b"abc", asking.now):
        pass
    asking.caller.flush(asking.now)
    assert waiting(call).outcomes == [("", b"abc")]
    assert asking.sent() == [Delivered((1,))]


def test_a_second_outcome_is_acknowledged_and_dropped() -> None:
    asking = Asking()
    call = asking.submit()
    asking.sent()
    assert asking.tell(Finished(1, VALUE), Finished(1, VALUE)) == []
    assert asking.acknowledged() == [Delivered((1,))]
    assert asking.tell(Finished(1, Payload("pickle5", len(LARGE), b"", 4))) == [StreamStop(4)]
    assert asking.acknowledged() == [Delivered((1,))]
    assert waiting(call).outcomes == [("", b"abc")]


def test_an_outcome_that_comes_whole_after_the_call_was_given_up_is_dropped() -> None:
    asking = Asking()
    call = asking.submit(timeout=1.0)
    asking.sent()
    asking.tell(Finished(1, Payload("pickle5", 3, b"", 4)))
    asking.now += 1.0 + GRACE
    asking.caller.handle_timeout(asking.now)
    for _ in asking.link.receive_data(chunk_header(4, 3) + b"abc", asking.now):
        pass
    assert error_of(call) == ("timeout", True)


def test_what_is_said_of_a_call_that_is_over_is_dropped() -> None:
    asking = Asking()
    large = Payload("pickle5", len(LARGE), b"", 4)
    assert asking.tell(Started(9), Event(9, 1, VALUE), Event(9, 2, large)) == [StreamStop(4)]


def test_what_is_no_message_for_a_client_is_ignored() -> None:
    asking = Asking()
    call = asking.submit()
    asking.sent()
    assert asking.tell(Cancel(1), Seen(1, 1)) == []
    assert waiting(call).outcomes == []


# -- how many at a time ----------------------------------------------------------------------------


def test_calls_above_the_gateways_limit_wait_here_in_order() -> None:
    asking = Asking(max_calls=2)
    for _ in range(4):
        asking.submit()
    assert numbers(asking.sent()) == [1, 2]
    assert numbers(asking.tell(Finished(2, VALUE))) == [3]
    assert numbers(asking.tell(Finished(1, VALUE), Finished(3, VALUE))) == [4]


def test_without_a_connection_calls_wait_and_a_cancelled_one_is_never_sent() -> None:
    asking = Asking(connected=False)
    first, second = asking.submit(), asking.submit()
    asking.caller.cancel(first)
    assert error_of(first) == ("cancelled", False)
    assert numbers(asking.connect()) == [second.call]


# -- events ----------------------------------------------------------------------------------------


def test_events_are_shown_in_order_whatever_order_they_come_in() -> None:
    asking = Asking()
    call = asking.submit()
    asking.sent()
    third, first, second = (Event(1, seq, Payload("p", 1, b"%d" % seq)) for seq in (3, 1, 2))
    asking.tell(third)
    assert waiting(call).events == []
    asking.tell(first, second)
    assert waiting(call).events == [b"1", b"2", b"3"]


def test_the_outcome_is_shown_after_the_last_event() -> None:
    asking = Asking()
    call = asking.submit()
    asking.sent()
    assert asking.tell(Finished(1, VALUE, events=2)) == []
    assert asking.tell(Event(1, 2, VALUE)) == []
    assert waiting(call).outcomes == []
    assert asking.tell(Event(1, 1, VALUE)) == []
    assert waiting(call).outcomes == [("", b"abc")]
    assert asking.acknowledged() == [Delivered((1,))]


def test_consumed_events_are_acknowledged_and_so_are_those_that_come_again() -> None:
    asking = Asking()
    call = asking.submit()
    asking.sent()
    asking.tell(Event(1, 1, VALUE), Event(1, 2, VALUE))
    asking.caller.seen(call, 1)
    assert asking.sent() == [Seen(1, 1)]
    assert asking.tell(Event(1, 1, VALUE)) == [Seen(1, 1)]
    assert asking.tell(Event(1, 2, VALUE)) == []  # here, but nobody has consumed it yet
    assert len(waiting(call).events) == 2


def test_what_is_consumed_without_a_connection_is_said_when_the_event_comes_again() -> None:
    asking = Asking()
    call = asking.submit()
    asking.tell(Event(1, 1, VALUE))
    asking.cut()
    asking.caller.seen(call, 1)
    asking.connect()
    assert asking.tell(Resumed((1,)), Event(1, 1, VALUE)) == [Seen(1, 1)]


def test_nothing_is_said_of_events_when_the_call_is_over() -> None:
    asking = Asking()
    call = asking.submit()
    asking.tell(Event(1, 1, VALUE), Finished(1, VALUE, events=1))
    asking.caller.seen(call, 1)
    assert asking.sent() == []


# -- cancel ----------------------------------------------------------------------------------------


def test_a_cancel_is_sent_and_the_outcome_tells_what_came_of_it() -> None:
    asking = Asking()
    call = asking.submit()
    asking.sent()
    asking.caller.cancel(call)
    asking.caller.cancel(call, kill=True)
    assert asking.sent() == [Cancel(1), Cancel(1, kill=True)]
    asking.tell(Finished(1, VALUE))
    asking.caller.cancel(call)
    assert asking.sent() == []
    assert waiting(call).outcomes == [("", b"abc")]


@pytest.mark.parametrize("kill", [False, True])
def test_a_cancel_without_a_connection_is_said_on_the_next_one(kill: bool) -> None:
    asking = Asking()
    known, unknown = asking.submit(), asking.submit()
    asking.cut()
    for call in (known, unknown):
        asking.caller.cancel(call, kill=kill)
        asking.caller.cancel(call)  # does not take the kill back
    asking.connect()
    answer = asking.tell(Resumed((1, 0)))
    assert [message for message in answer if isinstance(message, Cancel)] == [
        Cancel(1, kill),
        Cancel(2, kill),
    ]


# -- connections -----------------------------------------------------------------------------------


def test_a_new_connection_resumes_what_was_sent_and_sends_what_was_not() -> None:
    asking = Asking(max_calls=2)
    for _ in range(3):
        asking.submit()
    asking.tell(Started(2, "n"))
    asking.cut()
    resume, *more = asking.connect(max_calls=3)
    ids = tuple(number.to_bytes(16, "big") for number in (0, 1))
    assert resume == Resume(ids, (1, 2), (), (False, True))
    assert numbers(more) == [3]


def test_an_outcome_whose_confirmation_may_be_lost_is_confirmed_again() -> None:
    """Else its node would keep it for minutes."""
    asking = Asking()
    for _ in range(3):
        asking.submit()
    asking.tell(Finished(1, VALUE))
    assert asking.acknowledged() == [Delivered((1,))]  # it may not have arrived
    asking.tell(Finished(2, VALUE))  # and here there was no time for one
    resume, *_ = asking.connect()
    ids = tuple(number.to_bytes(16, "big") for number in (2, 0, 1))
    assert resume == Resume(ids, (3, 1, 2), (), (False, True, True))
    assert asking.connect() == [resume], "the connection broke again before the answer"
    asking.tell(Resumed((3, 1, 0)), Finished(1, VALUE))  # the gateway does not know the last one
    assert asking.acknowledged() == [Delivered((1,))]
    (resume,) = asking.connect()
    assert isinstance(resume, Resume)
    assert resume.numbers == (3, 1)


def test_a_call_that_ended_here_while_there_was_no_connection_is_stopped_and_confirmed() -> None:
    asking = Asking()
    for _ in range(2):
        asking.submit(timeout=1.0)
    asking.cut()
    asking.now += 1.0 + GRACE
    asking.caller.handle_timeout(asking.now)
    assert len(asking.caller) == 0
    (resume,) = asking.connect()
    assert isinstance(resume, Resume)
    assert resume.numbers == (1, 2)
    assert asking.tell(Resumed((1, 0))) == [Cancel(1)]
    asking.tell(Finished(1, VALUE))
    assert asking.acknowledged() == [Delivered((1,))]
    asking.link.last_received += UNSURE_SECONDS + 1.0
    assert asking.connect() == []


def test_of_many_calls_that_ended_here_the_last_ones_are_named() -> None:
    asking = Asking(max_calls=UNSURE + 2)
    for _ in range(UNSURE + 2):
        asking.submit(timeout=1.0)
    asking.cut()
    asking.now += 1.0 + GRACE
    asking.caller.handle_timeout(asking.now)
    (resume,) = asking.connect()
    assert isinstance(resume, Resume)
    assert resume.numbers == tuple(range(3, UNSURE + 3))


def test_a_confirmation_that_must_have_arrived_is_not_in_doubt() -> None:
    asking = Asking()
    asking.submit()
    asking.tell(Finished(1, VALUE))
    asking.acknowledged()
    asking.link.last_received += UNSURE_SECONDS + 1.0
    assert asking.connect() == []


def test_no_more_are_in_doubt_than_the_gateway_takes_beyond_its_limit() -> None:
    asking = Asking(max_calls=2 * UNSURE)
    for number in range(1, 2 * UNSURE + 1):
        asking.submit()
        asking.tell(Finished(number, VALUE))
    (resume,) = asking.connect()
    assert isinstance(resume, Resume)
    assert resume.numbers == tuple(range(UNSURE + 1, 2 * UNSURE + 1))
    assert UNSURE <= TAKEN - MAX_CALLS


def test_the_end_of_an_older_connection_changes_nothing() -> None:
    asking = Asking()
    older = asking.link
    asking.connect()
    asking.caller.detach(older, asking.now)
    asking.submit()
    assert numbers(asking.sent()) == [1]


def test_what_the_gateway_does_not_know_is_submitted_again_with_its_age() -> None:
    asking = Asking()
    asking.submit(LARGE)
    asking.now += 7.0
    asking.connect()
    (again,) = [each for each in asking.tell(Resumed((0,))) if isinstance(each, Submit)]
    assert (again.call, again.age) == (1, 7.0)
    assert again.payload == Payload("pickle5", len(LARGE), b"", 1)


def test_what_the_gateway_does_not_know_and_had_started_is_lost() -> None:
    asking = Asking()
    started, finished = asking.submit(), asking.submit()
    asking.tell(Started(1), Finished(2, VALUE, events=1))  # and its event never came
    asking.connect()
    assert asking.tell(Resumed((0, 0))) == []
    assert error_of(started) == error_of(finished) == ("lost", True)


def test_a_call_that_has_ended_here_since_is_stopped() -> None:
    asking = Asking()
    call = asking.submit(timeout=1.0)
    asking.connect()
    asking.caller.fail_all(CallLost("gone"))
    assert asking.tell(Resumed((1,))) == [Cancel(1)]
    assert error_of(call) == ("lost", True)


def test_a_second_answer_to_resume_changes_nothing() -> None:
    asking = Asking()
    asking.submit()
    asking.connect()
    assert numbers(asking.tell(Resumed((0,)), Resumed((0,)))) == [1]


# -- handed back -----------------------------------------------------------------------------------


def test_what_a_node_hands_back_is_sent_once_more_as_if_for_the_first_time() -> None:
    asking = Asking()
    asking.submit()
    asking.sent()
    asking.now += 3.0
    (again,) = [each for each in asking.tell(HandBack((1, 9))) if isinstance(each, Submit)]
    assert (again.call, again.age) == (1, 0.0)


def test_a_call_says_that_its_node_is_gone_until_it_is_back_or_the_call_is_sent_again() -> None:
    asking = Asking()
    calls = [asking.submit() for _ in range(3)]
    asking.tell(NodeAway((1, 2, 9), "one", 60.0))
    gone = ": its node one is gone; waiting up to 60 s for its return"
    assert [call.away for call in calls] == [gone, gone, ""]
    asking.tell(HandBack((2,)))
    asking.tell(NodeAway((1,), "one", 0.0, "it runs on battery"))
    assert calls[0].away == ": stands still on one: it runs on battery"
    asking.tell(NodeAway((1,), "one"))
    assert [call.away for call in calls] == ["", "", ""]


def test_what_has_started_is_not_sent_again() -> None:
    asking = Asking()
    asking.submit()
    asking.tell(Started(1))
    assert asking.tell(HandBack((1,))) == []


def test_handed_back_calls_keep_their_place_before_those_that_were_never_sent() -> None:
    asking = Asking(max_calls=1)
    for _ in range(2):
        asking.submit()
    assert numbers(asking.sent()) == [1]
    assert numbers(asking.tell(HandBack((1,)))) == [1]
    assert asking.tell(HandBack((2,))) == []  # it was not sent yet
    assert numbers(asking.tell(Finished(1, VALUE))) == [2]


def test_a_question_to_the_gateway_waits_behind_no_calls() -> None:
    asking = Asking(max_calls=1)
    for _ in range(3):
        asking.submit()
    asking.submit(function="$explain")
    assert numbers(asking.sent()) == [1, 4]
    assert numbers(asking.tell(Finished(4, VALUE))) == []
    assert numbers(asking.tell(Finished(1, VALUE))) == [2]


def test_a_call_that_is_handed_back_while_it_is_cancelled_did_not_run() -> None:
    asking = Asking()
    call = asking.submit()
    asking.caller.cancel(call)
    asking.sent()
    assert asking.tell(HandBack((1,))) == []
    assert error_of(call) == ("cancelled", False)


# -- time ------------------------------------------------------------------------------------------


def test_a_call_whose_outcome_does_not_come_ends_a_little_after_its_deadline() -> None:
    asking = Asking()
    assert asking.caller.next_timeout() is None
    call, other = asking.submit(timeout=10.0), asking.submit(timeout=20.0)
    asking.sent()
    assert asking.caller.next_timeout() == 100.0 + 10.0 + GRACE
    asking.caller.handle_timeout(109.0)
    assert not waiting(call).outcomes
    asking.caller.handle_timeout(100.0 + 10.0 + GRACE)
    assert asking.sent() == [Cancel(1)]
    assert error_of(call) == ("timeout", True)
    assert not waiting(other).outcomes


def test_a_call_that_was_never_sent_says_at_its_deadline_that_it_did_not_run() -> None:
    asking = Asking(connected=False)
    call = asking.submit(timeout=10.0)
    asking.caller.handle_timeout(100.0 + 10.0 + GRACE)
    assert error_of(call) == ("timeout", False)
    assert asking.connect() == []


def test_deadlines_of_calls_that_are_over_are_forgotten() -> None:
    asking = Asking()
    for timeout in (1.0, 2.0):
        asking.submit(timeout=timeout)
    asking.tell(Finished(1, VALUE))
    assert asking.caller.next_timeout() == 100.0 + DELIVER_AFTER
    asking.acknowledged()
    assert asking.caller.next_timeout() == 100.0 + 2.0 + GRACE
    asking.tell(Finished(2, VALUE))
    asking.caller.handle_timeout(200.0)
    assert asking.caller.next_timeout() is None


def test_the_soonest_of_deadline_and_reconnection_limit_counts() -> None:
    asking = Asking()
    asking.submit(timeout=10_000.0)
    asking.cut()
    assert asking.caller.next_timeout() == 100.0 + RECONNECT_LIMIT


def test_a_gateway_that_stays_away_loses_what_was_sent_and_only_that() -> None:
    asking = Asking(max_calls=1)
    sent, unsent = asking.submit(), asking.submit()
    asking.cut()
    asking.caller.handle_timeout(100.0 + RECONNECT_LIMIT - 1)
    assert len(asking.caller) == 2
    asking.caller.handle_timeout(100.0 + RECONNECT_LIMIT)
    assert error_of(sent) == ("lost", True)
    assert error_of(unsent) == ("unreachable", False)
    assert asking.caller.next_timeout() is None


def test_nothing_is_acknowledged_without_a_connection() -> None:
    asking = Asking()
    call = asking.submit()
    asking.tell(Finished(1, VALUE))
    asking.cut()
    assert asking.caller.next_timeout() is None
    assert asking.acknowledged() == []
    assert waiting(call).outcomes == [("", b"abc")]
    assert asking.connect() == [Resume((bytes(16),), (1,), (), (True,))]


def test_an_error_survives_packing() -> None:
    error = CallTimeout("too long", node_silent=True)
    body = pack_error(error.code, error.message, **error.details)
    assert unpack_error(body) == ("timeout", "too long", {"node_silent": True})


def test_while_the_gateway_leaves_calls_wait_for_the_next_one_and_are_not_lost() -> None:
    asking = Asking()
    handed_back = asking.submit()
    asking.sent()
    assert asking.tell(GoingAway("it stops"), HandBack((handed_back.call,))) == [GoingAway()]
    new = asking.submit()
    assert asking.sent() == []
    assert numbers(asking.connect()) == [handed_back.call, new.call]


def test_calls_that_a_leaving_gateway_hands_back_one_by_one_keep_their_order() -> None:
    asking = Asking(max_calls=3)
    calls = [asking.submit().call for _ in range(4)]
    asking.tell(GoingAway("it stops"), *(HandBack((call,)) for call in calls[:3]))
    asking.submit(function="$explain")
    assert numbers(asking.connect()) == [5, *calls], "the question is the gateway's own"


def test_an_outcome_that_is_not_safe_yet_is_not_confirmed() -> None:
    """Whoever keeps outcomes on a disk confirms them when they are there."""
    asking = Asking()
    asking.submit()
    asking.sent()
    asking.caller._arrived.add(1, b"i" * 16)
    asking.caller._arrived.withhold(1)
    assert asking.acknowledged() == []
