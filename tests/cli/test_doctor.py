"""``easyremote doctor``: whatever is wrong, it says which step, and what to do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from easyremote.identity import Key
from tests.cli.command import Done, easyremote
from tests.processes import Gateway, end, start_gateway


def wrong(done: Done) -> str:
    """The one thing that it found wrong."""
    assert done.code == 1, done
    (line,) = (line for line in done.out.splitlines() if line.startswith("wrong "))
    assert done.err == ""
    return line


def test_all_is_well(gateway: Gateway, node: object) -> None:
    done = easyremote(gateway.home, "doctor")
    assert done.code == 0
    lines = done.out.splitlines()
    assert all(line.startswith("ok ") for line in lines)
    assert f"gateway {gateway.address}, from the gateway on this machine" in lines[0]
    assert "a client key, from the gateway on this machine" in lines[1]
    assert "the gateway answers in" in lines[2]
    assert "node gpu-node runs code; a call took" in lines[3]


def test_one_node_is_asked_for(gateway: Gateway, node: object) -> None:
    assert easyremote(gateway.home, "doctor", "gpu-node").code == 0


def test_an_unknown_node_is_told_with_those_that_are_there(gateway: Gateway, node: object) -> None:
    line = wrong(easyremote(gateway.home, "doctor", "gpu-nod"))
    assert "Did you mean 'gpu-node'? Online: gpu-node." in line


def test_a_node_without_code_is_well_too(gateway: Gateway, node: object) -> None:
    plain = gateway.start_node("plain", "--no-code")
    try:
        done = easyremote(gateway.home, "doctor", "plain")
        assert done.code == 0
        assert "node plain is online and runs registered functions only: add," in done.out
    finally:
        end(plain)
    line = wrong(easyremote(gateway.home, "doctor", "plain"))
    assert "node plain has been offline for" in line
    assert "easyremote node --node-id plain" in line


def test_no_gateway_is_configured(tmp_path: Path) -> None:
    line = wrong(easyremote(tmp_path, "doctor"))
    assert "No gateway is configured. Start one here: easyremote up." in line
    assert "easyremote login HOST:PORT" in line


def test_there_is_no_key(tmp_path: Path) -> None:
    line = wrong(easyremote(tmp_path, "doctor", EASYREMOTE_GATEWAY="127.0.0.1:1"))
    assert (
        "no client key for the gateway 127.0.0.1:1 (from the variable EASYREMOTE_GATEWAY)" in line
    )
    assert "easyremote key create --kind client" in line


def test_nothing_listens_on_the_port(gateway: Gateway) -> None:
    line = wrong(
        easyremote(
            gateway.home,
            "doctor",
            EASYREMOTE_GATEWAY="127.0.0.1:1",
            EASYREMOTE_API_KEY=gateway.keys["client"],
        )
    )
    assert "No gateway answers at 127.0.0.1:1 (from the variable EASYREMOTE_GATEWAY)" in line
    assert "Is it running? Start it there: easyremote gateway." in line


@pytest.fixture
def web_server() -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    yield "127.0.0.1:" + server.stdout.readline().split("port ")[1].split()[0]
    end(server)


def test_what_listens_is_no_gateway(gateway: Gateway, web_server: str) -> None:
    line = wrong(
        easyremote(
            gateway.home,
            "doctor",
            EASYREMOTE_GATEWAY=web_server,
            EASYREMOTE_API_KEY=gateway.keys["client"],
        )
    )
    assert "is no EasyRemote gateway" in line
    assert "port" in line


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (str(Key.generate("client")), "refuses the key: The gateway does not accept the key"),
        ("hunter2", "not an EasyRemote key"),
        ("the node's", "is a node key; this needs a client key. Make one: easyremote key create"),
    ],
    ids=["unknown", "no key", "a node's"],
)
def test_the_key_is_wrong(gateway: Gateway, key: str, words: str) -> None:
    key = gateway.keys["node"] if key == "the node's" else key
    assert words in wrong(easyremote(gateway.home, "doctor", EASYREMOTE_API_KEY=key))


def test_there_are_no_nodes(tmp_path: Path) -> None:
    alone = start_gateway(tmp_path)
    try:
        line = wrong(easyremote(tmp_path, "doctor"))
        assert "no node is online. Start one" in line
        assert "easyremote node --node-id NAME" in line
    finally:
        end(alone.process)
