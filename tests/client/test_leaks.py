"""What fifty rounds leave behind: no descriptor, no thread, no process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import psutil
import pytest

from easyremote import ComputeNode
from easyremote.client.client import Client
from easyremote.client.session import Session
from easyremote.errors import CallCancelled
from easyremote.node.leaving import DRAIN_TIMEOUT
from tests.processes import LIMIT, Gateway, end, wait_until

ROUNDS = 50


def test_fifty_clients_leave_neither_descriptors_nor_threads(
    gateway: Gateway, node: subprocess.Popen[str]
) -> None:
    def one_round() -> None:
        with gateway.client() as client:
            assert client.execute("add", 1, 2) == 3
            stream = client.call("count", (1000,), stream=True)
            next(iter(stream))
            stream.cancel()
            client.submit("echo", b"x" * 300_000)  # left outstanding

    one_round()
    here = psutil.Process()
    descriptors, threads = here.num_fds(), threading.active_count()
    for _ in range(ROUNDS):
        one_round()
    wait_until(lambda: here.num_fds() <= descriptors)
    wait_until(lambda: threading.active_count() <= threads)


def test_clients_that_go_while_they_send_leave_no_call_that_a_stopping_node_waits_for(
    gateway: Gateway,
) -> None:
    process = gateway.start_node("brief")
    for _ in range(10):
        with gateway.client() as client:
            client.connect()
            client.call("echo", (b"x" * 300_000,), node_id="brief")
    process.send_signal(signal.SIGTERM)
    try:
        assert process.wait(DRAIN_TIMEOUT / 2) == 0
    finally:
        end(process)


@pytest.mark.parametrize(
    "last_line", ["", "client.close()", "sys.exit(0)", "raise SystemExit", "1 / 0"]
)
def test_a_program_that_ends_has_confirmed_what_it_got(gateway: Gateway, last_line: str) -> None:
    """The node would hold it for minutes, and wait for its way back when it stops."""
    script = (
        "import sys, easyremote\n"
        "client = easyremote.connect()\n"
        "print(client.on('mine').execute('double', 21))\n" + last_line
    )
    node = ComputeNode(gateway.address, "mine", api_key=gateway.keys["node"])
    node.register(lambda number: 2 * number, name="double")
    with node:
        command = [sys.executable, "-c", script]
        done = subprocess.run(
            command, env=gateway.environment(), capture_output=True, text=True, timeout=LIMIT
        )
        assert done.stdout == "42\n", done.stderr
        assert node._served is not None
        held = node._served._registered
        wait_until(lambda: not len(held))


def test_one_that_is_closed_before_it_is_connected_leaves_no_connection(gateway: Gateway) -> None:
    client = gateway.client()
    client._connection.begin()
    line = client._connection._line
    assert line is not None
    client.close()
    assert line.said_all.wait(LIMIT)


def test_fifty_refused_clients_leave_nothing(gateway: Gateway) -> None:
    def one_round() -> None:
        client = Client("127.0.0.1:1", gateway.keys["client"])
        with pytest.raises(ConnectionError):
            client.execute("add", 1, 2)
        client.close()

    one_round()
    here = psutil.Process()
    descriptors, threads = here.num_fds(), threading.active_count()
    for _ in range(ROUNDS):
        one_round()
    wait_until(lambda: here.num_fds() <= descriptors)
    assert threading.active_count() <= threads


@pytest.mark.long
def test_fifty_shipped_calls_and_sessions_leave_the_node_as_it_was(
    node: subprocess.Popen[str], client: Client
) -> None:
    there = psutil.Process(node.pid)

    def ship(number: int) -> None:
        assert client.submit(abs, -number).result(LIMIT) == number
        client.execute("echo", b"x" * 300_000)
        stream = client.call("count", (1000,), stream=True)
        next(iter(stream))
        stream.cancel()
        assert stream.exception(LIMIT) is None or stream.cancelled()

    def open_and_kill(number: int) -> None:
        job = Session(client, "gpu-node", f"session-{number}").submit_cell(
            {"code": "import time\nwhile True: time.sleep(0.01)", "count": 1}
        )
        wait_until(job.running)
        job.kill()
        assert isinstance(job.exception(LIMIT), CallCancelled)

    ship(0)
    open_and_kill(0)
    children = len(there.children())
    descriptors = there.num_fds()
    for number in range(1, ROUNDS + 1):
        ship(number)
    for number in range(1, 11):  # each starts an interpreter with IPython in it
        open_and_kill(number)
    pool = os.cpu_count() or 1
    # One waits for the next session.
    wait_until(lambda: len(there.children()) <= max(children, pool) + 1)
    # Each process of the pool has its end of a socket pair here.
    wait_until(lambda: there.num_fds() <= descriptors + 2 * pool)
    assert client.execute("add", 1, 2) == 3
