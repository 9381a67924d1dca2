"""`AwaitedJournal`: a loop hears of its writes, of many by one wake-up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from easyremote.errors import Closed, InternalError
from easyremote.journal.awaited import AwaitedJournal
from easyremote.journal.journal import Journal
from tests.processes import LIMIT

SCHEMA = "CREATE TABLE IF NOT EXISTS calls (id INTEGER PRIMARY KEY)"
ADD = "INSERT INTO calls VALUES (?)"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(tmp_path, "calls", SCHEMA)
    yield opened
    opened.close()


def test_each_write_is_awaited_and_each_error_is_told(journal: Journal) -> None:
    async def story() -> None:
        awaited = AwaitedJournal(journal)
        await asyncio.wait_for(awaited.write(ADD, (1,), durable=True), LIMIT)
        good, bad = awaited.write([(ADD, (2,)), (ADD, (3,))]), awaited.write(ADD, (1,))
        await asyncio.wait_for(good, LIMIT)
        with pytest.raises(InternalError):
            await asyncio.wait_for(bad, LIMIT)

    asyncio.run(story())
    assert journal.read("SELECT id FROM calls ORDER BY id") == [(1,), (2,), (3,)]


def test_a_loop_that_was_busy_is_woken_once_for_all_that_ended(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        woken: list[object] = []
        call_soon = loop.call_soon_threadsafe

        def counted(*args: object, **more: object) -> object:
            woken.append(args)
            return call_soon(*args, **more)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
        awaited = AwaitedJournal(journal)
        writes = [awaited.write(ADD, (number,)) for number in range(100)]
        journal.write(ADD, (100,)).result(LIMIT)  # the loop is busy until all have ended
        assert len(woken) == 1
        await asyncio.wait_for(asyncio.gather(*writes), LIMIT)
        await asyncio.wait_for(awaited.write(ADD, (101,)), LIMIT)
        assert len(woken) == 2

    asyncio.run(story())


def test_a_write_that_nobody_awaits_any_more_is_made(journal: Journal) -> None:
    async def story() -> None:
        awaited = AwaitedJournal(journal)
        awaited.write(ADD, (1,)).cancel()
        await asyncio.wait_for(awaited.write(ADD, (2,)), LIMIT)
        awaited.write(ADD, (3,))  # and the loop ends

    asyncio.run(story())
    journal.write(ADD, (4,)).result(LIMIT)
    assert len(journal.read("SELECT id FROM calls")) == 4


def test_a_closed_journal_tells_the_loop_too(journal: Journal) -> None:
    async def story() -> None:
        journal.close()
        with pytest.raises(Closed):
            await asyncio.wait_for(AwaitedJournal(journal).write(ADD, (1,)), LIMIT)

    asyncio.run(story())
