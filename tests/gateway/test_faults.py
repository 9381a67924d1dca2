"""What breaks, for real: kill -9 of gateway and node, two nodes of one id, revoked keys."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from easyremote.client.client import Client
from easyremote.errors import (
    CallLost,
    EasyRemoteError,
    GatewayUnreachable,
)
from tests.processes import LIMIT, Gateway, end, online, start_gateway, wait_until


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that a test may kill."""
    started = start_gateway(tmp_path / "home")
    yield started
    end(started.process)


def test_a_killed_gateway_comes_back_and_no_call_is_lost(own: Gateway, tmp_path: Path) -> None:
    node = own.start_node("gpu-node")
    client = own.client()
    marker, started = tmp_path / "marker", tmp_path / "started"
    job = client.call("wait_for", (str(marker), str(started)), node_id="gpu-node")
    wait_until(started.exists)
    own.process.send_signal(signal.SIGKILL)
    own.process.wait(LIMIT)
    again = start_gateway(own.home, int(own.address.split(":")[1]))
    try:
        marker.touch()
        assert job.result(LIMIT) == node.pid
        assert client.execute("add", 1, 2) == 3
    finally:
        client.close()
        end(node)
        end(again.process)
        assert own.process.stdout is not None
        own.process.stdout.close()


def test_a_killed_node_loses_its_call_and_says_that_it_may_have_run(
    own: Gateway, tmp_path: Path
) -> None:
    node = own.start_node("gpu-node")
    client = own.client()
    started = tmp_path / "started"
    job = client.call("wait_for", (str(tmp_path / "never"), str(started)), node_id="gpu-node")
    wait_until(started.exists)
    node.kill()
    node.wait(LIMIT)
    again = own.start_node("gpu-node")
    try:
        with pytest.raises(CallLost, match="'gpu-node' was restarted") as caught:
            job.result(LIMIT)
        assert caught.value.may_have_run
    finally:
        client.close()
        end(again)
        end(node)


def test_a_function_that_kills_its_node_is_lost_at_once_when_the_node_is_back(
    own: Gateway,
) -> None:
    node = own.start_node("gpu-node")
    client = own.client()
    job = client.call("die", node_id="gpu-node")
    assert node.wait(LIMIT) == 9
    wait_until(lambda: "gpu-node" not in online(client))
    waiting = client.call("add", (1, 2), node_id="gpu-node")
    again = own.start_node("gpu-node")
    try:
        with pytest.raises(CallLost, match="'gpu-node' was restarted while it ran") as caught:
            job.result(LIMIT)
        assert caught.value.may_have_run
        assert waiting.result(LIMIT) == 3
        assert again.poll() is None, "the call was not run again"
    finally:
        client.close()
        end(again)
        end(node)


def test_the_newer_of_two_nodes_with_one_id_wins_and_the_older_stops(own: Gateway) -> None:
    older = own.start_node("gpu-node")
    newer = subprocess.Popen(
        [sys.executable, "-m", "easyremote.node", "--node-id", "gpu-node"],
        env=own.environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        assert older.wait(LIMIT) == 1
        assert older.stdout is not None
        assert "Another process has taken the node id 'gpu-node'" in older.stdout.read()
        assert newer.poll() is None
    finally:
        end(newer)
        end(older)


def test_large_arguments_pass_a_gateway_that_stays_small(own: Gateway) -> None:
    import psutil

    node = own.start_node("gpu-node")
    client = own.client()
    process = psutil.Process(own.process.pid)
    try:
        client.execute("add", 1, 2)
        before = process.memory_info().rss
        array = np.ones(50_000_000, dtype=np.uint8)
        assert client.execute("echo", array).sum() == 50_000_000
        assert process.memory_info().rss - before < 40_000_000
    finally:
        client.close()
        end(node)


def test_sigterm_ends_gateway_and_node_in_good_order(own: Gateway) -> None:
    node = own.start_node("gpu-node")
    client = own.client()
    job = client.call("add", (1, 2))
    assert job.result(LIMIT) == 3
    end(node)
    wait_until(lambda: "gpu-node" not in online(client))
    waiting = client.on("gpu-node").submit("add", 1, 2)
    again = own.start_node("gpu-node")
    assert waiting.result(LIMIT) == 3
    end(again)
    client.close()
    end(own.process)
    assert (node.returncode, own.process.returncode) == (0, 0)


@pytest.mark.parametrize(
    ("address", "error", "text"),
    [
        ("127.0.0.1:1", GatewayUnreachable, "No gateway answers at 127.0.0.1:1"),
        ("no gateway", EasyRemoteError, "is no gateway address"),
    ],
)
def test_a_wrong_address_is_told(
    own: Gateway, address: str, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        Client(address, own.keys["client"]).execute("add", 1, 2)


def test_an_http_server_that_is_no_gateway_is_told(own: Gateway) -> None:
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    port = server.stdout.readline().split("port ")[1].split()[0]
    try:
        with pytest.raises(GatewayUnreachable, match="is no EasyRemote gateway"):
            Client(f"127.0.0.1:{port}", own.keys["client"]).execute("add", 1, 2)
    finally:
        end(server)


def test_a_typo_in_a_key_is_told_before_anything_is_sent(own: Gateway) -> None:
    key = own.keys["client"]
    with pytest.raises(EasyRemoteError, match="has a typo"):
        Client(own.address, key[:-1] + ("0" if key[-1] != "0" else "1"))
    with pytest.raises(EasyRemoteError, match="is a node key"):
        Client(own.address, own.keys["node"])
    environment = {**os.environ, "EASYREMOTE_HOME": str(own.home / "empty")}
    done = subprocess.run(
        [sys.executable, "-m", "easyremote", "nodes"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert "No gateway is configured" in done.stderr
    assert done.returncode == 1
