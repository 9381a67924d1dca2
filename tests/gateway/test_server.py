"""`Server`: every way to start it and to stop it, and that a restart hurts nobody."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from easyremote import Server
from easyremote.client.client import Client
from easyremote.errors import CallTimeout, GatewayUnreachable, UsageError
from easyremote.gateway.keys import KeyStore
from easyremote.gateway.links import Links
from easyremote.identity import Key, read_private
from tests.processes import LIMIT, Gateway, end, start_gateway, wait_until


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def reach(server: Server, home: Path) -> list[object]:
    """The nodes of a gateway that answers."""
    client = Client(server.address, read_private(home / "local.json")["keys"]["client"])
    try:
        return list(client.list_nodes())
    finally:
        client.close()


def test_with_serves_for_the_block_on_a_free_port(home: Path) -> None:
    with Server(port=0, home=home) as server:
        assert server.is_running
        assert not server.address.endswith(":0")
        assert (server.node_count, server.function_count) == (0, 0)
        assert reach(server, home) == []
    assert not server.is_running
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(server.address.split(":")[1])))


def test_async_with_serves_in_the_running_loop(home: Path) -> None:
    async def main() -> Server:
        before = threading.active_count()
        async with Server(port=0, home=home) as server:
            assert not any("gateway" in thread.name for thread in threading.enumerate()), before
            assert await asyncio.to_thread(reach, server, home) == []
        assert not server.is_running
        return server

    asyncio.run(main())


def test_start_async_serves_until_stop(home: Path) -> None:
    async def main() -> None:
        server = Server(port=0, home=home)
        serving = asyncio.create_task(server.start_async())
        async with asyncio.timeout(LIMIT):
            while not server.is_running:
                await asyncio.sleep(0.01)
            server.stop()
            await serving
        assert not server.is_running

    asyncio.run(main())


def test_start_blocks_until_stop_from_another_thread(home: Path) -> None:
    server = Server(port=0, home=home)
    thread = threading.Thread(target=server.start)
    thread.start()
    wait_until(lambda: server.is_running)
    server.stop()
    thread.join(LIMIT)
    assert not thread.is_alive()


def test_stop_is_safe_to_repeat_and_a_server_can_start_again(home: Path) -> None:
    server = Server(port=0, home=home)
    server.stop()
    for _ in range(2):
        server.start_background()
        assert reach(server, home) == []
        server.stop()
        server.stop()
    assert not server.is_running


def test_what_ends_a_server_is_logged_and_raised_by_stop(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(links: Links) -> None:
        raise RuntimeError("it can't say goodbye")

    monkeypatch.setattr(Links, "going_away", fail)
    server = Server(port=0, home=home).start_background()
    with pytest.raises(RuntimeError, match="say goodbye"):
        server.stop()
    assert "The gateway has ended" in caplog.text
    assert "Traceback" in caplog.text
    server.stop()


def test_it_counts_the_nodes_and_functions_that_are_online(home: Path) -> None:
    with Server(port=0, home=home) as server:
        gateway = Gateway(server.address, home, None)  # type: ignore[arg-type]  # it is in here
        node = gateway.start_node("gpu-node")
        try:
            assert server.node_count == 1
            assert server.function_count > 10
        finally:
            end(node)
        wait_until(lambda: server.node_count == 0)
        assert server.function_count == 0


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_port_that_is_taken_is_told_with_what_to_do(home: Path, asynchronous: bool) -> None:
    async def start() -> None:
        async with Server(port=port, home=home):
            raise AssertionError("it can't listen")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"Can't listen on 127.0.0.1:{port}.* --port"):
            asyncio.run(start()) if asynchronous else Server(
                port=port, home=home
            ).start_background()


def test_a_home_that_cannot_be_written_is_told_and_nothing_hangs(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        Server(port=0, home=tmp_path / "file" / "home").start_background()


def test_beyond_loopback_it_wants_tls_or_a_proxy() -> None:
    with pytest.raises(UsageError, match="without TLS would show every key.*--behind-proxy"):
        Server("0.0.0.0")
    Server("0.0.0.0", behind_proxy=True)


def test_the_connection_file_is_private_and_its_keys_stay(home: Path) -> None:
    found = []
    for _ in range(2):
        with Server(port=0, home=home) as server:
            path = home / "local.json"
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert read_private(path)["gateway"] == server.address
            assert read_private(path)["pid"] == os.getpid()
            found.append(read_private(path)["keys"])
    assert found[0] == found[1]


def test_a_locked_file_of_keys_stops_neither_timers_nor_keys_that_expire(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("easyremote.gateway.keys.PATIENCE", 0.1)
    caplog.set_level(logging.INFO, "easyremote.gateway")
    with Server(port=0, home=home) as server, ExitStack() as stack:
        keys = KeyStore(home / "gateway.sqlite3")
        short = str(keys.create("client", "", expires=time.time() + 5))
        keys.close()
        guest = Client(server.address, short).connect()
        stack.callback(guest.close)
        locking = sqlite3.connect(home / "gateway.sqlite3", isolation_level=None)
        stack.callback(locking.close)
        locking.execute("BEGIN EXCLUSIVE")
        gateway = Gateway(server.address, home, None)  # type: ignore[arg-type]  # it is in here
        stack.callback(end, gateway.start_node("gpu-node"))  # its owner can't be written
        wait_until(lambda: "The look at the file of keys failed" in caplog.text)
        assert "Traceback" in caplog.text
        assert "database is locked" in caplog.text

        client = gateway.client()
        stack.callback(client.close)
        gate = str(home / "gate")
        held = [
            client.call("wait_for", (gate, str(home / f"{n}")), node_id="gpu-node")
            for n in range(80)  # more than there are slots
        ]
        with pytest.raises(CallTimeout, match="No turn came within"):
            client.call("add", (1, 2), node_id="gpu-node", timeout=0.3).result(LIMIT)
        wait_until(lambda: not guest.is_connected)

        locking.execute("ROLLBACK")
        wait_until(lambda: "The look at the file of keys works again" in caplog.text)
        Path(gate).touch()
        assert len({job.result(LIMIT) for job in held}) == 1
    keys = KeyStore(home / "gateway.sqlite3")
    assert (
        keys.owner_of("gpu-node")
        == Key.parse(read_private(home / "local.json")["keys"]["node"]).key_id
    )
    keys.close()


# -- stop, seen from the other side ----------------------------------------------------------------


@pytest.fixture
def own(home: Path) -> Iterator[Gateway]:
    started = start_gateway(home)
    yield started
    end(started.process)


def test_a_restart_in_good_order_surfaces_no_error(own: Gateway, tmp_path: Path) -> None:
    """What runs goes on; what is asked as soon as it is back waits for the node to come back."""
    marker, started = tmp_path / "marker", tmp_path / "started"
    with ExitStack() as stack:
        node, client = own.start_node("gpu-node"), own.client()
        stack.callback(end, node)
        stack.callback(client.close)
        running = client.call("wait_for", (str(marker), str(started)), node_id="gpu-node")
        wait_until(started.exists)
        # More than the node has room for, so that some wait at the gateway.
        more = [client.call("wait_for", (str(marker), str(tmp_path / f"{n}"))) for n in range(40)]
        end(own.process)
        assert own.process.returncode == 0
        wait_until(lambda: not client.is_connected)
        again = start_gateway(own.home, int(own.address.split(":")[1]))
        stack.callback(end, again.process)
        wait_until(lambda: client.is_connected)
        asked = client.call("add", (1, 2))
        marker.touch()
        assert asked.result(LIMIT) == 3
        assert {job.result(LIMIT) for job in [running, *more]} == {node.pid}


def test_a_client_that_dials_while_nothing_listens_is_told_where_it_looked(own: Gateway) -> None:
    end(own.process)
    with pytest.raises(GatewayUnreachable, match="No gateway answers at .* Is it running?"):
        own.client().execute("add", 1, 2)


def test_ctrl_c_stops_a_script_that_serves(home: Path) -> None:
    program = "from easyremote import Server; Server(port=0).start(); print('stopped')"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "EASYREMOTE_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_until((home / "local.json").exists)
    process.send_signal(2)
    assert process.communicate(timeout=LIMIT)[0] == "stopped\n"
    assert process.returncode == 0
