"""``easyremote node``, which is ``python -m easyremote.node``, in real processes."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from easyremote.client.client import Client
from tests.cli.command import easyremote
from tests.processes import Gateway, end, online, wait_until


@pytest.mark.parametrize("module", ["easyremote", "easyremote.node"])
def test_a_node_says_what_it_lends_serves_it_and_stops_in_good_order(
    gateway: Gateway, module: str, tmp_path: Path
) -> None:
    program = tmp_path / "mine.py"
    program.write_text(
        "from easyremote.node import node\n\n@node.register\ndef triple(x):\n    return 3 * x\n"
    )
    command = ["node"] if module == "easyremote" else []
    process = subprocess.Popen(
        [sys.executable, "-m", module, *command, "--node-id", "mine", "--no-code", str(program)],
        env=gateway.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    client: Client = gateway.client()
    try:
        wait_until(lambda: "mine" in online(client) or process.poll() is not None)
        assert client.execute("triple", 2) == 6
    finally:
        client.close()
        process.terminate()
        said = process.communicate(timeout=30)[0]
    assert process.returncode == 0
    assert "Node mine: registered functions: triple; runs no code." in said
    assert "mine is online at" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--node-id", "a/b"], "can't be a node's id"),
        (["no_such_module"], "There is no module 'no_such_module'"),
        (["no_such_file.py"], "no_such_file.py"),
        (["--label", "two words"], "'two words' can't be a label"),
        (["--gateway", "127.0.0.1:1", "--api-key", "hunter2"], "not an EasyRemote key"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_told(gateway: Gateway, arguments: list[str], words: str) -> None:
    done = easyremote(gateway.home, "node", *arguments)
    assert done.code == 1
    assert words in done.err


def test_a_client_key_does_not_make_a_node(gateway: Gateway) -> None:
    done = easyremote(gateway.home, "node", "--api-key", gateway.keys["client"])
    assert done.code == 1
    assert "is a client key; this needs a node key" in done.err


def test_a_node_without_a_gateway_is_told_what_to_do(tmp_path: Path) -> None:
    done = easyremote(tmp_path, "node")
    assert done.code == 1
    assert "No gateway is configured" in done.err


def test_the_id_is_the_machines_name_if_no_other_is_given(gateway: Gateway) -> None:
    client, machine = gateway.client(), platform.node().split(".")[0]
    process = subprocess.Popen(
        [sys.executable, "-m", "easyremote", "node"],
        env=gateway.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        wait_until(lambda: any(name.startswith(machine) for name in online(client)))
    finally:
        client.close()
        end(process)
