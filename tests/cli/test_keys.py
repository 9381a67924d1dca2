"""``key`` in real processes: what it makes, lists and moves, and what a running gateway does."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from easyremote.client.client import Client
from easyremote.errors import NotAuthorized
from easyremote.gateway.keys import KeyStore
from easyremote.identity import Key
from tests.cli.command import easyremote
from tests.processes import LIMIT, PROGRAM, Gateway, end, online, wait_until


def test_a_key_is_made_listed_and_revoked(gateway: Gateway, node: object) -> None:
    made = easyremote(gateway.home, "key", "create", "--name", "alice").out.strip()
    key = Key.parse(made)
    client = Client(gateway.address, made)
    assert "gpu-node" in online(client)
    line = listed(gateway, key)
    assert line.split()[1:3] == ["client", "valid"]
    assert line.endswith("  never    1       alice")
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
    assert lines[0].split() == ["ID", "KIND", "STATE", "MADE", "EXPIRES", "WEIGHT", "NAME", "NODES"]
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


@pytest.mark.parametrize("kind", ["client", "node"])
def test_every_kind_of_key_can_be_made(tmp_path: Path, kind: str) -> None:
    assert "No keys yet" in easyremote(tmp_path, "key", "list").out
    made = easyremote(tmp_path, "key", "create", "--kind", kind).out.strip()
    assert Key.parse(made).kind == kind


def test_a_key_that_is_not_there_cannot_be_revoked(tmp_path: Path) -> None:
    done = easyremote(tmp_path, "key", "revoke", "nope")
    assert done.code == 1
    assert "There is no key 'nope'. See: easyremote key list" in done.err


@pytest.mark.parametrize("days", ["0", "-1", "nan", "inf", "1e300"])
def test_a_key_expires_after_a_time_that_can_be_waited(tmp_path: Path, days: str) -> None:
    done = easyremote(tmp_path, "key", "create", "--expires", days)
    assert done.code == 2
    assert f"{float(days)} is no finite number above 0" in done.err
    assert "No keys yet" in easyremote(tmp_path, "key", "list").out


def test_the_list_shows_a_key_of_an_older_version_that_expires_beyond_every_calendar(
    tmp_path: Path,
) -> None:
    path = tmp_path / "gateway.sqlite3"
    store = KeyStore(path)
    store.create("client", "far")
    store.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE keys SET expires = 1e300")
    assert easyremote(tmp_path, "key", "list").out.splitlines()[1].endswith("never    1       far")


# -- whose a node id is ----------------------------------------------------------------------------


def start(gateway: Gateway, key: str, *arguments: str) -> subprocess.Popen[str]:
    """A node that shows this key, in the home of the gateway's user."""
    return subprocess.Popen(
        [sys.executable, "-m", "easyremote.node", "--api-key", key, *arguments, str(PROGRAM)],
        env=gateway.environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_a_second_key_gets_neither_the_id_nor_the_calls_of_a_node_until_the_id_is_moved(
    gateway: Gateway, tmp_path: Path
) -> None:
    keys = [
        easyremote(gateway.home, "key", "create", "--kind", "node", "--name", name).out.strip()
        for name in ("owner", "thief")
    ]
    thief = Key.parse(keys[1]).key_id
    owner, client = start(gateway, keys[0], "--node-id", "mine"), gateway.client()
    nodes = [owner]
    try:
        wait_until(lambda: "mine" in online(client))
        marker, started = tmp_path / "marker", tmp_path / "started"
        running = client.call("wait_for", (str(marker), str(started)), node_id="mine")
        wait_until(started.exists)

        second = start(gateway, keys[1], "--node-id", "mine")
        said, _ = second.communicate(timeout=LIMIT)
        assert second.returncode == 1
        assert f"belongs to the key {Key.parse(keys[0]).key_id}" in said
        assert f"easyremote key move-node mine {thief}" in said
        assert owner.poll() is None
        marker.touch()
        assert running.result(LIMIT) == owner.pid
        assert listed(gateway, Key.parse(keys[0])).split()[-2:] == ["owner", "mine"]

        easyremote(gateway.home, "key", "revoke", Key.parse(keys[0]).key_id)
        said, _ = owner.communicate(timeout=LIMIT)
        assert "The key was revoked" in said
        third = start(gateway, keys[1], "--node-id", "mine")
        assert "key move-node" in third.communicate(timeout=LIMIT)[0], "it is still the owner's"

        moved = easyremote(gateway.home, "key", "move-node", "mine", thief)
        assert moved.out == f"The node id mine belongs to the key {thief} now.\n"
        nodes.append(start(gateway, keys[1], "--node-id", "mine"))
        wait_until(lambda: "mine" in online(client))
        assert client.call("add", (1, 2), node_id="mine").result(LIMIT) == 3
    finally:
        client.close()
        for node in nodes:
            end(node)


def test_a_node_whose_id_is_moved_is_told_and_stops(gateway: Gateway) -> None:
    keys = [easyremote(gateway.home, "key", "create", "--kind", "node").out.strip() for _ in "ab"]
    node, client = start(gateway, keys[0], "--node-id", "moved"), gateway.client()
    try:
        wait_until(lambda: "moved" in online(client))
        easyremote(gateway.home, "key", "move-node", "moved", Key.parse(keys[1]).key_id)
        said, _ = node.communicate(timeout=LIMIT)
        assert "The node id 'moved' was given to another key." in said
        assert node.returncode == 1
    finally:
        client.close()
        end(node)
