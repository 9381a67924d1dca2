"""One end of a connection: opening, order of sending, payloads, liveness, closing."""

from __future__ import annotations

import mmap
import tracemalloc
from collections.abc import Callable

import pytest

from easyremote.errors import InternalError, ProtocolError
from easyremote.protocol import link as link_module
from easyremote.protocol.frames import (
    CHUNK_SIZE,
    CONTROL_HEADER,
    KNOWN,
    MAX_CONTROL,
    chunk_header,
    control_record,
)
from easyremote.protocol.link import (
    DEAD_AFTER,
    HELLO_TIMEOUT,
    NODE_PING_INTERVAL,
    PING_INTERVAL,
    QUEUED_COST,
    SILENT_AFTER,
    Link,
    LinkState,
)
from easyremote.protocol.messages import (
    INLINE_LIMIT,
    MAX_PAYLOAD,
    Credit,
    Event,
    Finished,
    GoingAway,
    Hello,
    Message,
    Payload,
    Ping,
    Pong,
    Seen,
    StreamReset,
    StreamStop,
    encode,
)
from easyremote.protocol.streams import Buffer, TooLarge
from tests.protocol.wires import deliver, open_link, sent_by

LARGE = bytes(range(256)) * 1000  # 256,000 bytes: four chunks


def ignore(body: Buffer) -> None:
    pass


# -- opening and closing ---------------------------------------------------------------------------


def test_a_link_opens_once() -> None:
    link = Link(0.0)
    assert link.state is LinkState.CONNECTING
    link.open(0.0)
    assert link.state is LinkState.OPEN
    with pytest.raises(InternalError, match="a link that is open can't be opened"):
        link.open(0.0)


def test_a_closed_link_sends_nothing_and_closing_again_is_harmless() -> None:
    link = open_link()
    link.send(Ping())
    link.offer([LARGE], len(LARGE), "pickle5")
    link.close()
    link.close()
    link.send(Ping())
    assert link.offer([LARGE], len(LARGE), "pickle5").stream == 0
    assert link.state is LinkState.CLOSED
    assert not link.has_output
    assert link.data_to_send() is None


def test_messages_that_came_with_the_closing_one_are_dropped() -> None:
    link = open_link()
    got: list[Message] = []
    data = control_record(encode(GoingAway())) + control_record(encode(Seen(1, 1)))
    for message in link.receive_data(data, 0.0):
        got.append(message)
        link.close()
    assert got == [GoingAway()]


def test_before_hello_is_answered_only_small_messages_and_no_data_are_taken() -> None:
    hello = Hello((1, 0), "node", "key", "n", bytes(16))
    link = Link(0.0)
    assert list(link.receive_data(control_record(encode(hello)), 0.0)) == [hello]
    with pytest.raises(ProtocolError, match="data before HELLO"):
        list(link.receive_data(chunk_header(1, 1) + b"x", 0.0))
    with pytest.raises(ProtocolError, match="control record of 5"):
        list(Link(0.0).receive_data(control_record(encode(GoingAway("x" * 5000))), 0.0))


# -- sending ---------------------------------------------------------------------------------------


def test_what_is_queued_in_one_turn_leaves_together_and_wakes_the_shell_once() -> None:
    link, woken = open_link(), []
    link.wake = lambda: woken.append(True)
    for seq in range(3):
        link.send(Seen(1, seq))
    assert woken == [True]
    data = link.data_to_send()
    assert data is not None
    assert link.data_to_send() is None
    assert list(open_link().receive_data(data, 0.0)) == [Seen(1, 0), Seen(1, 1), Seen(1, 2)]


def test_control_goes_ahead_of_data() -> None:
    link = open_link()
    link.offer([LARGE], len(LARGE), "pickle5")
    link.send(Ping(5))
    first = link.data_to_send()
    assert first == control_record(encode(Ping(5)))
    second = link.data_to_send()
    assert second is not None
    assert second == chunk_header(1, CHUNK_SIZE) + LARGE[:CHUNK_SIZE]


@pytest.mark.parametrize("count", [10, 1000])
@pytest.mark.parametrize("size", [1, 3000, INLINE_LIMIT])
def test_many_messages_leave_in_order_about_64_kib_at_a_time(count: int, size: int) -> None:
    link, peer = open_link(), open_link()
    for seq in range(count):
        link.send(Event(1, seq, Payload("pickle5", size, bytes(size))))
    seqs: list[int] = []
    while (data := link.data_to_send()) is not None:
        assert len(data) <= CHUNK_SIZE
        seqs += [event.seq for event in peer.receive_data(data, 0.0) if isinstance(event, Event)]
    assert seqs == list(range(count))


def test_a_message_larger_than_that_leaves_by_itself() -> None:
    link = open_link()
    big = GoingAway("x" * 200_000)
    for message in (big, Seen(1, 1), big):
        link.send(message)
    first = link.data_to_send()
    assert first == control_record(encode(big))
    assert deliver(link, open_link()) == [Seen(1, 1), big]


def test_a_message_that_the_far_end_would_refuse_is_not_sent() -> None:
    link = open_link()
    largest = GoingAway("x" * (MAX_CONTROL - 8))
    assert len(encode(largest)) == MAX_CONTROL - 1
    with pytest.raises(ProtocolError, match=f"a GoingAway of {MAX_CONTROL} bytes is too large"):
        link.send(GoingAway(largest.reason + "x"))
    assert not link.has_output
    link.send(largest)
    assert deliver(link, open_link()) == [largest]


# -- payloads --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, INLINE_LIMIT])
def test_a_small_payload_rides_in_its_message(size: int) -> None:
    parts = [LARGE[: size // 2], LARGE[size // 2 : size]]
    payload = open_link().offer(parts, size, "json")
    assert payload == Payload("json", size, LARGE[:size], 0)
    bodies: list[Buffer] = []
    open_link().collect(payload, bodies.append)
    assert bodies == [LARGE[:size]]


@pytest.mark.parametrize("size", [INLINE_LIMIT + 1, CHUNK_SIZE, 3 * CHUNK_SIZE + 1])
def test_a_large_payload_goes_as_a_stream(size: int) -> None:
    near, far = open_link(), open_link()
    payload = near.offer([LARGE[:10], b"", LARGE[10:size]], size, "pickle5")
    assert (payload.size, payload.data, payload.stream) == (size, b"", 1)
    bodies: list[Buffer] = []
    assembly = far.collect(payload, bodies.append)
    assert assembly is not None
    assert assembly.progress == (0, size)
    while near.has_output or far.has_output:
        deliver(near, far)
        deliver(far, near)
    assert assembly.progress == (size, size)
    assert [bytes(body) for body in bodies] == [LARGE[:size]]


def test_a_payload_that_passes_on_is_inline_or_a_stream_of_the_next_link() -> None:
    source, target = open_link(), open_link()
    small = Payload("pickle5", 3, b"abc")
    assert source.pass_on(small, target) is small
    target.offer([LARGE], len(LARGE), "pickle5")
    passed = source.pass_on(Payload("pickle5", len(LARGE), b"", 9), target)
    assert passed == Payload("pickle5", len(LARGE), b"", 2)


def test_a_payload_that_nobody_wants_is_stopped_and_its_rest_is_dropped() -> None:
    near, far = open_link(), open_link()
    payload = near.offer([LARGE], len(LARGE), "pickle5")
    far.drop(payload)
    far.drop(Payload("pickle5", 3, b"abc"))
    assert sent_by(far) == [StreamStop(1)]
    deliver(near, far)
    list(near.receive_data(control_record(encode(StreamStop(1))), 0.0))
    assert not near.has_output


def test_a_stream_that_ended_is_not_stopped_or_aborted_again() -> None:
    link = open_link()
    link.stop_stream(1)
    link.abort_stream(1)
    assert not link.has_output


def test_an_aborted_stream_is_reset_at_the_other_end() -> None:
    near, far = open_link(), open_link()
    resets: list[bool] = []
    far.collect(near.offer([LARGE], len(LARGE), "pickle5"), ignore, lambda: resets.append(True))
    near.abort_stream(1)
    deliver(near, far)
    assert resets == [True]


@pytest.mark.parametrize("size", [0, -1])
def test_a_stream_of_no_bytes_is_refused(size: int) -> None:
    with pytest.raises(ProtocolError, match="stream 4 is announced wrongly"):
        open_link().collect(Payload("pickle5", size, b"", 4), ignore)


def test_a_stream_that_is_under_way_can_not_be_announced_again() -> None:
    link = open_link()
    payload = Payload("pickle5", len(LARGE), b"", 4)
    link.collect(payload, ignore)
    with pytest.raises(ProtocolError, match="stream 4 is announced wrongly"):
        link.collect(payload, ignore)


def test_a_stream_that_is_over_can_not_be_announced_again() -> None:
    link = open_link()
    link.drop(Payload("pickle5", 3, b"", 4))
    for stream in (4, 3, -1):
        with pytest.raises(ProtocolError, match=f"stream {stream} is announced wrongly"):
            link.drop(Payload("pickle5", 3, b"", stream))


@pytest.mark.parametrize("size", [MAX_PAYLOAD + 1, 1 << 50, 1 << 62])
def test_a_payload_above_the_limit_is_refused_alone_and_its_stream_is_stopped(size: int) -> None:
    link = open_link()
    with pytest.raises(TooLarge, match=f"{size:,} bytes is above the limit of 2,147,483,648"):
        link.collect(Payload("pickle5", size, b"", 4), ignore)
    assert sent_by(link) == [StreamStop(4)]
    bodies: list[Buffer] = []
    link.collect(Payload("pickle5", 3, b"", 5), bodies.append)
    list(link.receive_data(chunk_header(5, 3) + b"abc", 0.0))
    assert bodies == [b"abc"]


def test_the_limit_of_a_payload_is_what_the_gateway_says() -> None:
    link = Link(0.0)
    link.open(0.0, 1000)
    link.collect(Payload("pickle5", 1000, b"", 1), ignore)
    with pytest.raises(TooLarge, match="above the limit of 1,000"):
        link.collect(Payload("pickle5", 1001, b"", 2), ignore)


@pytest.mark.parametrize("error", [OSError(12, "no memory"), OverflowError(), MemoryError()])
def test_a_payload_that_memory_has_no_room_for_is_refused_alone(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(number: int, size: int, **options: int) -> None:
        raise error

    link = open_link()
    monkeypatch.setattr(mmap, "mmap", full)
    with pytest.raises(TooLarge, match="a payload of 100,000 bytes does not fit into memory"):
        link.collect(Payload("pickle5", 100_000, b"", 4), ignore)
    assert sent_by(link) == [StreamStop(4)]


# -- a peer that does not read ---------------------------------------------------------------------


def memory_of(link: Link, send: Callable[[], object]) -> int:
    """What the link keeps after ``send`` was called until it is overrun."""
    tracemalloc.start()
    try:
        for _ in range(1_000_000):
            send()
            if link.state is LinkState.OVERRUN:
                break
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [0, 100, INLINE_LIMIT])
def test_messages_that_nobody_reads_are_limited_by_their_memory(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "MAX_BACKLOG", 1024 * 1024)
    link, woken = open_link(), []
    link.wake = lambda: woken.append(link.state)
    message = Event(1, 1, Payload("pickle5", size, bytes(size)))
    most = memory_of(link, lambda: link.send(message))
    assert 750_000 < most < 2_000_000
    assert woken == [LinkState.OPEN, LinkState.OVERRUN]
    assert not link.has_output
    link.send(message)
    assert link.offer([LARGE], len(LARGE), "pickle5").stream == 0
    assert not link.has_output


def test_pings_whose_answers_nobody_reads_overrun_the_link(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link_module, "MAX_BACKLOG", 200_000)
    link = open_link()
    data = control_record(encode(Ping(1))) * 100
    most = memory_of(link, lambda: list(link.receive_data(data, 0.0)))
    assert most < 1_000_000


def test_what_is_read_makes_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "MAX_BACKLOG", 1024 * 1024)
    link, far = open_link(), open_link()
    for turn in range(20):
        for seq in range(3):
            link.send(Event(1, seq, Payload("pickle5", INLINE_LIMIT, bytes(INLINE_LIMIT))))
        for _ in range(2000):
            link.send(Seen(1, turn))
        assert len(deliver(link, far)) == 2003
        assert link.state is LinkState.OPEN
        assert link._backlog == 0
    for _ in range(20_000):  # one at a time
        link.send(Seen(1, 1))
        link.data_to_send()
    assert link.state is LinkState.OPEN
    assert link._backlog == 0


def test_what_is_left_unread_counts_until_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    link = open_link()
    for _ in range(1000):
        link.send(Seen(1, 1))
    link.data_to_send()
    for _ in range(10_000):
        link.send(Seen(1, 1))
    link.data_to_send()
    queued = sum(map(len, link._control)) + len(link._control) // 2 * (
        QUEUED_COST - CONTROL_HEADER.size
    )
    assert link._backlog == queued


def test_an_overrun_link_drops_its_streams_when_it_is_closed() -> None:
    link = open_link()
    resets: list[bool] = []
    link.collect(Payload("pickle5", 3, b"", 4), ignore, lambda: resets.append(True))
    link._overrun()
    assert resets == []
    assert list(link.receive_data(control_record(encode(Seen(1, 1))), 0.0)) == []
    link.close()
    assert resets == [True]
    assert link.state is LinkState.CLOSED


# -- the link's own messages -----------------------------------------------------------------------


def test_a_ping_is_answered_with_its_nonce_and_the_owner_does_not_see_it() -> None:
    link = open_link()
    data = control_record(encode(Ping(7))) + control_record(encode(Pong(8)))
    assert list(link.receive_data(data, 0.0)) == []
    assert sent_by(link) == [Pong(7)]


def test_the_time_until_a_peer_answers_is_measured_and_an_answer_to_nothing_measures_nothing() -> (
    None
):
    link = open_link()
    pong = control_record(encode(Pong()))
    assert list(link.receive_data(pong, 1.0)) == []
    assert link.latency is None
    link.ping(2.0)
    assert list(link.receive_data(pong, 2.25)) == []
    assert list(link.receive_data(pong, 9.0)) == []
    assert link.latency == 0.25


def test_credit_reset_and_stop_of_streams_that_are_over_are_harmless() -> None:
    link = open_link()
    for message in (Credit(3, 10), StreamReset(3), StreamStop(3)):
        assert list(link.receive_data(control_record(encode(message)), 0.0)) == []
    assert not link.has_output


# -- time ------------------------------------------------------------------------------------------


def test_hello_has_its_time_and_no_more() -> None:
    link = Link(100.0)
    assert link.next_timeout() == 100.0 + HELLO_TIMEOUT
    assert link.handle_timeout(100.0 + HELLO_TIMEOUT - 0.1)
    assert not link.handle_timeout(100.0 + HELLO_TIMEOUT)


def test_a_silent_peer_is_asked_and_then_given_up() -> None:
    link = open_link(100.0)
    assert link.next_timeout() == 100.0 + PING_INTERVAL
    assert link.handle_timeout(105.0)
    assert not link.has_output
    pings = 0
    while link.handle_timeout(link.next_timeout()):
        assert sent_by(link) == [Ping()]
        pings += 1
    assert link.next_timeout() == 100.0 + DEAD_AFTER
    assert pings == 3


def test_a_peer_that_is_to_be_asked_sooner_is_silent_after_a_few_pings() -> None:
    link = open_link(100.0)
    link.ping_interval = NODE_PING_INTERVAL
    pings = 0
    while not link.is_silent(now := link.next_timeout()):
        assert link.handle_timeout(now)
        assert sent_by(link) == [Ping()]
        pings += 1
    assert pings == 2
    assert not link.is_silent(100.0 + SILENT_AFTER)
    list(link.receive_data(b"\x02", now))
    assert not link.is_silent(now)


def test_the_silence_of_a_peer_that_was_stopped_from_here_says_nothing() -> None:
    link = open_link(100.0)
    link.is_excused = True
    assert link.handle_timeout(100.0 + 10 * DEAD_AFTER)
    link.is_excused = False
    assert link.next_timeout() == 100.0 + 10 * DEAD_AFTER + PING_INTERVAL
    assert not link.handle_timeout(100.0 + 11 * DEAD_AFTER)


def test_silence_is_counted_from_the_moment_when_the_link_opens() -> None:
    link = Link(0.0)
    link.open(4.0)
    assert link.last_received == 4.0
    assert link.next_timeout() == 4.0 + PING_INTERVAL
    assert link.handle_timeout(4.0 + DEAD_AFTER - 0.1)
    assert not link.handle_timeout(4.0 + DEAD_AFTER)


def test_any_byte_that_comes_is_a_sign_of_life() -> None:
    link = open_link(0.0)
    list(link.receive_data(b"\x02", 30.0))
    assert link.next_timeout() == 40.0
    assert link.handle_timeout(60.0)


def test_what_is_queued_before_the_shell_is_there_waits() -> None:
    link = Link(0.0)
    link.send(Ping())
    assert link.has_output


# -- messages that come twice ----------------------------------------------------------------------


def hear(link: Link, *messages: Message) -> list[Message]:
    return [each for message in messages for each in link.receive_data(record(message), 0.0)]


def record(message: Message) -> bytes:
    return control_record(encode(message))


def event(seq: int, stream: int) -> Event:
    return Event(1, seq, Payload("pickle5", 3, b"", stream))


def test_a_message_that_announced_its_stream_before_is_dropped() -> None:
    link = open_link()
    first = event(1, 4)
    assert hear(link, first, first) == [first]
    link.drop(first.payload)
    assert hear(link, first) == []


def test_another_message_with_the_same_stream_ends_the_connection() -> None:
    link = open_link()
    first = event(1, 4)
    for other in (event(2, 4), Finished(1, first.payload)):
        assert hear(link, first, other) == [first, other]
        link.drop(first.payload)
        with pytest.raises(ProtocolError, match="stream 4 is announced wrongly"):
            link.drop(other.payload)
        link = open_link()


def test_what_announces_no_stream_comes_as_often_as_it_is_said() -> None:
    """What is said again after a new connection is known by its owner."""
    said = [event(1, 0), event(1, 0), Seen(1, 1), Seen(1, 1)]
    assert hear(open_link(), *said) == said


def test_only_the_last_announcements_are_known_again() -> None:
    link = open_link()
    said = [event(number, number) for number in range(1, KNOWN + 2)]
    assert hear(link, *said) == said
    assert hear(link, said[1]) == []
    assert hear(link, said[0]) == [said[0]]


# -- handing over ----------------------------------------------------------------------------------


def test_a_link_is_quiet_when_nothing_is_queued_and_no_stream_is_under_way() -> None:
    link, peer = open_link(), open_link()
    assert link.is_quiet
    payload = link.offer((LARGE,), len(LARGE), "pickle5")
    assert not link.is_quiet, "its stream goes out"
    peer.collect(payload, ignore)
    assert not peer.is_quiet, "a stream comes in"
    deliver(link, peer)
    deliver(peer, link)
    deliver(link, peer)
    assert link.is_quiet
    link.send(Seen(1, 1))
    assert not link.is_quiet, "a message is queued"


def test_another_process_goes_on_with_a_link_in_the_middle_of_a_record() -> None:
    before, peer = open_link(), open_link()
    for source, target in ((before, peer), (peer, before)):
        target.collect(source.offer((LARGE,), len(LARGE), "pickle5"), ignore)
        for _ in range(2):
            deliver(source, target)
            deliver(target, source)
    said = control_record(encode(Seen(7, 1)))
    assert list(before.receive_data(said[:6], 0.0)) == []
    link = open_link()
    link.go_on(before.standing)
    assert list(link.receive_data(said[6:], 0.0)) == [Seen(7, 1)]
    assert link.offer((LARGE,), len(LARGE), "pickle5").stream == 2
    with pytest.raises(ProtocolError, match="stream 1 is announced wrongly"):
        link.collect(Payload("pickle5", len(LARGE), b"", 1), ignore)
