"""A call that failed is tried again, if a policy says so: when, how often, and what is told."""

from __future__ import annotations

from typing import Any

import pytest

from easyremote.options.retries import Retry
from easyremote.protocol.answers import OutstandingCall
from easyremote.protocol.attempts import RetryingCaller
from easyremote.protocol.caller import GRACE
from easyremote.protocol.failures import pack_error, unpack_error
from easyremote.protocol.messages import (
    INLINE_LIMIT,
    Cancel,
    Delivered,
    Finished,
    Message,
    Payload,
    Resume,
    Resumed,
    Started,
    Submit,
)
from tests.protocol.wires import open_link, sent_by
from tests.protocol.world import Waiting

POLICY = Retry(max_attempts=3, first=2.0, longest=30.0)
VALUE = Payload("pickle5", 3, b"abc")


class Trying:
    """A caller on its own: the test plays the gateway. Half of each wait is waited."""

    def __init__(self) -> None:
        self.now = 100.0
        self._ids = 0
        self.caller = RetryingCaller(self.new_id, lambda: 0.5)
        self.link = open_link(self.now)
        self.caller.attach(self.link, 10, self.now)

    def new_id(self) -> bytes:
        self._ids += 1
        return self._ids.to_bytes(16, "big")

    def submit(
        self, retry: Retry | None = None, argument: bytes = b"abc", timeout: float = 0.0
    ) -> OutstandingCall:
        submit = Submit(0, self.new_id(), "n", "f", Payload(), timeout=timeout)
        sink, size = Waiting(argument), len(argument)
        return self.caller.submit(submit, (argument,), size, "pickle5", sink, self.now, retry)

    def tell(self, message: Message) -> None:
        self.link.last_received = self.now
        self.caller.receive(message, self.now)
        self.caller.flush(self.now)

    def fail(self, code: str, retry: Retry | None = None, **details: Any) -> None:
        """The last attempt that was sent fails."""
        number = self.only(Submit).call
        body = pack_error(code, "It failed.", **{"may_have_run": True, **details})
        payload = Payload("msgpack", len(body), body)
        may_have_run = bool(details.get("may_have_run", True))
        self.tell(Finished(number, payload, code, may_have_run, retry=retry))

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.caller.handle_timeout(self.now)

    def only(self, kind: type[Any]) -> Any:
        (found,) = (message for message in sent_by(self.link) if isinstance(message, kind))
        return found

    def submits(self) -> list[Submit]:
        return [message for message in sent_by(self.link) if isinstance(message, Submit)]


def outcomes(call: OutstandingCall) -> list[tuple[str, dict[str, object]]]:
    """The errors that its caller was told: the code and the details."""
    assert isinstance(call.sink, Waiting)
    return [(code, unpack_error(body)[2]) for code, body in call.sink.outcomes]


def test_a_call_of_a_lost_node_is_sent_again_after_a_while_under_a_new_id() -> None:
    trying = Trying()
    call = trying.submit(POLICY)
    first = trying.only(Submit)
    assert trying.caller.next_timeout() is None
    trying.tell(Finished(first.call, error("lost"), "lost"))
    assert trying.submits() == [] and outcomes(call) == []
    assert trying.caller.next_timeout() == trying.now + 0.1, "first it confirms the outcome"
    trying.pass_time(0.125)
    assert trying.caller.next_timeout() == trying.now + 0.875
    trying.pass_time(0.75)
    assert trying.submits() == []
    trying.pass_time(0.125)  # half of the first wait
    again = trying.only(Submit)
    assert again.payload == first.payload
    assert again.call != first.call and again.call_id != first.call_id
    assert call.call_id == again.call_id
    trying.tell(Finished(again.call, VALUE))
    assert isinstance(call.sink, Waiting) and call.sink.outcomes == [("", b"abc")]
    assert len(trying.caller) == 0


def error(code: str, **details: Any) -> Payload:
    body = pack_error(code, "It failed.", **{"may_have_run": True, **details})
    return Payload("msgpack", len(body), body)


def test_the_failed_attempt_is_confirmed_so_that_nobody_keeps_it() -> None:
    trying = Trying()
    trying.submit(POLICY)
    trying.fail("lost")
    trying.pass_time(1.0)
    assert Delivered((1,)) in sent_by(trying.link)


def test_after_the_last_attempt_its_error_is_told_with_how_many_there_were() -> None:
    trying = Trying()
    call = trying.submit(POLICY)
    trying.fail("lost")
    trying.pass_time(1.0)
    trying.fail("offline", may_have_run=False)
    trying.pass_time(2.0)  # the second wait is twice as long
    trying.fail("offline", may_have_run=False)
    (told,) = outcomes(call)
    assert told == ("offline", {"may_have_run": True, "attempts": 3}), "the first may have run"
    trying.pass_time(1000.0)
    assert trying.submits() == []


@pytest.mark.parametrize("code", ["raised", "cancelled", "timeout", "cannot-return", "not-found"])
def test_what_the_policy_does_not_cover_is_told_at_once(code: str) -> None:
    trying = Trying()
    call = trying.submit(POLICY)
    trying.fail(code, type_name="ValueError")
    (told,) = outcomes(call)
    assert told == (code, {"may_have_run": True, "type_name": "ValueError"})


def test_without_a_policy_a_call_has_one_attempt() -> None:
    trying = Trying()
    call = trying.submit()
    trying.fail("lost")
    assert [code for code, _ in outcomes(call)] == ["lost"]


def test_the_functions_policy_comes_with_started_and_the_arguments_are_kept_for_it() -> None:
    trying = Trying()
    large = b"x" * (INLINE_LIMIT + 1)
    plain, kept = trying.submit(argument=large), trying.submit(argument=large)
    trying.tell(Started(plain.call, "n"))
    trying.tell(Started(kept.call, "n", POLICY))
    assert (plain.parts, kept.parts) == ((), (large,))
    sent_by(trying.link)
    trying.tell(Finished(kept.call, error("crashed"), "crashed"))
    trying.pass_time(1.0)
    assert trying.only(Submit).payload.size == len(large)


def test_the_functions_policy_comes_with_the_error_where_the_call_was_quick() -> None:
    trying = Trying()
    call = trying.submit()
    trying.fail("raised", Retry(first=0.0, on=("OSError",)), type_name="OSError")
    trying.pass_time(0.0)
    assert trying.only(Submit).call == call.call


def test_the_callers_policy_counts_before_that_of_the_function() -> None:
    trying = Trying()
    call = trying.submit(Retry(max_attempts=1))
    trying.fail("lost", POLICY)
    assert [code for code, _ in outcomes(call)] == ["lost"]


def test_a_call_that_ended_three_processes_is_not_tried_again() -> None:
    trying = Trying()
    call = trying.submit(Retry(max_attempts=9, first=0.0))
    for _ in range(3):
        trying.pass_time(0.0)
        trying.fail("crashed")
    (told,) = outcomes(call)
    assert told == ("poison", {"may_have_run": True, "attempts": 3})


def test_a_call_that_waits_for_its_next_attempt_can_be_cancelled() -> None:
    trying = Trying()
    call = trying.submit(POLICY)
    trying.fail("lost")
    trying.caller.cancel(call)
    (told,) = outcomes(call)
    assert told == ("cancelled", {"may_have_run": True}), "the first attempt may have run"
    trying.pass_time(1000.0)
    assert trying.submits() == []


def test_a_call_that_is_being_cancelled_is_not_tried_again() -> None:
    trying = Trying()
    call = trying.submit(POLICY)
    number = trying.only(Submit).call
    trying.caller.cancel(call)
    assert trying.only(Cancel).call == number
    trying.tell(Finished(number, error("lost"), "lost"))
    assert [code for code, _ in outcomes(call)] == ["lost"]


def test_all_attempts_together_keep_to_the_callers_time() -> None:
    trying = Trying()
    call = trying.submit(Retry(max_attempts=9, first=4.0, is_fixed=True), timeout=10.0)
    assert trying.submits()[0].timeout == 10.0
    trying.tell(Finished(call.call, error("lost"), "lost"))
    trying.pass_time(4.0)
    again = trying.only(Submit)
    assert again.timeout == 6.0
    trying.tell(Finished(again.call, error("lost"), "lost"))
    trying.pass_time(4.0)
    trying.pass_time(2.0 + GRACE)
    assert [code for code, _ in outcomes(call)] == ["timeout"]


def test_a_call_that_a_restarted_gateway_has_lost_is_tried_again() -> None:
    trying = Trying()
    call = trying.submit(POLICY)
    trying.tell(Started(call.call, "n"))
    trying.caller.detach(trying.link, trying.now)
    trying.link = open_link(trying.now)
    trying.caller.attach(trying.link, 10, trying.now)
    trying.only(Resume)
    trying.tell(Resumed((0,)))
    trying.pass_time(1.0)
    assert trying.only(Submit).call == call.call


def test_an_attempt_that_waits_outlives_a_broken_connection() -> None:
    trying = Trying()
    call = trying.submit(POLICY)
    trying.fail("lost")
    trying.caller.detach(trying.link, trying.now)
    trying.pass_time(1.0)
    trying.link = open_link(trying.now)
    trying.caller.attach(trying.link, 10, trying.now)
    (again,) = trying.submits()  # and no RESUME names it
    assert again.call == call.call


def test_an_error_that_can_not_be_read_is_not_tried_again() -> None:
    trying = Trying()
    call = trying.submit(POLICY)
    nonsense = Payload("msgpack", 1, b"\xc1")
    trying.tell(Finished(call.call, nonsense, "lost"))
    again = trying.submit(POLICY)
    trying.tell(Finished(again.call, error("lost"), "lost"))
    trying.pass_time(1.0)
    trying.tell(Finished(again.call, nonsense, "lost"))
    for each in (call, again):
        assert isinstance(each.sink, Waiting) and each.sink.outcomes == [("lost", b"\xc1")]
