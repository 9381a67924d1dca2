"""`Tombstones`: a day, or a million calls; in little memory."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from easyremote.protocol import tombstones
from easyremote.protocol.tombstones import KEPT, Tombstones

DAY = 24 * 3600.0


def call_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def test_a_call_is_remembered_for_a_day_and_forgotten_after_two() -> None:
    over = Tombstones()
    for now in (0.0, 0.25):
        over.handle_timeout(now)
    over.add(call_id(1))
    over.handle_timeout(DAY)  # the generation turns
    over.handle_timeout(DAY + 1)
    over.add(call_id(2))
    assert call_id(1) in over
    over.handle_timeout(2 * DAY)
    assert call_id(1) in over
    over.handle_timeout(2 * DAY + 1)
    assert call_id(1) not in over
    assert call_id(2) in over


def test_a_call_is_remembered_until_so_many_others_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tombstones, "TOMBSTONES", 100)
    over = Tombstones()
    for number in range(1000):
        assert call_id(number) not in over
        over.add(call_id(number))
        assert all(call_id(each) in over for each in range(max(0, number - 99), number + 1))
        assert not any(call_id(each) in over for each in range(number - 200))


def test_a_generation_that_was_full_early_is_kept_for_its_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tombstones, "TOMBSTONES", 3)
    over = Tombstones()
    over.handle_timeout(0.0)
    for number in range(3):
        over.add(call_id(number))  # it turns
    over.handle_timeout(KEPT - 1)
    over.handle_timeout(KEPT)
    over.handle_timeout(2 * KEPT - 2)
    assert call_id(0) in over


def test_parts_of_two_ids_are_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tombstones, "BUCKETS", 1)  # all of them side by side
    over = Tombstones()
    for number in (1, 2, 3):
        over.add(call_id(number))
    assert call_id(256) not in over
    over.add(call_id(256))
    assert call_id(256) in over


def test_memory_is_flat_at_25_bytes_for_each_id(monkeypatch: pytest.MonkeyPatch) -> None:
    part = 64  # of a million, with as many in each bucket
    most = tombstones.TOMBSTONES // part
    monkeypatch.setattr(tombstones, "TOMBSTONES", most)
    monkeypatch.setattr(tombstones, "BUCKETS", tombstones.BUCKETS // part)
    ids = [random.Random(number).randbytes(16) for number in range(5 * most)]
    sizes = []
    tracemalloc.start()
    try:
        over = Tombstones()
        for number, each in enumerate(ids, 1):
            over.add(each)
            if number % most == most - 1:  # the generations are full
                sizes.append(tracemalloc.get_traced_memory()[0] / most)
    finally:
        tracemalloc.stop()
    assert sizes[0] < 25
    assert max(sizes) < 50


def test_another_process_remembers_the_calls_of_both_generations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tombstones, "TOMBSTONES", 3)
    before, after = Tombstones(), Tombstones()
    for number in range(5):
        before.add(call_id(number))
    after.take_over(before.ids)
    assert all(call_id(number) in after for number in range(5))
    assert call_id(5) not in after
    assert len(before.ids) == 5 * 16
