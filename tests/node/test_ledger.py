"""The ledger: what a process has begun and done, as its supervisor reads it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from easyremote.node.ledger import SLOT_SIZE, SLOTS, Ledger, memory_file

#: The process and its supervisor.
Pair = tuple[Ledger, Ledger]


@pytest.fixture
def pair() -> Iterator[Pair]:
    file = memory_file()
    made = Ledger(file), Ledger(file)
    os.close(file)
    yield made
    for each in made:
        each.close()


def test_what_a_process_has_begun_and_done_its_supervisor_sees(pair: Pair) -> None:
    process, supervisor = pair
    assert not supervisor.has_begun(1)
    assert process.begin(1)
    assert supervisor.has_begun(1)
    assert supervisor.runs(1)
    assert supervisor.outcome(1) == b""
    process.end(1, b"an outcome")
    assert supervisor.outcome(1) == b"an outcome"
    assert not supervisor.runs(1)
    assert supervisor.has_begun(1)


def test_a_call_that_was_withdrawn_never_begins(pair: Pair) -> None:
    process, supervisor = pair
    assert supervisor.withdraw(2)
    assert process.begin(1)
    assert not process.begin(2)
    assert process.begin(3)


def test_a_call_that_has_begun_is_not_withdrawn(pair: Pair) -> None:
    process, supervisor = pair
    assert process.begin(1)
    assert not supervisor.withdraw(1)
    assert supervisor.runs(1)


def test_an_outcome_that_was_told_otherwise_is_none_here(pair: Pair) -> None:
    process, supervisor = pair
    process.begin(1)
    process.end(1)
    assert supervisor.outcome(1) == b""
    assert not supervisor.runs(1)


def test_only_so_much_of_an_outcome_is_kept(pair: Pair) -> None:
    process, _ = pair
    assert process.holds(b"x" * (SLOT_SIZE - 40))
    assert not process.holds(b"x" * (SLOT_SIZE - 39))


def test_the_slot_of_an_old_call_is_that_of_a_new_one(pair: Pair) -> None:
    process, supervisor = pair
    process.begin(1)
    process.end(1, b"old")
    supervisor.withdraw(1)
    assert process.begin(1 + SLOTS)
    assert supervisor.outcome(1 + SLOTS) == b""
    assert supervisor.runs(1 + SLOTS)
    assert supervisor.outcome(1) == b"old"  # not written over before the new one ends


def test_neighbours_do_not_touch_each_other(pair: Pair) -> None:
    process, supervisor = pair
    for number in range(SLOTS):
        process.begin(number)
        process.end(number, bytes([number]) * (SLOT_SIZE - 40))
    for number in range(SLOTS):
        assert supervisor.outcome(number) == bytes([number]) * (SLOT_SIZE - 40)


def test_whoever_is_first_a_call_is_never_both_begun_and_withdrawn(pair: Pair) -> None:
    process, supervisor = pair
    begun: list[bool] = []
    withdrawn: list[bool] = []
    together = threading.Barrier(2)

    def begin() -> None:
        for number in range(1, SLOTS):
            together.wait()
            begun.append(process.begin(number))

    thread = threading.Thread(target=begin)
    thread.start()
    for number in range(1, SLOTS):
        together.wait()
        withdrawn.append(supervisor.withdraw(number))
    thread.join()
    assert not any(map(bool.__and__, begun, withdrawn))


def test_it_outlives_its_process() -> None:
    file = memory_file()
    supervisor = Ledger(file)
    code = (
        "import os, sys; from easyremote.node.ledger import Ledger\n"
        "ledger = Ledger(int(sys.argv[1]))\n"
        "ledger.begin(1); ledger.end(1, b'kept'); ledger.begin(2); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], pass_fds=[file])
    os.close(file)
    assert supervisor.outcome(1) == b"kept"
    assert supervisor.runs(2)
    supervisor.close()


def test_an_interrupt_is_that_of_one_call(pair: Pair) -> None:
    process, supervisor = pair
    assert not process.is_interrupted(1)
    supervisor.interrupt(1)
    assert process.is_interrupted(1)
    assert not process.is_interrupted(2)
    assert not process.is_interrupted(1 + SLOTS)
