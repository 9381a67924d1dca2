"""`Store`: how many calls that were forgotten it remembers, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from easyremote.gateway.durable import store as module
from easyremote.gateway.durable.store import Store
from easyremote.protocol.tombstones import KEPT

NOW = 1e9


def call_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


async def forget(folder: Path, numbers: range, now: float = NOW) -> int:
    """Forget some calls; how many tombstones the disk has then."""
    with contextlib.closing(Store(folder)) as store:
        await asyncio.gather(*(store.release(call_id(number), now) for number in numbers))
        ((count,),) = store._journal.read("SELECT count(*) FROM tombstones")
        return int(count)


def remembered(folder: Path, now: float) -> list[int]:
    with contextlib.closing(Store(folder)) as store:
        return [int.from_bytes(each) for each in store.released(now)]


def test_a_call_that_was_forgotten_is_remembered_for_a_day(tmp_path: Path) -> None:
    asyncio.run(forget(tmp_path, range(5)))
    assert remembered(tmp_path, NOW + KEPT - 1) == list(range(5))
    assert remembered(tmp_path, NOW + KEPT) == []
    assert asyncio.run(forget(tmp_path, range(5, 10), NOW + KEPT)) == 5  # the old ones are gone


def test_only_so_many_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOMBSTONES", 7)
    monkeypatch.setattr(module, "_PAGE", 3)
    assert asyncio.run(forget(tmp_path, range(50))) == 7
    assert remembered(tmp_path, NOW) == list(range(43, 50))
