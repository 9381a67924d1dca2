"""Logs piece by piece, with jobs that show what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from easyremote.errors import GatewayUnreachable, NotFound
from easyremote.events import ClearOutput, Display, InputRequest, Progress, Stream, StreamName
from easyremote.panel import logs as logs_module
from easyremote.panel.logs import MAX_LOGS, PAGE_LENGTH, Log, Logs
from easyremote.protocol.requests import CallStatus
from tests.panel.test_following import FakeJob

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(10)]
PATIENCE = 5.0


def text(value: str, name: StreamName = "stdout") -> Stream:
    return Stream(name, value)


def shown(page: Any) -> list[tuple[str, str]]:
    return [(piece.kind, piece.text) for piece in page.pieces]


@pytest.fixture
def job() -> FakeJob:
    return FakeJob()


@pytest_asyncio.fixture
async def log(job: FakeJob) -> AsyncIterator[Log]:
    async def follow() -> FakeJob:
        return job

    made = Log(follow)
    yield made
    await made.aclose()


async def test_a_reader_goes_on_where_it_stopped_and_waits_for_more(log: Log, job: FakeJob) -> None:
    job.script.put_nowait(text("one\n"))
    first = await log.page("", 0, PATIENCE)
    assert (shown(first), first.state) == ([("stdout", "one\n")], "running")
    asked = asyncio.create_task(log.page(first.epoch, 1, PATIENCE))
    await asyncio.sleep(0)
    job.script.put_nowait(text("two\n", "stderr"))
    assert shown(await asked) == [("stderr", "two\n")]
    job.script.put_nowait(None)
    last = await log.page(first.epoch, 2, PATIENCE)
    assert (shown(last), last.state) == ([], "done")


async def test_who_waits_for_nothing_is_answered_when_patience_has_run_out(log: Log) -> None:
    page = await log.page("", 0, 0.01)
    assert (page.pieces, page.state, page.start) == ([], "running", 0)


async def test_numbers_of_another_log_begin_anew(log: Log, job: FakeJob) -> None:
    job.script.put_nowait(text("one\n"))
    page = await log.page("of a log that is gone", 40, PATIENCE)
    assert (page.start, shown(page)) == (0, [("stdout", "one\n")])


async def test_figures_are_named_colours_are_left_out_and_bars_are_no_lines(
    log: Log, job: FakeJob
) -> None:
    figure = {"text/plain": "<Figure size 640x480>", "image/png": "iVBO"}
    for event in (
        text("\x1b[31mred\x1b[0m\n"),
        Progress("1", 0, "", 1, 4, "it", 2.0, 1.0, 1.0, "running", leave=True),
        Display(figure),
        ClearOutput(),
        InputRequest(1, "Name? "),
        None,
    ):
        job.script.put_nowait(event)
    while not log.is_over:
        await asyncio.sleep(0)
    assert shown(await log.page("", 0, 0)) == [
        ("stdout", "red\n"),
        ("display", "<Figure size 640x480>\n"),
        ("display", "Name? \n"),
    ]


async def test_a_log_ends_with_the_nodes_traceback(log: Log, job: FakeJob) -> None:
    details = {"type_name": "ValueError", "remote_traceback": "Cell In[3], line 1\nValueError: no"}
    job.answer = CallStatus("done", ("raised", "no", details))
    job.script.put_nowait(None)
    page = await log.page("", 0, PATIENCE)
    assert (shown(page), page.state) == ([("error", details["remote_traceback"])], "failed")


async def test_a_log_that_nobody_keeps_says_so(log: Log, job: FakeJob) -> None:
    job.answer = NotFound("Node 'n' holds nothing of a job.")
    job.script.put_nowait(None)
    page = await log.page("", 0, PATIENCE)
    assert (shown(page), page.state) == ([("error", "Node 'n' holds nothing of a job.")], "lost")


async def test_a_job_that_waits_is_asked_again(
    log: Log, job: FakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs_module, "POLL", 0.01)
    job.answer = CallStatus("queued")
    job.script.put_nowait(None)
    while (await log.page("", 0, 0.001)).state != "queued":
        pass
    job.answer = CallStatus("done")
    job.script.put_nowait(text("my turn\n"))
    job.script.put_nowait(None)
    assert shown(await log.page("", 0, PATIENCE)) == [("stdout", "my turn\n")]


async def test_a_long_log_comes_in_pages(log: Log, job: FakeJob) -> None:
    for _ in range(5):
        job.script.put_nowait(text("x" * (PAGE_LENGTH // 2)))
    job.script.put_nowait(None)
    while not log.is_over:
        await asyncio.sleep(0)
    page = await log.page("", 0, 0)
    assert (len(page.pieces), page.state) == (2, "running")
    assert [len((await log.page(page.epoch, n, 0)).pieces) for n in (2, 4)] == [2, 1]


async def test_only_so_many_logs_are_kept_and_all_tabs_share_one() -> None:
    logs, jobs = Logs(), [FakeJob() for _ in range(MAX_LOGS + 1)]

    def follow(number: int) -> Any:
        async def start() -> FakeJob:
            return jobs[number]

        return start

    owner = object()
    first = logs.get(owner, "0", follow(0))
    assert logs.get(owner, "0", follow(0)) is first
    for number in range(1, MAX_LOGS + 1):
        logs.get(owner, str(number), follow(number))
    await asyncio.sleep(0)
    await logs.trim()
    assert logs.get(owner, "0", follow(0)) is not first
    await logs.aclose()


async def test_a_log_that_lost_its_gateway_is_begun_anew(job: FakeJob) -> None:
    async def gone() -> FakeJob:
        raise GatewayUnreachable("The Client was closed.")

    async def follow() -> FakeJob:
        return job

    logs, owner = Logs(), object()
    with pytest.raises(GatewayUnreachable):
        await logs.get(owner, "a", gone).page("", 0, PATIENCE)
    job.script.put_nowait(text("one\n"))
    page = await logs.get(owner, "a", follow).page("", 0, PATIENCE)
    assert (shown(page), page.state) == ([("stdout", "one\n")], "running")
    await logs.aclose()
