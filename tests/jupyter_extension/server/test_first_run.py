"""What a newcomer does first, in a real Jupyter server: start a node here, connect to a gateway."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
from collections.abc import AsyncIterator, Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio

import easyremote
from easyremote.identity import Key
from tests import processes
from tests.processes import wait_until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

READ_ONLY = """
from jupyter_server.auth import Authorizer
class ReadOnly(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        return action == "read"
"""


@pytest.fixture(scope="module")
def nobodys_home(tmp_path_factory: pytest.TempPathFactory) -> processes.Home:
    return processes.Home(tmp_path_factory.mktemp("nobody"))


@pytest.fixture(scope="module")
def server(
    nobodys_home: processes.Home, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[processes.Jupyter]:
    """A Jupyter server of somebody who has no gateway, under another base URL."""
    folder = tmp_path_factory.mktemp("nobodys-jupyter") / "server"
    with processes.jupyter("jupyter_server", folder, nobodys_home, base_url="/me/") as served:
        yield served


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session


async def ask(
    session: aiohttp.ClientSession, served: processes.Jupyter, path: str, body: object = None
) -> tuple[int, Any]:
    """GET without a body, POST with one."""
    login = {"Authorization": f"token {served.token}"}
    method = "GET" if body is None else "POST"
    url = f"{served.url}easyremote/{path}"
    async with session.request(method, url, headers=login, json=body) as response:
        return response.status, await response.json()


async def test_without_a_gateway_both_ways_are_offered(
    server: processes.Jupyter, session: aiohttp.ClientSession
) -> None:
    assert await ask(session, server, "setup") == (200, {"start": "gateway", "connect": True})


@pytest.fixture(scope="module")
def gateway_home(tmp_path_factory: pytest.TempPathFactory) -> processes.Home:
    return processes.Home(tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture(scope="module")
def gateway(gateway_home: processes.Home) -> Iterator[str]:
    """A gateway of somebody else."""
    with processes.gateway(gateway_home, processes.free_port()) as address:
        yield address


async def test_each_slip_is_told_with_the_field_that_has_to_change(
    server: processes.Jupyter,
    session: aiohttp.ClientSession,
    gateway: str,
    gateway_home: processes.Home,
    nobodys_home: processes.Home,
) -> None:
    good = gateway_home.local["keys"]["client"]
    typo = good[:-1] + ("0" if good[-1] != "0" else "1")
    nothing_there = f"127.0.0.1:{processes.free_port()}"
    cases = [
        ("no address at all", good, "address", "is no gateway address"),
        ("100%s:80", good, "address", "100%s:80"),
        (gateway, "hunter2", "key", "not an EasyRemote key"),
        (gateway, typo, "key", "has a typo"),
        (gateway, gateway_home.local["keys"]["node"], "key", "That is a node key"),
        (gateway, str(Key.generate("client")), "key", "key"),
        (nothing_there, good, "address", nothing_there),
    ]
    for address, key, field, words in cases:
        login = {"address": address, "key": key}
        status, body = await ask(session, server, "setup/connect", login)
        assert (status, body["reason"]) == (400, field), body
        assert words in body["message"]
        assert len(key) < 10 or key.split("_")[3] not in str(body)
    assert not (nobodys_home.path / "login.json").exists()
    assert (await ask(session, server, "setup/connect", {"address": "a"}))[0] == 400
    assert good not in server.log.read_text()


async def test_a_key_that_fits_is_kept_for_its_owner_alone_and_never_comes_back(
    server: processes.Jupyter,
    session: aiohttp.ClientSession,
    gateway: str,
    gateway_home: processes.Home,
    nobodys_home: processes.Home,
) -> None:
    key = gateway_home.local["keys"]["client"]
    login = {"address": gateway, "key": f" {key}\n"}
    kept = nobodys_home.path / "login.json"
    try:
        assert await ask(session, server, "setup/connect", login) == (200, {})
        assert json.loads(kept.read_text())["keys"] == {"client": key}
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert await ask(session, server, "nodes") == (200, {"nodes": []})
        # What would be started here, nobody would see.
        assert await ask(session, server, "setup") == (200, {"start": "", "connect": True})
        status, body = await ask(session, server, "setup/start", {})
        assert (status, body["reason"]) == (409, "usage")
        assert gateway in body["message"]
    finally:
        kept.unlink(missing_ok=True)


async def test_nobody_may_without_logging_in_nor_from_another_page(
    server: processes.Jupyter, session: aiohttp.ClientSession
) -> None:
    for path in ("setup/start", "setup/connect"):
        async with session.post(f"{server.url}easyremote/{path}", json={}) as response:
            assert response.status == 403
    async with session.get(f"{server.url}easyremote/setup") as response:
        assert response.status == 403
    # A browser that is logged in by its cookie, on a page that can't read it.
    async with session.get(f"{server.url}api/status?token={server.token}") as response:
        cookies = SimpleCookie(response.cookies)
    named = {name: morsel.value for name, morsel in cookies.items() if name != "_xsrf"}
    async with session.post(
        f"{server.url}easyremote/setup/start", json={}, cookies=named
    ) as response:
        assert response.status == 403


async def test_who_may_only_read_is_offered_nothing_and_may_not_either(
    session: aiohttp.ClientSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "read_only.py").write_text(READ_ONLY)
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    home = processes.Home(tmp_path / "home")
    options = ["--ServerApp.authorizer_class=read_only.ReadOnly"]
    with processes.jupyter("jupyter_server", tmp_path / "server", home, options=options) as served:
        nothing = (200, {"start": "", "connect": False})
        assert await ask(session, served, "setup") == nothing
        assert (await ask(session, served, "setup/start", {}))[0] == 403
        assert (await ask(session, served, "setup/connect", {}))[0] == 403


async def test_what_is_started_here_runs_code_and_ends_with_the_server_even_if_that_is_killed(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    home = processes.Home(tmp_path / "home")
    with processes.jupyter("jupyter_server", tmp_path / "server", home) as served:
        assert await ask(session, served, "setup/start", {}) == (200, {})
        status, body = await ask(session, served, "nodes")
        assert [node["node_id"] for node in body["nodes"]] == ["this-machine"], status
        with easyremote.Client(home.local["gateway"], home.local["keys"]["client"]) as client:
            job = client.ship(_node_of_process, (), {}, node_id="this-machine", timeout=60)
            node_process = await job
        assert _is_alive(node_process)
        (info,) = (tmp_path / "server" / "runtime").glob("jpserver-*.json")
        os.kill(int(re.findall(r"\d+", info.name)[0]), signal.SIGKILL)
        wait_until(lambda: not _is_alive(node_process))


def _node_of_process() -> int:
    """The process id of the node whose fork server has made the process that runs this."""
    return psutil.Process(os.getppid()).ppid()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
