"""Sessions through a real Jupyter server: which there are, what is in them, and their end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from easyremote.client.client import Client
from easyremote.client.session import Session
from easyremote.identity import Key
from tests import processes
from tests.jupyter_extension.server.test_handlers import Browser
from tests.jupyter_extension.server.test_jobs_handlers import start
from tests.processes import LIMIT, until_there

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(120)]


@pytest.fixture
def browser(cells_jupyter: processes.Jupyter, session: aiohttp.ClientSession) -> Browser:
    return Browser(cells_jupyter, session)


async def post(browser: Browser, path: str, **body: Any) -> tuple[int, Any]:
    url = f"{browser.url}sessions/{path}"
    async with browser.session.post(url, json=body, headers=browser.login) as response:
        return response.status, await response.json()


async def sessions(browser: Browser, query: str = "") -> dict[str, Any]:
    """What there is, by name."""
    status, body = await browser.get(f"sessions{query}")
    assert (status, body["silent"]) == (200, [])
    return {each["session"]: each for each in body["sessions"]}


async def variables(browser: Browser, session: str) -> Any:
    status, body = await browser.get(f"sessions/variables?node=cells&session={session}")
    assert status == 200, body
    return body


async def test_a_session_is_told_with_where_it_came_from_and_what_is_in_it(
    browser: Browser, cells: Client
) -> None:
    code = "class Range:\n    shape = (2, 3)\n    nbytes = 48\na = Range(); x = '<b>'"
    await start(cells, code, "mine")
    told = (await sessions(browser))["mine"]
    assert (told["node_id"], told["busy"], told["origin"]) == ("cells", False, "kernel/cell")
    assert told["idle"] >= 0
    body = await variables(browser, "mine")
    found = {each["name"]: each for each in body["variables"]}
    assert (found["a"]["type"], found["a"]["shape"], found["a"]["size"]) == ("Range", [2, 3], 48)
    assert found["x"]["text"] == "'<b>'"
    assert "mine" in await sessions(browser, "?node=cells")
    assert await sessions(browser, "?node=another") == {}


async def test_a_variable_is_deleted(browser: Browser, cells: Client) -> None:
    await start(cells, "x = y = 1", "delete")
    wanted = {"node_id": "cells", "session": "delete", "name": "x"}
    assert await post(browser, "delete", **wanted) == (200, {"done": True})
    assert [each["name"] for each in (await variables(browser, "delete"))["variables"]] == ["y"]
    status, body = await post(browser, "delete", **wanted)
    assert (status, "no variable 'x'" in body["message"]) == (404, True)


async def test_while_a_cell_runs_nothing_is_said_or_deleted(
    browser: Browser, cells: Client, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    code = f"import pathlib, time\n{until_there(gate)}"
    job = start(cells, code, "busy")
    async with asyncio.timeout(LIMIT):
        while not (await sessions(browser)).get("busy", {}).get("busy"):
            pass
    assert await variables(browser, "busy") == {"busy": True, "variables": []}
    status, body = await post(browser, "delete", node_id="cells", session="busy", name="x")
    assert (status, body["message"].startswith("x stays: something runs")) == (409, True)
    gate.touch()
    await job
    assert (await variables(browser, "busy"))["busy"] is False


async def test_a_session_is_restarted_empty_and_ended_for_good(
    browser: Browser, cells: Client
) -> None:
    job = start(cells, "import time\nx = 1\ntime.sleep(1000)", "over")
    async with asyncio.timeout(LIMIT):
        while not (await sessions(browser)).get("over", {}).get("busy"):
            pass
    wanted = {"node_id": "cells", "session": "over"}
    assert await post(browser, "restart", **wanted) == (200, {"done": True})
    assert "ended from outside" in str(job.exception(LIMIT))
    assert (await variables(browser, "over"))["variables"] == []
    assert (await sessions(browser))["over"]["origin"] == "kernel/cell"
    assert await post(browser, "end", **wanted) == (200, {"done": True})
    assert "over" not in await sessions(browser)
    assert await post(browser, "end", **wanted) == (200, {"done": False})
    status, _ = await browser.get("sessions/variables?node=cells&session=over")
    assert status == 404


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("end", {}, 400),
        ("end", {"node_id": "cells", "session": ""}, 400),
        ("restart", {"node_id": 1, "session": "a"}, 400),
        ("delete", {"node_id": "cells", "session": "a"}, 400),
        ("delete", {"node_id": "cells", "session": "a", "name": "x" * 1_000_000}, 413),
        ("end", {"node_id": "nowhere", "session": "a"}, 404),
    ],
)
async def test_what_names_no_session_is_refused(
    browser: Browser, cells: Client, path: str, body: dict[str, Any], status: int
) -> None:
    assert (await post(browser, path, **body))[0] == status


async def test_a_look_at_the_variables_is_no_job(browser: Browser, cells: Client) -> None:
    await start(cells, "x = 1", "quiet")
    await variables(browser, "quiet")
    async with asyncio.timeout(LIMIT), browser.stream() as stream:
        while (told := await stream.receive_json())["kind"] != "snapshot":
            pass
    assert {job["function"] for job in [*told["jobs"], *told["ended"]]} <= {"cell"}


async def test_no_part_of_the_key_is_in_any_answer(
    browser: Browser, cells: Client, cells_home: processes.Home
) -> None:
    key = Key.parse(cells_home.local["keys"]["client"])
    await start(cells, "x = 1", "key")
    assert Session(cells, "cells", "key").name == "key"
    texts = [str(await sessions(browser)), str(await variables(browser, "key"))]
    assert "key" in texts[0]
    for text in texts:
        assert key.secret not in text
        assert key.key_id not in text
