"""``gateway``, ``up`` and ``key`` in real processes."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from easyremote.client.client import Client
from easyremote.errors import NotAuthorized
from easyremote.identity import Key
from tests.cli.command import easyremote
from tests.conftest import LIMIT, Gateway, end, online, start_gateway, wait_until


def test_the_first_start_shows_the_keys_and_the_later_ones_do_not(tmp_path: Path) -> None:
    said = []
    for last in ("a client:", "key create"):
        started = start_gateway(tmp_path)
        keys, process = started.keys, started.process
        assert process.stdout is not None
        lines = []
        while last not in "".join(lines):
            lines.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        said.append("".join(lines) + process.communicate(timeout=LIMIT)[0])
        assert process.returncode == 0
    assert f"a node:    easyremote login HOST:PORT --key {keys['node']}" in said[0]
    assert f"a client:  easyremote login HOST:PORT --key {keys['client']}" in said[0]
    assert "er_" not in said[1]
    assert "easyremote key create --kind node" in said[1]
    assert said[1].endswith("Stopping.\n")


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for command in ("gateway", "up"):
            done = easyremote(tmp_path, command, "--port", port)
            assert done.code == 1
            assert f"Can't listen on 127.0.0.1:{port}: Address already in use." in done.err
            assert "--port" in done.err


def test_half_of_a_tls_pair_is_told(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").touch()
    done = easyremote(tmp_path, "gateway", "--tls-cert", str(tmp_path / "cert.pem"))
    assert (done.code, "--tls-cert and --tls-key go together" in done.err) == (2, True)


def test_up_is_a_gateway_and_a_node_that_runs_cells(tmp_path: Path) -> None:
    environment = Gateway("", tmp_path, None).environment()  # type: ignore[arg-type]  # not yet
    process = subprocess.Popen(
        [sys.executable, "-m", "easyremote", "up", "--port", "0", "--node-id", "here"],
        env=environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert any("Node here is online, and runs cells." in line for line in process.stdout)
        done = easyremote(tmp_path, "doctor", "here")
        assert (done.code, "node here runs code" in done.out) == (0, True)
    finally:
        end(process)
    assert process.returncode == 0


# -- keys ------------------------------------------------------------------------------------------


def test_a_key_is_made_listed_and_revoked(gateway: Gateway, node: object) -> None:
    made = easyremote(gateway.home, "key", "create", "--name", "alice").out.strip()
    key = Key.parse(made)
    client = Client(gateway.address, made)
    assert "gpu-node" in online(client)
    line = listed(gateway, key)
    assert line.split()[1:3] == ["client", "valid"]
    assert line.endswith("never       alice")
    assert key.secret not in line
    done = easyremote(gateway.home, "key", "revoke", key.key_id)
    assert done.out == f"{key.key_id} is revoked.\n"
    wait_until(lambda: not client.is_connected)  # the gateway closed it
    client.close()
    with pytest.raises(NotAuthorized):
        Client(gateway.address, made).connect()
    assert listed(gateway, key).split()[2] == "revoked"


def listed(gateway: Gateway, key: Key) -> str:
    lines = easyremote(gateway.home, "key", "list").out.splitlines()
    assert lines[0].split() == ["ID", "KIND", "STATE", "MADE", "EXPIRES", "NAME"]
    (line,) = (line for line in lines if line.startswith(key.key_id))
    return line


def test_a_key_that_expires_is_closed_out_when_it_does(gateway: Gateway, node: object) -> None:
    two_seconds = str(2 / 86400)
    made = easyremote(gateway.home, "key", "create", "--expires", two_seconds).out.strip()
    client = Client(gateway.address, made)
    try:
        client.connect()
        wait_until(lambda: not client.is_connected)
    except NotAuthorized:
        pass  # a busy machine: it was over before it was used
    finally:
        client.close()
    assert listed(gateway, Key.parse(made)).split()[2] == "expired"


@pytest.mark.parametrize("kind", ["client", "node", "admin"])
def test_every_kind_of_key_can_be_made(tmp_path: Path, kind: str) -> None:
    assert "No keys yet" in easyremote(tmp_path, "key", "list").out
    made = easyremote(tmp_path, "key", "create", "--kind", kind).out.strip()
    assert Key.parse(made).kind == kind


def test_a_key_that_is_not_there_cannot_be_revoked(tmp_path: Path) -> None:
    done = easyremote(tmp_path, "key", "revoke", "nope")
    assert done.code == 1
    assert "There is no key 'nope'. See: easyremote key list" in done.err
