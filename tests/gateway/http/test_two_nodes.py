"""One name that two nodes register differently: each registration counts on its own node only."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import LIMIT, Gateway, end, online, start_gateway, wait_until

PROGRAMS = {
    "private": """
from easyremote.node import node

@node.register
def wipe():
    return "private"

@node.register(public=True, auth_required=True)
def guarded():
    return "private"

@node.register
def parts():
    return "private"
""",
    "public": """
from easyremote.node import node

@node.register(public=True)
def wipe():
    return "public"

@node.register(public=True)
def guarded():
    return "public"

@node.register(public=True)
def parts():
    yield from ()
""",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    home = tmp_path_factory.mktemp("home")
    gateway = start_gateway(home)
    nodes = [start(gateway, name, home) for name in PROGRAMS]
    client = gateway.client()
    wait_until(lambda: online(client) == set(PROGRAMS))
    client.close()
    yield gateway
    for node in nodes:
        end(node)
    end(gateway.process)


def start(gateway: Gateway, name: str, home: Path) -> subprocess.Popen[str]:
    program = home / f"{name}.py"
    program.write_text(PROGRAMS[name])
    return subprocess.Popen(
        [sys.executable, "-m", "easyremote.node", "--node-id", name, str(program)],
        env=gateway.environment(),
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def post(gateway: Gateway, name: str, key: str = "") -> Any:
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    url = f"http://{gateway.address}/api/{name}"
    request = urllib.request.Request(url, b"{}", headers, method="POST")
    with urllib.request.urlopen(request, timeout=LIMIT) as answer:
        return json.load(answer)


@pytest.mark.parametrize("name", ["wipe", "guarded"])
def test_an_anonymous_call_only_runs_where_its_function_is_public(
    served: Gateway, name: str
) -> None:
    assert {post(served, name) for _ in range(6)} == {"public"}


def test_a_key_opens_what_is_public_and_asks_for_one_and_nothing_private(served: Gateway) -> None:
    key = served.keys["client"]
    assert {post(served, "guarded", key) for _ in range(6)} <= {"public", "private"}
    assert {post(served, "wipe", key) for _ in range(6)} == {"public"}


def test_whether_a_function_is_a_generator_is_what_the_node_says_where_it_ran(
    served: Gateway,
) -> None:
    assert post(served, "parts") == []
