"""A caller and answers that no good peer gives: each ends its own call, and never another one."""

from __future__ import annotations

import math
from typing import Any

import pytest

from easyremote.errors import GatewayUnreachable, ProtocolError
from easyremote.protocol.answers import EARLY_EVENTS, OutstandingCall
from easyremote.protocol.caller import LATE_AFTER, RECONNECT_LIMIT
from easyremote.protocol.failures import unpack_error
from easyremote.protocol.frames import chunk_header, control_record
from easyremote.protocol.messages import (
    LONGEST_TIME,
    NAME_LIMIT,
    Cancel,
    Credit,
    Delivered,
    Event,
    Finished,
    HandBack,
    Payload,
    Resume,
    Resumed,
    Started,
    StreamReset,
    StreamStop,
    Submit,
    decode,
    encode,
)
from easyremote.protocol.streams import Buffer
from tests.protocol.test_caller import LARGE, VALUE, Asking, error_of, waiting
from tests.protocol.wires import sent_by
from tests.protocol.world import Waiting

ITEM = Payload("pickle5", 1, b"i")
#: What a node announces that has a mistake, or means harm.
HUGE = Payload("pickle5", 1 << 50, b"", 4)


def text_of(call: OutstandingCall) -> str:
    return unpack_error(waiting(call).outcomes[0][1])[1]


# -- payloads that can't be taken ------------------------------------------------------------------


def test_an_outcome_of_a_pebibyte_fails_its_call_and_no_other() -> None:
    asking = Asking()
    bad, good = asking.submit(), asking.submit()
    asking.sent()
    answer = asking.tell(Finished(bad.call, HUGE))
    assert answer == [StreamStop(4), Delivered((bad.call,))]  # the node may forget it
    assert error_of(bad) == ("cannot-return", True)
    assert "1,125,899,906,842,624 bytes is above the limit" in text_of(bad)
    asking.tell(Finished(good.call, VALUE))
    assert waiting(good).outcomes == [("", b"abc")]


def test_an_event_of_a_pebibyte_fails_its_call_and_the_node_is_told_to_stop() -> None:
    asking = Asking()
    bad, good = asking.submit(), asking.submit()
    asking.sent()
    assert asking.tell(Event(bad.call, 1, HUGE)) == [StreamStop(4), Cancel(bad.call)]
    assert error_of(bad) == ("cannot-return", True)
    asking.tell(Event(good.call, 1, ITEM), Finished(good.call, VALUE, events=1))
    assert waiting(good).outcomes == [("", b"abc")]
    asking.tell(Finished(bad.call, VALUE, "cancelled"))
    assert asking.acknowledged() == [Delivered((good.call, bad.call))]


def test_a_stream_that_is_announced_twice_still_ends_the_connection() -> None:
    asking = Asking()
    calls = [asking.submit(), asking.submit()]
    asking.tell(Finished(calls[0].call, Payload("pickle5", len(LARGE), b"", 4)))
    with pytest.raises(ProtocolError, match="announced wrongly"):
        asking.tell(Finished(calls[1].call, Payload("pickle5", len(LARGE), b"", 4)))


# -- mistakes of ours ------------------------------------------------------------------------------


class Broken(Waiting):
    """A sink that can't take what it is told."""

    def event(self, encoding: str, body: Buffer) -> None:
        raise ZeroDivisionError("a mistake")


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_sink_that_raises_fails_its_call_and_the_shell_hears_of_it(is_stream: bool) -> None:
    asking = Asking()
    submit = Submit(0, b"b" * 16, "n", "f", Payload())
    bad = asking.caller.submit(submit, (), 0, "pickle5", Broken(b""), asking.now)
    good = asking.submit()
    asking.sent()
    if is_stream:
        asking.tell(Event(bad.call, 1, Payload("pickle5", 3, b"", 4)))
        with pytest.raises(ZeroDivisionError):
            list(asking.link.receive_data(chunk_header(4, 3) + b"abc", asking.now))
    else:
        with pytest.raises(ZeroDivisionError):
            asking.caller.receive(Event(bad.call, 1, ITEM), asking.now)
    assert asking.sent() == [Cancel(bad.call)]
    assert error_of(bad) == ("internal", True)
    assert "ZeroDivisionError" in text_of(bad)
    asking.tell(Finished(good.call, VALUE))
    assert waiting(good).outcomes == [("", b"abc")]


def test_a_message_that_could_not_be_handled_ends_its_call_if_it_has_one() -> None:
    asking = Asking()
    call = asking.submit()
    asking.sent()
    asking.caller.failed(Started(99), ValueError("of nobody"))
    asking.caller.failed(Resumed((1,)), ValueError("of nobody"))
    assert asking.sent() == []
    asking.caller.failed(Finished(call.call, VALUE), ValueError("a mistake"))
    asking.caller.flush(asking.now)
    assert error_of(call) == ("internal", True)
    assert asking.sent() == [Delivered((call.call,))]


def test_a_message_that_could_not_be_handled_ends_its_call_without_a_connection_too() -> None:
    asking = Asking()
    call = asking.submit()
    asking.cut()
    asking.caller.failed(Event(call.call, 1, ITEM), ValueError("a mistake"))
    assert error_of(call) == ("internal", True)


class Deaf(Waiting):
    """A sink that can't take its outcome."""

    def finish(self, code: str, encoding: str, body: Buffer) -> None:
        super().finish(code, encoding, body)
        raise ZeroDivisionError("a mistake")


@pytest.mark.parametrize("how", ["the end", "the limit"])
def test_a_sink_that_can_not_take_its_outcome_does_not_keep_others_from_theirs(how: str) -> None:
    asking = Asking()
    deaf = [
        asking.caller.submit(
            Submit(0, bytes([number]) * 16, "n", "f", Payload()),
            *((), 0, "pickle5", Deaf(b""), asking.now),
        )
        for number in range(3)
    ]
    asking.cut()
    with pytest.raises(ZeroDivisionError):
        if how == "the end":
            asking.caller.fail_all(GatewayUnreachable("closed"))
        else:
            asking.caller.handle_timeout(asking.now + RECONNECT_LIMIT)
    assert [len(waiting(call).outcomes) for call in deaf] == [1, 1, 1]
    assert len(asking.caller) == 0


# -- outcomes that leave one waiting ---------------------------------------------------------------


def after(asking: Asking, seconds: float) -> None:
    """Let time pass as the shell does: when something is due, it is done."""
    end = asking.now + seconds
    while True:
        due = asking.caller.next_timeout()
        if due is None or due > end:
            break
        asking.now = max(due, asking.now)
        asking.caller.handle_timeout(asking.now)
    asking.now = end


def test_an_outcome_whose_events_never_come_is_not_waited_for_for_ever() -> None:
    asking = Asking()
    call = asking.submit()
    asking.link.last_received = asking.now
    asking.tell(Event(call.call, 1, ITEM), Finished(call.call, VALUE, events=1 << 40))
    after(asking, LATE_AFTER - 1)
    assert waiting(call).outcomes == []
    after(asking, 2)
    assert error_of(call) == ("lost", True)
    assert "its node never sent the whole outcome" in text_of(call)


def test_events_that_come_late_are_still_waited_for() -> None:
    asking = Asking()
    call = asking.submit()
    asking.link.last_received = asking.now
    asking.tell(Finished(call.call, VALUE, events=3))
    for seq in (1, 2):
        after(asking, LATE_AFTER - 1)
        asking.link.last_received = asking.now
        asking.tell(Event(call.call, seq, ITEM))
    after(asking, LATE_AFTER - 1)
    asking.tell(Event(call.call, 3, ITEM))
    assert waiting(call).outcomes == [("", b"abc")]
    after(asking, 10 * LATE_AFTER)
    assert len(waiting(call).outcomes) == 1


def test_an_event_that_is_on_its_way_is_waited_for_however_long_it_takes() -> None:
    asking = Asking()
    call = asking.submit()
    asking.tell(
        Event(call.call, 1, Payload("pickle5", 3, b"", 4)), Finished(call.call, VALUE, events=1)
    )
    after(asking, 10 * LATE_AFTER)
    assert waiting(call).outcomes == []
    list(asking.link.receive_data(chunk_header(4, 3) + b"abc", asking.now))
    assert waiting(call).outcomes == [("", b"abc")]


def test_an_outcome_whose_stream_breaks_off_may_come_again_and_else_is_lost() -> None:
    asking = Asking()
    calls = [asking.submit(), asking.submit()]
    for number, call in enumerate(calls, 4):
        asking.tell(Finished(call.call, Payload("pickle5", 3, b"", number)))
        reset = control_record(encode(StreamReset(number)))
        list(asking.link.receive_data(reset, asking.now))
    asking.tell(Finished(calls[0].call, Payload("pickle5", 3, b"", 6)))
    list(asking.link.receive_data(chunk_header(6, 3) + b"abc", asking.now))
    assert waiting(calls[0]).outcomes == [("", b"abc")]
    after(asking, LATE_AFTER - 1)
    assert waiting(calls[1]).outcomes == []
    after(asking, 2)
    assert error_of(calls[1]) == ("lost", True)


def test_a_long_stream_that_breaks_off_has_its_time_from_then_on() -> None:
    asking = Asking()
    call = asking.submit()
    asking.tell(Finished(call.call, Payload("pickle5", 3, b"", 4)))
    after(asking, 1000)
    list(asking.link.receive_data(control_record(encode(StreamReset(4))), asking.now))
    after(asking, LATE_AFTER - 1)
    assert waiting(call).outcomes == []


def test_an_event_whose_stream_breaks_off_alone_ends_nothing() -> None:
    asking = Asking()
    call = asking.submit()
    asking.tell(Event(call.call, 1, Payload("pickle5", 3, b"", 4)))
    list(asking.link.receive_data(control_record(encode(StreamReset(4))), asking.now))
    after(asking, 10 * LATE_AFTER)
    assert waiting(call).outcomes == []


def test_a_broken_connection_stops_the_waiting_for_the_rest_until_there_is_a_new_one() -> None:
    asking = Asking()
    call = asking.submit()
    asking.link.last_received = asking.now
    asking.tell(Finished(call.call, VALUE, events=1))
    asking.cut()
    after(asking, 3 * LATE_AFTER)
    assert waiting(call).outcomes == []
    asking.connect()
    asking.tell(Resumed((call.call,)))
    after(asking, LATE_AFTER - 1)
    assert waiting(call).outcomes == []
    asking.tell(Event(call.call, 1, ITEM))
    assert waiting(call).outcomes == [("", b"abc")]


def test_events_far_ahead_are_not_kept() -> None:
    asking = Asking()
    call = asking.submit()
    asking.sent()
    for seq in range(2, EARLY_EVENTS + 1):
        assert asking.tell(Event(call.call, seq, ITEM)) == []
    assert asking.tell(Event(call.call, EARLY_EVENTS + 1, ITEM)) == [Cancel(call.call)]
    assert error_of(call) == ("cannot-return", True)
    assert f"event {EARLY_EVENTS + 1} came while 1 is the next" in text_of(call)


def test_a_call_that_began_and_is_handed_back_is_lost() -> None:
    asking = Asking()
    begun, ended, fresh = (asking.submit() for _ in range(3))
    asking.sent()
    asking.tell(Started(begun.call), Finished(ended.call, VALUE, events=1))
    calls = (begun.call, ended.call, fresh.call, 99)
    (again,) = asking.tell(HandBack(calls))
    assert isinstance(again, Submit)
    assert again.call == fresh.call
    assert error_of(begun) == error_of(ended) == ("lost", True)
    assert "began the call, then gave it back" in text_of(begun)


def test_what_was_not_sent_yet_can_not_be_handed_back() -> None:
    asking = Asking(max_calls=1)
    asking.submit()
    waits = asking.submit()
    asking.sent()
    assert asking.tell(HandBack((waits.call,))) == []
    assert waiting(waits).outcomes == []
    assert asking.caller._sent == 1


@pytest.mark.parametrize("answer", [(), (1,), (1, 2, 3)])
def test_a_resumed_that_leaves_calls_out_breaks_the_protocol(answer: tuple[int, ...]) -> None:
    asking = Asking()
    asking.submit()
    asking.submit()
    (resume,) = asking.connect()
    assert isinstance(resume, Resume)
    with pytest.raises(ProtocolError, match="RESUMED has another number of calls than RESUME"):
        asking.tell(Resumed(answer))


# -- calls that can't be sent ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    [
        {"node": "n" * (NAME_LIMIT + 1)},
        {"function": "n" * (NAME_LIMIT + 1)},
        {"session": "n" * (NAME_LIMIT + 1)},
        {"origin": "n" * (NAME_LIMIT + 1)},
        {"call_id": b"short"},
        {"timeout": math.nan},
        {"timeout": math.inf},
        {"timeout": -1.0},
        {"queue_timeout": math.nan},
        {"run_timeout": LONGEST_TIME * 2},
        {"hold": -math.inf},
    ],
    ids=str,
)
def test_a_call_that_the_gateway_would_refuse_ends_before_it_is_sent(field: dict[str, Any]) -> None:
    asking = Asking()
    fields: dict[str, Any] = {"call_id": bytes(16), "node": "n", "function": "f", **field}
    submit = Submit(0, payload=Payload(), **fields)
    call = asking.caller.submit(submit, (b"x",), 1, "pickle5", Waiting(b""), asking.now)
    assert asking.sent() == []
    assert error_of(call) == ("usage", False)
    assert text_of(call).startswith("This call can't be sent: Expected `")
    assert len(asking.caller) == 0
    assert asking.caller.next_timeout() is None


def test_names_that_are_long_together_but_not_alone_are_sent() -> None:
    asking = Asking()
    long = "n" * NAME_LIMIT
    submit = Submit(0, bytes(16), long, long, Payload(), long, origin=long)
    asking.caller.submit(submit, (b"x",), 1, "pickle5", Waiting(b""), asking.now)
    (sent,) = sent_by(asking.link)
    assert decode(encode(sent)) == sent


def test_credit_for_a_stream_that_is_over_is_harmless() -> None:
    asking = Asking()
    list(asking.link.receive_data(control_record(encode(Credit(9, 5))), asking.now))
    assert asking.sent() == []


def test_the_arguments_are_kept_only_until_the_call_has_started_or_ended() -> None:
    asking = Asking()
    begun, ended = asking.submit(), asking.submit()
    asking.tell(Started(begun.call), Finished(ended.call, VALUE))
    assert begun.parts == ended.parts == ()


def test_a_payload_that_came_whole_is_not_waited_for_any_more() -> None:
    asking = Asking()
    call = asking.submit()
    asking.tell(Event(call.call, 1, Payload("pickle5", 3, b"", 4)))
    list(asking.link.receive_data(chunk_header(4, 3) + b"abc", asking.now))
    asking.tell(Finished(call.call, VALUE, events=2))
    after(asking, LATE_AFTER + 1)
    assert error_of(call) == ("lost", True)
