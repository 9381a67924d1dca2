"""Which nodes there are, without asking: as true as if it were asked."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from easyremote.client.client import Client
from easyremote.errors import EasyRemoteError
from tests.processes import LIMIT, Gateway, end, online, start_gateway, wait_until


def known(client: Client) -> set[str]:
    return {node.node_id for node in client.known_nodes() if node.state == "online"}


def count_questions(client: Client, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The functions of the gateway that are called from now on."""
    asked, start = list[str](), client.start

    def noted(function: str, *args: object, **how: object) -> object:
        asked.append(function)
        return start(function, *args, **how)  # type: ignore[arg-type]  # handed on as they come

    monkeypatch.setattr(client, "start", noted)
    return asked


def test_nodes_that_come_and_go_are_known_without_a_question(
    gateway: Gateway, node: subprocess.Popen[str], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert known(client) == {"gpu-node"}
    asked = count_questions(client, monkeypatch)
    for _ in range(100):
        known(client)
    assert asked == []
    brief = gateway.start_node("brief")
    try:
        # What was told comes before what is asked later, on the one connection.
        wait_until(lambda: "brief" in online(client))
        assert known(client) == {"gpu-node", "brief"}
    finally:
        end(brief)
    wait_until(lambda: "brief" not in online(client))
    assert known(client) == {"gpu-node"}
    assert set(asked) == {"$nodes"}


def test_after_the_gateway_was_away_it_is_asked_anew(tmp_path: Path) -> None:
    first = start_gateway(tmp_path)
    node = first.start_node("stays")
    with first.client() as client:
        assert known(client) == {"stays"}
        end(first.process)
        end(node)
        second = start_gateway(tmp_path, int(first.address.rpartition(":")[2]))
        try:
            wait_until(lambda: client.is_connected)
            assert known(client) == set()
        finally:
            end(second.process)


def test_a_gateway_that_is_gone_is_not_answered_for(tmp_path: Path) -> None:
    gateway = start_gateway(tmp_path)
    client = Client(gateway.address, gateway.keys["client"], timeout=1.0)
    assert known(client) == set()
    end(gateway.process)
    wait_until(lambda: not client.is_connected)
    closing = threading.Timer(1.0, client.close)
    closing.start()
    with pytest.raises(EasyRemoteError):
        client.known_nodes()
    closing.join()


def test_a_function_is_sent_to_a_node_while_the_gateway_is_away(tmp_path: Path) -> None:
    first = start_gateway(tmp_path)
    node = first.start_node("stays")
    with first.client() as client:
        sent = client.on("stays")
        assert sent.submit(abs, -1).result() == 1
        end(first.process)
        wait_until(lambda: not client.is_connected)
        job = sent.submit(abs, -2)  # it returns, and there is no gateway
        second = start_gateway(tmp_path, int(first.address.rpartition(":")[2]))
        try:
            assert job.result(LIMIT) == 2
        finally:
            end(node)
            end(second.process)


def test_a_forked_process_asks_for_itself(client: Client, node: subprocess.Popen[str]) -> None:
    assert known(client) == {"gpu-node"}
    child = os.fork()
    if child == 0:
        os._exit(0 if known(client) == {"gpu-node"} else 1)
    assert os.waitpid(child, 0)[1] == 0
