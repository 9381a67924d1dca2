"""Which process has, or had, a call."""

from __future__ import annotations

from easyremote.node.processes.known import KNOWN_CALLS, KnownCalls
from easyremote.node.processes.process import Process


def test_a_call_is_found_by_the_start_of_its_id_by_its_owner_while_its_process_lives() -> None:
    known, first, second = KnownCalls(), Process("ann", "s", {}), Process("ann", "t", {})
    known.note("ann", "ab01", first)
    known.note("ann", "ab02", second)
    assert known.find("ann", "ab") is second, "the newest one"
    second.is_dead = True
    assert known.find("ann", "ab") is first
    assert known.find("bob", "ab") is None
    assert known.find("ann", "") is None
    assert list(known) == [("ann", "ab01", first), ("ann", "ab02", second)]


def test_the_oldest_calls_are_forgotten() -> None:
    known, process = KnownCalls(), Process("ann", "s", {})
    for number in range(KNOWN_CALLS + 1):
        known.note("ann", f"{number:04x}", process)
    assert known.find("ann", "0000") is None
    assert known.find("ann", "0001") is process
