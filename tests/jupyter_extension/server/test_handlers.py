"""The paths of the extension in a real Jupyter server, with a real gateway and node behind it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp
import psutil
import pytest

from easyremote.client.client import Client
from easyremote.errors import CallError
from easyremote.identity import Key
from easyremote_jupyter.server.handlers import paced
from tests import processes
from tests.processes import LIMIT

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]


class Browser:
    """What a browser tab can ask."""

    def __init__(self, server: processes.Jupyter, session: aiohttp.ClientSession) -> None:
        self.url = f"{server.url}easyremote/"
        self.session = session
        self.login = {"Authorization": f"token {server.token}"}

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.session.get(self.url + path, headers=self.login) as response:
            return response.status, await response.json()

    def stream(self, query: str = "", **headers: str) -> Any:
        url = f"{self.url}stream{query}"
        return self.session.ws_connect(url, headers={**self.login, **headers})


@pytest.fixture
def browser(jupyter: processes.Jupyter, session: aiohttp.ClientSession) -> Browser:
    return Browser(jupyter, session)


async def receive_until(stream: aiohttp.ClientWebSocketResponse, kind: str) -> Any:
    async with asyncio.timeout(LIMIT):
        while (message := await stream.receive_json())["kind"] != kind:
            pass
    return message


async def test_the_nodes_are_those_of_the_gateway(browser: Browser) -> None:
    status, body = await browser.get("nodes")
    assert status == 200
    [node] = body["nodes"]
    assert (node["node_id"], node["state"]) == ("gpu-node", "online")
    assert node["functions"] == ["hold", "train"]


async def test_the_owner_of_a_node_pauses_and_resumes_it(browser: Browser) -> None:
    async def lend(how: str, node_id: str = "gpu-node") -> tuple[int, Any]:
        asked = {"node_id": node_id, "how": how}
        url = f"{browser.url}nodes/lend"
        async with browser.session.post(url, json=asked, headers=browser.login) as response:
            return response.status, await response.json()

    assert await lend("pause") == (200, {"closed": "its owner has paused it"})
    async with browser.stream() as stream, asyncio.timeout(LIMIT):
        message = await receive_until(stream, "snapshot")
        while message["nodes"][0]["lent"] != "paused":
            message = {"nodes": message["nodes"]} | await stream.receive_json()
    assert await lend("resume") == (200, {"closed": ""})
    status, body = await lend("pause", "gpu-nod")
    assert (status, "Did you mean 'gpu-node'?" in body["message"]) == (404, True)
    assert (await lend("stop"))[0] == 400


async def test_the_owner_of_a_node_changes_its_rules(browser: Browser) -> None:
    async def change(node_id: str = "gpu-node", **changes: str | None) -> tuple[int, Any]:
        asked = {"node_id": node_id, "changes": changes}
        url = f"{browser.url}nodes/rules"
        async with browser.session.post(url, json=asked, headers=browser.login) as response:
            return response.status, await response.json()

    none = {"rules": {}, "file": "", "at_start": {}, "refused": {}}
    assert await browser.get("nodes/rules?node=gpu-node") == (200, none)
    status, answer = await change(max_cpu="150%", hours="22-7")
    assert (status, answer["rules"], list(answer["refused"])) == (200, {}, ["max_cpu"])
    assert "not '150%'" in answer["refused"]["max_cpu"]
    assert (await change(max_memory="1TB"))[1]["rules"] == {"max_memory": "1TB"}
    assert await change(max_memory=None) == (200, none)
    assert (await change("gpu-nod"))[0] == 404
    assert (await browser.get("nodes/rules"))[0] == 400


async def test_what_was_used_on_a_node_is_told_by_key(
    browser: Browser, home: processes.Home
) -> None:
    with Client(home.local["gateway"], home.local["keys"]["client"]) as client:
        await asyncio.to_thread(client.execute, "train", 3)
        with pytest.raises(CallError):
            await asyncio.to_thread(client.execute, "train", -1)
    status, used = await browser.get("usage?node=gpu-node")
    (row,) = used["rows"]
    assert (status, row["calls"], row["failed"]) == (200, 2, 1)
    assert row["argument_bytes"] > 0
    assert await browser.get("usage?node=nowhere") == (200, {"rows": []})
    assert (await browser.get("usage"))[0] == 400


async def test_nothing_runs_on_an_idle_node(browser: Browser) -> None:
    assert await browser.get("jobs") == (200, {"jobs": []})


async def test_the_stream_begins_whole_and_goes_on_with_what_changes(browser: Browser) -> None:
    async with browser.stream() as stream, asyncio.timeout(LIMIT):
        message = await receive_until(stream, "snapshot")
        [node] = message["nodes"]
        assert list(message["history"]) == ["gpu-node"]
        while node["cpu"] is None:
            delta = await stream.receive_json()
            assert (delta["kind"], delta["seq"]) == ("delta", message["seq"] + 1)
            message, [node] = delta, delta.get("nodes", [node])
    assert 0 <= node["cpu"] <= 1
    assert 0 < node["memory_used"] < node["memory_total"]
    assert node["received"] >= 0
    assert (node["runs_code"], node["installs"], node["session_idle"]) == (False, False, 86400.0)


async def test_a_tab_that_comes_later_gets_the_samples_of_before(browser: Browser) -> None:
    async with browser.stream() as one, asyncio.timeout(LIMIT):
        await receive_until(one, "snapshot")
        for _ in range(2):
            await receive_until(one, "delta")
        async with browser.stream() as two:
            [cpu, *others] = (await receive_until(two, "snapshot"))["history"]["gpu-node"]
    assert len(cpu) == len(others[-1]) >= 3


async def test_twenty_tabs_make_one_connection_to_the_gateway(
    browser: Browser, home: processes.Home
) -> None:
    port = int(home.local["gateway"].rpartition(":")[2])
    async with contextlib.AsyncExitStack() as stack:
        tabs = [await stack.enter_async_context(browser.stream()) for _ in range(20)]
        for tab in tabs:
            await receive_until(tab, "snapshot")
        for tab in tabs:  # each goes on to get what changes
            await receive_until(tab, "delta")
        peers = [
            each.pid
            for each in psutil.net_connections("tcp")
            if each.raddr and each.raddr.port == port and each.status == psutil.CONN_ESTABLISHED
        ]
    assert len(peers) == 2  # the node, and the Jupyter server


async def test_a_tab_that_wishes_for_less_gets_the_load_less_often(browser: Browser) -> None:
    async with asyncio.timeout(LIMIT):
        while (await browser.get("nodes"))[1]["nodes"][0]["cpu"] is None:
            pass
    async with browser.stream() as quick, browser.stream("?pace=3600") as slow:
        async with asyncio.timeout(LIMIT):
            first = await receive_until(slow, "snapshot")
            seen = 0
            while seen < 2:  # two states of the load
                delta = await receive_until(quick, "delta")
                seen += bool(delta.get("nodes"))
            told = [first]
            while told[-1]["sample"] < delta["sample"]:
                told.append(await receive_until(slow, "delta"))
    assert not any(each.get("nodes") for each in told[1:])


@pytest.mark.parametrize(
    ("wish", "pace"),
    [("", 1.0), ("2.5", 2.5), ("0", 0.5), ("-1", 0.5), ("1e9", 60), ("x", 1.0), ("nan", 0.5)],
)
async def test_the_server_has_limits_for_what_a_tab_may_wish(wish: str, pace: float) -> None:
    assert paced(wish) == pace


async def test_no_part_of_the_key_is_in_what_a_browser_gets(
    browser: Browser, home: processes.Home
) -> None:
    key = Key.parse(home.local["keys"]["client"])
    texts = [str(await browser.get(path)) for path in ("nodes", "jobs")]
    async with browser.stream() as stream:
        texts.append(str(await receive_until(stream, "snapshot")))
    assert "gpu-node" in texts[0]
    assert "gateway" in texts[2]
    for text in texts:
        assert key.secret not in text
        assert key.key_id not in text


async def test_who_can_have_no_stream_asks_again_and_again(browser: Browser) -> None:
    status, first = await browser.get("poll")
    assert status == 200
    message = first["message"]
    assert (message["kind"], message["after"]) == ("snapshot", 0)
    assert [each["node_id"] for each in message["nodes"]] == ["gpu-node"]
    assert first["progress"] == {"kind": "progress", "jobs": {}}
    async with asyncio.timeout(LIMIT):
        sample = message["sample"]
        while sample == message["sample"]:
            _, polled = await browser.get(f"poll?after={message['sample']}")
            sample = polled["message"]["sample"]
    assert polled["message"]["after"] == message["sample"]
    for series in polled["message"]["history"]["gpu-node"]:
        assert len(series) == sample - message["sample"]


@pytest.mark.parametrize("after", ["1000000", "-1", "x"])
async def test_who_polls_with_the_sample_of_another_history_gets_all(
    browser: Browser, after: str
) -> None:
    _, polled = await browser.get(f"poll?after={after}")
    assert polled["message"]["after"] == 0
    assert all(polled["message"]["history"]["gpu-node"])


async def test_a_message_that_is_none_closes_the_stream(browser: Browser) -> None:
    async with browser.stream() as stream:
        await stream.send_str('{"kind": "run", "code": "1"}')
        while (message := await stream.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
        assert stream.close_code == 1007, message


async def test_without_a_gateway_the_answer_is_the_reason(
    unconfigured_jupyter: processes.Jupyter, session: aiohttp.ClientSession
) -> None:
    browser = Browser(unconfigured_jupyter, session)
    status, body = await browser.get("nodes")
    assert (status, body["reason"]) == (503, "not-configured")
    async with browser.stream() as stream:
        message = await receive_until(stream, "unavailable")
        assert message["reason"] == "not-configured"
        await stream.send_json({"kind": "retry"})
        await receive_until(stream, "unavailable")
