"""What can be done with a job through a real Jupyter server: its log, its error, its end."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from easyremote.client.client import Client
from easyremote.client.job import RemoteJob
from easyremote.client.session import Session
from easyremote.errors import RemoteError
from easyremote.identity import Key
from tests import processes
from tests.jupyter_extension.server.test_handlers import Browser
from tests.processes import LIMIT

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]

BARS = """
import time
from tqdm import tqdm
print("begun")
for _ in tqdm(range(10_000), desc="epochs"):
    time.sleep(0.02)
"""


@pytest.fixture
def browser(cells_jupyter: processes.Jupyter, session: aiohttp.ClientSession) -> Browser:
    return Browser(cells_jupyter, session)


def start(client: Client, code: str, session: str) -> RemoteJob[dict[str, Any]]:
    cell = {"code": code, "count": 1}
    return Session(client, "cells", session).submit_cell(cell, origin="kernel/cell")


async def post(browser: Browser, path: str) -> tuple[int, Any]:
    async with browser.session.post(browser.url + path, headers=browser.login) as response:
        return response.status, await response.json()


async def listed(browser: Browser, call_id: str) -> Any:
    """The job, as soon as the panel knows of it."""
    async with asyncio.timeout(LIMIT), browser.stream() as stream:
        async for message in stream:
            told = message.json()
            for job in [*told.get("jobs", ()), *told.get("ended", ())]:
                if isinstance(job, dict) and job["call_id"] == call_id:
                    return job


async def whole_log(browser: Browser, call_id: str) -> tuple[str, str]:
    """All of a log's text, and how the job ended."""
    text, start, epoch = "", 0, ""
    while True:
        path = f"jobs/{call_id}/log?start={start}&epoch={epoch}"
        status, page = await browser.get(path)
        assert status == 200, page
        text += "".join(piece["text"] for piece in page["pieces"])
        start, epoch = page["start"] + len(page["pieces"]), page["epoch"]
        if page["state"] not in ("running", "queued"):
            return text, page["state"]


async def test_the_bars_of_a_running_cell_come_by_the_stream_until_it_is_cancelled(
    browser: Browser, cells: Client
) -> None:
    job = start(cells, BARS, "bars")
    counts: list[float] = []
    async with asyncio.timeout(LIMIT), browser.stream() as stream:
        async for message in stream:
            told = message.json()
            if told["kind"] == "progress":
                [bar] = told["jobs"][job.call_id]["bars"]
                counts.append(bar["n"])
                assert (bar["desc"], bar["total"]) == ("epochs", 10_000)
            if len(counts) == 3:
                break
    assert counts == sorted(set(counts))
    # Two browsers cancel one job.
    answers = await asyncio.gather(*(post(browser, f"jobs/{job.call_id}/cancel") for _ in "ab"))
    assert [status for status, _ in answers] == [200, 200]
    with pytest.raises(RemoteError):
        await job
    assert await post(browser, f"jobs/{job.call_id}/cancel") == (200, {"stopped": False})


async def test_a_late_tab_has_the_bars_at_once(browser: Browser, cells: Client) -> None:
    job = start(cells, BARS, "late")
    async with asyncio.timeout(LIMIT), browser.stream() as one:
        while (await one.receive_json())["kind"] != "progress":
            pass
        async with browser.stream() as two:
            kinds = [(await two.receive_json())["kind"] for _ in range(2)]
    assert kinds == ["snapshot", "progress"]
    answer = await post(browser, f"jobs/{job.call_id}/kill")
    assert answer == (200, {"stopped": True})
    assert "its process killed" in str(job.exception(LIMIT))


async def test_a_log_is_read_to_its_end_from_any_number_on(browser: Browser, cells: Client) -> None:
    job = start(cells, "print('one')\nprint('two')\n1/0", "log")
    assert (await listed(browser, job.call_id))["origin"] == "kernel/cell"
    text, state = await whole_log(browser, job.call_id)
    assert state == "failed"
    assert text.startswith("one\ntwo\n")
    assert "ZeroDivisionError" in text
    status, page = await browser.get(f"jobs/{job.call_id}/log?start=100000")
    assert (status, page["start"]) == (200, 0)  # without an epoch, from the beginning
    status, body = await browser.get(f"jobs/{job.call_id}/error")
    assert status == 200
    assert body["error"].endswith("ZeroDivisionError: division by zero")


async def test_what_is_over_is_told_with_how_it_ended(browser: Browser, cells: Client) -> None:
    job = start(cells, "1", "over")
    await job
    ended = await listed(browser, job.call_id)
    while "code" not in ended:
        ended = await listed(browser, job.call_id)
    assert (ended["code"], ended["function"], ended["node_id"]) == ("", "cell", "cells")
    assert await browser.get(f"jobs/{job.call_id}/error") == (200, {"error": ""})


@pytest.mark.parametrize("path", ["log", "error"])
async def test_a_job_that_nobody_knows_is_not_found(
    browser: Browser, cells: Client, path: str
) -> None:
    status, _ = await browser.get(f"jobs/{'0' * 32}/{path}")
    assert status == 404


@pytest.mark.parametrize("bad", ["-1", "x", "1e3", "%D9%A1"])
async def test_a_number_that_is_none_is_refused(browser: Browser, cells: Client, bad: str) -> None:
    status, _ = await browser.get(f"jobs/{'0' * 32}/log?start={bad}")
    assert status == 400


async def test_no_part_of_the_key_is_in_any_answer(
    browser: Browser, cells: Client, cells_home: processes.Home
) -> None:
    key = Key.parse(cells_home.local["keys"]["client"])
    job = start(cells, "import os; print(dict(os.environ)); 1/0", "key")
    await listed(browser, job.call_id)
    texts = [(await whole_log(browser, job.call_id))[0]]
    texts.append(str(await browser.get(f"jobs/{job.call_id}/error")))
    texts.append(str(await post(browser, f"jobs/{job.call_id}/cancel")))
    assert "PATH" in texts[0]
    for text in texts:
        assert key.secret not in text
        assert key.key_id not in text
