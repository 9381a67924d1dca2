"""``gateway``, ``up`` and ``key`` in real processes."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

from easyremote.identity import Key
from tests.cli.command import easyremote
from tests.processes import LIMIT, Gateway, end, start_gateway


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


def start_up(home: Path, *options: str, log: int = subprocess.STDOUT) -> subprocess.Popen[str]:
    """``easyremote up``, when its node ``here`` is online."""
    gateway = Gateway("", home, None)  # type: ignore[arg-type]  # not yet
    process = subprocess.Popen(
        [sys.executable, "-m", "easyremote", "up", "--port", "0", "--node-id", "here", *options],
        env=gateway.environment() | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    assert process.stdout is not None
    assert any("Node here is online, and runs cells." in line for line in process.stdout)
    return process


def test_up_is_a_gateway_and_a_node_that_runs_cells(tmp_path: Path) -> None:
    process = start_up(tmp_path)
    try:
        done = easyremote(tmp_path, "doctor", "here")
        assert (done.code, "node here runs code" in done.out) == (0, True)
    finally:
        end(process)
    assert process.returncode == 0


def test_up_ends_with_its_node_and_says_so(tmp_path: Path) -> None:
    process = start_up(tmp_path)
    other = easyremote(tmp_path, "key", "create", "--kind", "node").out.strip()
    easyremote(tmp_path, "key", "move-node", "here", Key.parse(other).key_id)
    said, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 1
    assert "The node id 'here' was given to another key." in said
    assert "Node here has ended. The log above says why." in said


def test_the_log_can_be_read_by_programs_and_says_who_came(tmp_path: Path) -> None:
    process = start_up(tmp_path, "--log-json", "--log-level", "info", log=subprocess.PIPE)
    process.send_signal(signal.SIGTERM)
    said = [json.loads(line) for line in process.communicate(timeout=LIMIT)[1].splitlines()]
    loggers = {line["logger"] for line in said}
    assert {"easyremote.gateway", "easyremote.node"} <= loggers
    assert all(logger.startswith("easyremote.") for logger in loggers)
    peers = [line["peer"] for line in said if line["message"].startswith("A node has joined")]
    assert peers == ["node:here"]
