"""What readers of a `Record` get, at whichever pace, and what is kept."""

from __future__ import annotations

from typing import Any

from easyremote.events import Event, Progress, Stream, decode
from easyremote.node.worker.record import CALLS, Reader, Record, Records
from easyremote.protocol.callee import EVENT_WINDOW, LocalCall
from easyremote.protocol.held import Outcome

OVER = Outcome((), 0, "msgpack")


def text(value: str) -> Event:
    return Stream("stdout", value)


def bar(n: int, key: str = "1", state: Any = "running", leave: bool = True) -> Event:
    return Progress(key, 0, "", n, None, "it", None, 0.0, None, state, leave)


def reader(record: Record) -> Reader:
    held = LocalCall(1, b"i" * 16, 0, "$cell", "", "", 0.0, 0.0, 0.0, "")
    made = Reader(held)
    record.readers.append(made)
    return made


def read(record: Record, by: Reader) -> list[Any]:
    """All that is there for it."""
    events: list[Any] = []
    while (batch := record.read(by)) is not None:
        events += decode(batch)
    return events


def test_each_reader_gets_everything_in_order_at_its_own_pace() -> None:
    record = Record()
    quick, slow = reader(record), reader(record)
    record.write([text("a"), text("b")])
    assert read(record, quick) == [text("a"), text("b")]
    record.write([text("c")])
    assert read(record, quick) == [text("c")]
    assert read(record, slow) == [text("a"), text("b"), text("c")]
    assert read(record, slow) == []


def test_who_comes_later_sees_it_again_with_the_last_state_of_the_bars() -> None:
    record = Record()
    first = reader(record)
    for n in range(5):
        record.write([text(str(n)), bar(n)])
        assert read(record, first) == [text(str(n)), bar(n)]
    later = [text(str(n)) for n in range(5)]
    assert read(record, reader(record)) == [later[0], bar(4), *later[1:], bar(4)]


def test_a_bar_is_seen_first_where_it_began() -> None:
    record = Record()
    here = reader(record)
    record.write([text("before"), bar(0), text("after"), bar(1)])
    assert read(record, here) == [text("before"), bar(1), text("after")]


def test_a_slow_reader_gets_the_newest_state_of_a_bar_only() -> None:
    record = Record()
    slow = reader(record)
    for n in range(100):
        record.write([bar(n), bar(2 * n, "2")])
    assert read(record, slow) == [bar(99), bar(198, "2")]


def test_a_bar_that_has_gone_is_seen_to_go_and_then_forgotten() -> None:
    record = Record()
    here = reader(record)
    record.write([bar(1, leave=False)])
    read(record, here)
    record.write([bar(2, state="done", leave=False)])
    assert read(record, here) == [bar(2, state="done", leave=False)]
    record.write([text("x")])
    assert read(record, reader(record)) == [text("x")]


def test_what_is_no_longer_kept_is_named() -> None:
    record = Record(limit=500_000)
    here = reader(record)
    record.write([text("a" * 100_000)])
    read(record, here)
    for letter in "bcdefghij":
        record.write([text(letter * 100_000)])
    note, *rest = read(record, here)
    assert note.text == "[the first 0.5 MB are no longer kept]\n"  # of b to f; it has a
    assert [event.text[0] for event in rest] == list("ghij")
    assert record.size <= 500_000


def test_there_is_room_while_one_reader_has_room_and_after_the_end() -> None:
    record = Record()
    one, other = reader(record), reader(record)
    assert record.has_room
    for each in (one, other):
        each.held.unseen.extend([(n, (), 0, "") for n in range(EVENT_WINDOW)])
    assert not record.has_room
    other.held.unseen.clear()
    assert record.has_room
    record.readers.clear()
    assert not record.has_room
    record.outcome = OVER
    assert record.has_room


def test_the_last_calls_are_kept_and_found_by_the_start_of_their_id() -> None:
    records = Records()
    made = [Record(outcome=OVER) for _ in range(CALLS + 10)]
    for number, record in enumerate(made):
        records.add(number.to_bytes(16, "big"), record)
    assert records.find((3).to_bytes(16, "big").hex()) is None
    assert records.find((CALLS + 9).to_bytes(16, "big").hex()) is made[-1]
    assert records.find("00") is made[-1]


def test_a_call_that_still_runs_is_not_forgotten() -> None:
    records = Records()
    running = Record()
    records.add(b"r" * 16, running)
    for number in range(2 * CALLS):
        records.add(number.to_bytes(16, "big"), Record(outcome=OVER))
    assert records.find((b"r" * 16).hex()) is running


def test_what_threads_print_late_is_told_once() -> None:
    records = Records()
    record = Record(outcome=OVER)
    records.add(b"l" * 16, record)
    assert records.take_late() == []
    records.printed_late(record, 5)
    records.printed_late(record, 7)
    assert records.take_late() == [((b"l" * 16).hex(), 12)]
    assert records.take_late() == []


def test_who_wants_bars_only_is_spared_the_output() -> None:
    record = Record()
    here = reader(record)
    here.bars_only = True
    record.write([text("a"), bar(1), text("b")])
    assert read(record, here) == [bar(1)]
    record.write([text("c")])
    assert read(record, here) == []
    record.write([bar(2)])
    assert read(record, here) == [bar(2)]
