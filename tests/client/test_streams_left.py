"""Remote generators whose caller goes before their end: they keep no process and no slot."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from easyremote import Client
from easyremote.client import remote_options
from easyremote.client.stream import RemoteStream
from tests.processes import LIMIT, Gateway, end_node, wait_until

#: More than the processes and the slots of the node.
MANY = 12


@pytest.fixture(scope="module")
def node(gateway: Gateway) -> Iterator[subprocess.Popen[str]]:
    process = gateway.start_node("gpu-node")
    yield process
    end_node(process)


def numbers() -> Iterator[int]:
    n = 0
    while True:
        yield n
        n += 1


def shipped(client: Client) -> RemoteStream[int]:
    stream = client.ship(numbers, (), {}, stream=True)
    assert isinstance(stream, RemoteStream)
    return stream


def registered(client: Client) -> RemoteStream[int]:
    stream = client.call("count", (10**9,), stream=True)
    assert isinstance(stream, RemoteStream)
    return stream


KINDS = pytest.mark.parametrize("begin", [shipped, registered])
Begin = Callable[[Client], RemoteStream[int]]


def is_free(client: Client) -> bool:
    """Whether the node still does other work: all its processes and slots would be taken."""
    return client.submit(pow, 2, 3).result(LIMIT) == 8 and client.execute("add", 1, 2) == 3


@KINDS
def test_a_loop_that_is_left_stops_its_generator(client: Client, begin: Begin) -> None:
    for _ in range(MANY):
        for number in begin(client):
            if number == 3:
                break
    assert is_free(client)


@KINDS
def test_a_loop_that_raises_stops_its_generator(client: Client, begin: Begin) -> None:
    for _ in range(MANY):
        with pytest.raises(ZeroDivisionError):
            for number in begin(client):
                1 // (3 - number)
    assert is_free(client)


@KINDS
def test_a_stream_that_nobody_took_an_item_of_is_stopped(client: Client, begin: Begin) -> None:
    for _ in range(MANY):
        begin(client)
    gc.collect()
    assert is_free(client)


@KINDS
def test_an_async_loop_that_is_left_stops_its_generator(client: Client, begin: Begin) -> None:
    async def loop() -> None:
        async for number in begin(client):
            if number == 3:
                return

    for _ in range(MANY):
        asyncio.run(asyncio.wait_for(loop(), LIMIT))
    assert is_free(client)


def test_a_stream_that_is_kept_goes_on(client: Client) -> None:
    stream = shipped(client)
    first = [next(stream) for _ in range(100)]
    gc.collect()
    assert first + [next(stream) for _ in range(200)] == list(range(300))
    stream.close()


def test_an_interrupt_in_a_loop_stops_its_generator(
    gateway: Gateway, node: object, client: Client, tmp_path: Path
) -> None:
    """Also where the traceback is kept, as in a notebook."""
    program = textwrap.dedent("""
        import os, pathlib, signal, sys, threading
        from easyremote import Client
        from tests.client.test_streams_left import MANY, is_free
        def silent():
            yield 1
            while True:
                __import__("time").sleep(0.05)
        kept = []
        client = Client()
        for _ in range(MANY):
            try:
                for number in client.ship(silent, (), {}, stream=True):
                    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            except KeyboardInterrupt as error:
                kept.append(error)
        print(len(kept) == MANY and is_free(client))
    """)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=gateway.environment() | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.stdout == "True\n", done.stderr


def test_a_client_that_is_killed_leaves_no_generator_behind(
    gateway: Gateway, node: object, client: Client
) -> None:
    assert remote_options.STREAM_HOLD == 30.0  # the other client asks for less
    program = textwrap.dedent("""
        from easyremote import Client
        from easyremote.client import remote_options
        from tests.client.test_streams_left import numbers
        remote_options.STREAM_HOLD = 1.0
        client = Client()
        streams = [client.ship(numbers, (), {}, stream=True) for _ in range(2)]
        print([next(stream) for stream in streams], flush=True)
        input()
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=gateway.environment() | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "[0, 0]\n"
        other.send_signal(signal.SIGKILL)
    # When their hold is over, the same user's next script has its turn.
    wait_until(lambda: is_free(client))
