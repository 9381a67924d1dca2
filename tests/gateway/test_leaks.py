"""When all is quiet, nothing is left: descriptors, tasks, threads, calls, streams, timers."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from easyremote.client.client import Client
from easyremote.errors import CallCancelled, NotFound
from easyremote.protocol.messages import Function, Register, Resume
from tests.gateway.raw import hello, raw
from tests.processes import LIMIT, Gateway, end, wait_until

ROUNDS = 50

#: A gateway that counts what it has, once for each line that it reads.
PROGRAM = """
import asyncio, gc, json, os, sys, threading
from easyremote import Server

def count():
    gc.collect()
    links = server._links
    every = gc.get_objects()
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        # Not those of the loop's pool: it keeps up to a few of them, and starts them when it needs.
        "threads": sum(
            not each.name.startswith(("asyncio_", "uvloop_", "ThreadPoolExecutor"))
            for each in threading.enumerate()
        ),
        "tasks": len(asyncio.all_tasks(server._loop)),
        "peers": len(links._peers),
        "calls": len(links.calls),
        "at nodes": sum(len(node.calls) + node.busy for node in links.nodes),
        "queues": len(links.calls.table.queues.targets()),
        "watchers": len(links.feed._watchers),
        "links": sum(type(each).__name__ == "Link" for each in every),
        "call objects": sum(type(each).__name__ == "GatewayCall" for each in every),
        "streams": sum(type(each).__name__ in ("Relay", "Outgoing") for each in every),
    }

with Server(port=0) as server:
    print(server.address, flush=True)
    for line in sys.stdin:
        print(json.dumps(count()), flush=True)
"""


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Gateway]:
    home = tmp_path / "home"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "EASYREMOTE_HOME": str(home)},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    address = process.stdout.readline().strip()
    yield Gateway(address, home, process)
    process.stdin.close()
    process.wait(LIMIT)
    process.stdout.close()


def count(gateway: Gateway) -> dict[str, int]:
    assert gateway.process.stdin is not None
    assert gateway.process.stdout is not None
    gateway.process.stdin.write("count\n")
    gateway.process.stdin.flush()
    counts: dict[str, int] = json.loads(gateway.process.stdout.readline())
    return counts


def test_after_fifty_rounds_everything_is_as_it_was(counted: Gateway, tmp_path: Path) -> None:
    node = counted.start_node("gpu-node")
    try:
        for number in range(2):  # what is made once and kept is made now
            one_round(counted, tmp_path / f"warm-{number}")
        wait_until(lambda: count(counted)["peers"] == 1)
        before = count(counted)
        for number in range(ROUNDS):
            one_round(counted, tmp_path / f"round-{number}")
        counts: list[dict[str, int]] = []

        def is_as_before() -> bool:
            counts.append(count(counted))
            return all(counts[-1][name] <= before[name] for name in before)

        try:
            wait_until(is_as_before, 20.0)
        except AssertionError:
            assert counts[-1] == before
    finally:
        end(node)


def one_round(gateway: Gateway, started: Path) -> None:
    """A client and a node come, do all that leaves something behind, and go."""
    client = gateway.client()
    assert client.execute("add", 1, 2) == 3
    assert client.execute("echo", np.ones(200_000)).sum() == 200_000
    assert sum(client.call("count", (10,), stream=True)) == 45
    with pytest.raises(NotFound):
        client.execute("nope")
    job = client.call("wait_for", (str(started) + "-never", str(started)), timeout=600)
    wait_until(started.exists)
    job.cancel()
    with pytest.raises(CallCancelled):
        job.result(LIMIT)
    watching = client.watch()
    next(iter(watching))
    with urllib.request.urlopen(f"http://{gateway.address}/api/square?x=2", timeout=LIMIT) as told:
        assert told.status == 200
    asyncio.run(node_comes_and_goes(gateway, client))
    client.close()


async def node_comes_and_goes(gateway: Gateway, client: Client) -> None:
    async with raw(gateway) as peer:
        await peer.send(hello(gateway, "node", name="guest", instance=os.urandom(16)))
        await peer.hear()
        await peer.send(Register((Function("f"),), 1), Resume(()))
        await peer.hear()
