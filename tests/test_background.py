"""Work that fails is logged, once for each failure, and goes on."""

from __future__ import annotations

import asyncio
import logging

import pytest

from easyremote.background import run_every
from tests.processes import LIMIT

LOG = logging.getLogger("easyremote.test")


@pytest.mark.asyncio
async def test_work_that_raises_is_logged_and_done_again(caplog: pytest.LogCaptureFixture) -> None:
    rounds = [ValueError("one"), ValueError("one"), KeyError("two"), None, ValueError("one"), None]
    over = asyncio.Event()

    async def work() -> None:
        if not rounds:
            over.set()
            return
        error = rounds.pop(0)
        if error is not None:
            raise error

    with caplog.at_level(logging.INFO):
        task = asyncio.create_task(run_every(0.0, work, "The work", LOG))
        async with asyncio.timeout(LIMIT):
            await over.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    lines = [(record.levelname, record.getMessage()) for record in caplog.records]
    failed = ("ERROR", "The work failed, and will be tried again in 0 s")
    again = ("INFO", "The work works again")
    assert lines == [failed, failed, again, failed, again]
    assert "Traceback" in caplog.text
    assert "ValueError: one" in caplog.text
