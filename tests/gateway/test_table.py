"""The call table: its timers, and that a call that is over is gone everywhere."""

from __future__ import annotations

import pytest

from easyremote.errors import NotFound, UsageError
from easyremote.gateway.callers import Access
from easyremote.gateway.deadlines import Deadlines
from easyremote.gateway.dispatch import Dispatcher
from easyremote.gateway.nodes import Nodes
from easyremote.gateway.records import GatewayCall
from easyremote.gateway.table import SPENT_TIMERS, CallTable, failed
from easyremote.protocol.call import CallEvent, CallState
from easyremote.protocol.messages import NAME_LIMIT, decode, encode
from easyremote.protocol.tombstones import KEPT


@pytest.fixture
def table() -> CallTable:
    return CallTable(Nodes(0.0))


def waiting(table: CallTable, number: int = 0, **limits: float) -> GatewayCall:
    target = ("", "f", Access.LINK)
    call = table.add(number.to_bytes(16, "big"), "alice", target, CallState.QUEUED, 0.0)
    for name, moment in limits.items():
        setattr(call, name, moment)
    table.queues.enqueue(call)
    table.arm(call)
    return call


def test_calls_are_due_in_the_order_of_their_limits(table: CallTable) -> None:
    late, early = waiting(table, 1, deadline=9.0), waiting(table, 2, queue_deadline=5.0)
    waiting(table, 3)
    assert list(table.due(4.9)) == []
    assert list(table.due(10.0)) == [early, late]
    assert list(table.due(1e9)) == []


def test_a_limit_that_moved_is_watched_where_it_is_now(table: CallTable) -> None:
    call = waiting(table, deadline=5.0)
    call.deadline = 8.0
    assert list(table.due(6.0)) == []
    assert list(table.due(8.0)) == [call]


def test_a_call_that_is_over_is_not_due(table: CallTable) -> None:
    call = waiting(table, deadline=5.0)
    table.forget(call)
    assert list(table.due(6.0)) == []


def test_calls_that_are_over_are_not_kept_for_their_deadline(table: CallTable) -> None:
    live = waiting(table, 1, deadline=5.0)
    for number in range(10, 10 + 3 * SPENT_TIMERS):
        table.forget(waiting(table, number, deadline=3600.0), remember=False)
    assert len(table._timers) <= SPENT_TIMERS + 3
    assert list(table.due(5.0)) == [live]


def test_a_call_that_ends_leaves_its_queue_and_stays_until_its_client_has_the_outcome(
    table: CallTable,
) -> None:
    call = waiting(table)
    table.end(call, CallEvent.REJECTED, UsageError("no"), now=1.0)
    assert table.queues.targets() == []
    assert call.state is CallState.REJECTED
    assert list(table.by_id) == [call.call_id]
    table.forget(call)
    assert table.by_id == {}
    assert call.call_id in table.tombstones


def test_what_was_forgotten_is_known_for_a_day(table: CallTable) -> None:
    deadlines = Deadlines(table, Dispatcher(table))
    assert KEPT == 24 * 3600.0
    deadlines.handle_timeout(0.0)
    table.forget(waiting(table, 1))
    deadlines.handle_timeout(KEPT)
    deadlines.handle_timeout(KEPT + 1)
    assert (1).to_bytes(16) in table.tombstones
    deadlines.handle_timeout(2 * KEPT + 1)
    assert (1).to_bytes(16) not in table.tombstones


def test_an_error_that_lists_thousands_of_names_still_rides_in_its_message() -> None:
    error = NotFound("Online: " + "ñ" * 1_000_000, node_id="漢" * NAME_LIMIT)
    finished = failed(7, error, may_have_run=False)
    assert decode(encode(finished)) == finished
