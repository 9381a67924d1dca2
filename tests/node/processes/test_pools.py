"""Which process of a pool gets a call ahead of its turn."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from easyremote.node.ledger import SLOTS, Ledger, memory_file
from easyremote.node.processes.pools import QUICK, Pool
from easyremote.node.processes.process import Process, RelayedCall
from easyremote.protocol.builtins import CALL
from easyremote.protocol.held import failure
from easyremote.protocol.messages import INLINE_LIMIT


def call() -> RelayedCall:
    return RelayedCall(1, b"c" * 16, 1, CALL, "", "alice", 0.0, 0.0, 0.0, "")


@pytest.fixture
def pool() -> Iterator[Pool]:
    """Two processes that are busy: one has two calls, the other three."""
    made = Pool(4)
    made.ran(QUICK / 2)
    for count in (2, 3):
        process = Process("alice", "", {})
        file = memory_file()
        process.ledger = Ledger(file)
        os.close(file)
        for number in range(1, count + 1):
            each = call()
            each.process, each.inner = process, number
            process.queue.append(each)
            process.last = number
        made.processes.append(process)
    yield made
    for process in made.processes:
        if process.ledger is not None:
            process.ledger.close()


def test_the_one_with_the_shortest_queue_gets_it(pool: Pool) -> None:
    short, long = pool.processes
    assert pool.ahead(call()) is short
    short.queue.extend(long.queue)
    assert pool.ahead(call()) is long


def test_one_that_is_held_up_gets_none_and_does_not_keep_the_other_from_it(pool: Pool) -> None:
    short, long = pool.processes
    short.is_slow = True
    assert pool.ahead(call()) is long
    short.is_slow = False
    short.queue[0].stopping = failure("cancelled", "")
    assert pool.ahead(call()) is long
    long.is_dead = True
    assert pool.ahead(call()) is None


def test_one_that_is_still_being_started_or_idle_gets_none(pool: Pool) -> None:
    short, long = pool.processes
    assert long.ledger is not None
    long.ledger.close()
    long.ledger = None
    short.queue.clear()
    assert pool.ahead(call()) is None


def test_while_functions_are_slow_or_unknown_nothing_is_sent_ahead(pool: Pool) -> None:
    pool.mean_seconds = None
    assert pool.ahead(call()) is None
    pool.mean_seconds = QUICK
    assert pool.ahead(call()) is None


def test_the_mean_follows_the_newest_calls(pool: Pool) -> None:
    for _ in range(100):
        pool.ran(1.0)
    assert pool.mean_seconds == pytest.approx(1.0, abs=0.01)
    for _ in range(100):
        pool.ran(QUICK / 4)
    assert pool.mean_seconds < QUICK


def test_large_arguments_wait_for_a_process_that_is_free(pool: Pool) -> None:
    large = call()
    large.arguments = bytes(INLINE_LIMIT + 1)
    assert pool.ahead(large) is None


def test_no_more_are_sent_ahead_than_the_ledger_can_tell_apart(pool: Pool) -> None:
    short, long = pool.processes
    short.last = long.last = SLOTS - 1
    assert pool.ahead(call()) is short
    short.last = SLOTS
    assert pool.ahead(call()) is long
    long.withdrawn.add(0)
    assert pool.ahead(call()) is None
