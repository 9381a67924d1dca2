"""The gateway never opens what it relays: an audit hook in a real one sees no unpickling at all.

The import contract (`lint-imports`, "The gateway never reaches a serializer") says that it can't;
this says that it doesn't, while every kind of traffic passes.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from easyremote.client.client import Client
from easyremote.client.remote_session import RemoteSession
from easyremote.client.session import Session
from tests.processes import LIMIT, Gateway, end, online

#: What the hook ends the process with.
CAUGHT = 66

#: A gateway that dies as soon as it unpickles, or imports what could; SIGUSR1 makes it try.
PROGRAM = """
import os, signal, sys

FORBIDDEN = ("easyremote.serialize", "easyremote.client", "easyremote.node", "dill", "cloudpickle")

def watch(event, arguments):
    if event == "pickle.find_class":
        end(f"unpickled {arguments[0]}.{arguments[1]}")
    if event == "import" and arguments[0].startswith(FORBIDDEN):
        end(f"imported {arguments[0]}")

def end(what):
    os.write(1, f"caught: {what}\\n".encode())
    os._exit(66)

def provoke(number, frame):
    if sys.argv[1] == "pickle":
        import pickle
        pickle.loads(pickle.dumps(Server))
    else:
        import easyremote.serialize.values

sys.addaudithook(watch)
from easyremote import Server

with Server(port=0) as server:
    signal.signal(signal.SIGUSR1, provoke)
    signal.signal(signal.SIGTERM, lambda number, frame: server.stop())
    print(server.address, flush=True)
    while server.is_running:
        signal.sigtimedwait([], 0.1)
"""


@pytest.fixture(params=["pickle", "import"])
def watched(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Gateway]:
    home = tmp_path / "home"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, request.param],
        env=Gateway("", home, None).environment(),  # type: ignore[arg-type]  # not there yet
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    yield Gateway(address, home, process)
    end(process)


def test_nothing_is_unpickled_while_all_kinds_of_traffic_pass(watched: Gateway) -> None:
    node = watched.start_node("gpu-node")
    client = watched.client()
    try:
        send_all_kinds(watched, client)
        assert online(client) == {"gpu-node"}
        assert watched.process.poll() is None
    finally:
        client.close()
        end(node)
    watched.process.send_signal(signal.SIGUSR1)  # the hook was there all the time, and works
    assert watched.process.wait(LIMIT) == CAUGHT
    assert watched.process.stdout is not None
    assert "caught: " in watched.process.stdout.read()


def send_all_kinds(gateway: Gateway, client: Client) -> None:
    for array in (np.arange(10), np.arange(1_000_000.0)):  # in the message; in streams
        assert (client.execute("echo", array) == array).all()
    assert client.execute("echo", Fraction(1, 2)) == Fraction(1, 2)
    assert list(client.call("count", (100,), stream=True)) == list(range(100))
    assert client.ship(double, (np.arange(3),), {}, node_id="gpu-node").result(LIMIT)[2] == 4
    with pytest.raises(ZeroDivisionError):
        client.execute("divide", 1, 0)
    there = RemoteSession(Session(client, "gpu-node"))
    assert there.run("y = x + 1", out=["y"], x=np.arange(100_000))["y"][5] == 6
    url = f"http://{gateway.address}/api/square"
    with urllib.request.urlopen(url, b'{"x": 3}', timeout=LIMIT) as answer:
        assert json.load(answer) == {"x": 3, "square": 9}
    next(iter(client.watch()))


def double(values: np.ndarray) -> np.ndarray:
    return values * 2


def test_the_gateway_imports_no_serializer() -> None:
    program = (
        "import sys, easyremote.gateway.server, easyremote.gateway.http.api\n"
        "bad = [name for name in sys.modules if name.startswith(('easyremote.serialize', 'dill',"
        " 'cloudpickle', 'easyremote.node', 'easyremote.client'))]\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=LIMIT)
