"""`fake_gateway`: calls in one process, as they go through a real gateway."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest

import easyremote
from easyremote import CallTimeout, CannotShip, RemoteError, remote
from easyremote.client.client import connect
from easyremote.errors import NotFound, UsageError
from easyremote.testing import FakeGateway, fake_gateway
from tests.processes import LIMIT


@pytest.fixture
def gateway() -> FakeGateway:
    """One with functions of each kind."""
    made = fake_gateway()

    @made.register
    def add(a: int, b: int = 0) -> int:
        return a + b

    @made.register
    async def later(x: int) -> int:
        return x

    @made.register
    def count(n: int) -> Iterator[int]:
        yield from range(n)

    @made.register
    async def count_later(n: int) -> AsyncIterator[int]:
        for x in range(n):
            yield x

    return made


@remote(node_id="gpu-node")
def add(a: int, b: int = 0) -> int: ...  # type: ignore[empty-body]


@remote
async def later(x: int) -> int: ...  # type: ignore[empty-body]


@remote(gateway="my-vps:8080", api_key="any")
def count(n: int) -> Iterator[int]:
    yield  # type: ignore[misc]


@remote
async def count_later(n: int) -> AsyncIterator[int]:
    yield  # type: ignore[misc]


def test_registered_functions_answer_whatever_gateway_and_node_are_named(
    gateway: FakeGateway,
) -> None:
    async def awaited() -> tuple[int, list[int]]:
        return await later(3), [x async for x in count_later(100)]

    with gateway as client:
        assert client.execute("add", 1, b=2) == 3
        assert client.on("any-node").execute("add", 1) == 1
        assert add(1, 2) == add.submit(1, 2).result(LIMIT) == 3
        assert list(add.map(range(5), range(5))) == [0, 2, 4, 6, 8]
        assert list(count(300)) == list(range(300))
        assert asyncio.run(awaited()) == (3, list(range(100)))
        assert [node.node_id for node in client.list_nodes()] == ["fake-node"]
        names = {function.name for function in client.list_functions()}
        assert names == {"add", "later", "count", "count_later"}


def test_errors_are_those_of_a_real_gateway(gateway: FakeGateway) -> None:
    hold = threading.Event()

    @gateway.register
    def wait() -> None:
        while not hold.wait(0.02):
            pass

    with gateway as client:
        with pytest.raises(TypeError, match="missing") as caught:
            client.execute("add")
        assert isinstance(caught.value, RemoteError)
        with pytest.raises(NotFound, match="Did you mean 'add'"):
            client.execute("ad")
        with pytest.raises(CannotShip, match="lock"):
            client.execute("add", threading.Lock())
        with pytest.raises(CallTimeout):
            client.on(timeout=0.1).execute("wait")
        hold.set()


def test_functions_that_are_sent_run_here_as_copies(gateway: FakeGateway) -> None:
    seen: list[int] = []

    def total(array: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        seen.append(1)
        return float(array.sum())

    async def doubled(x: int) -> int:
        return 2 * x

    def counted() -> Iterator[int]:
        yield from range(2)

    with gateway as client:
        for executor in (client, client.on("gpu-node")):
            assert executor.submit(total, np.ones(300_000)).result(LIMIT) == 300_000
        assert client.submit(doubled, 4).result(LIMIT) == 8
        with pytest.raises(UsageError, match="Register the generator"):
            list(remote(counted)())
    assert seen == [], "the function that ran is a copy, with a list of its own"


def test_a_function_can_be_registered_while_it_runs(gateway: FakeGateway) -> None:
    with gateway as client:
        client.execute("add", 1)
        gateway.register_function("sub", lambda a, b: a - b)
        assert client.execute("sub", 3, 1) == 2


def test_no_machine_is_needed_that_has_what_a_function_needs(gateway: FakeGateway) -> None:
    @gateway.register(resource_requirements={"gpu": 8, "memory": "8TB"}, timeout=LIMIT)
    def train(x: int) -> int:
        return x + 1

    with gateway as client:
        assert client.on(timeout=LIMIT).execute("train", 1) == 2


def test_after_the_block_all_is_as_before(gateway: FakeGateway) -> None:
    with fake_gateway() as outer:
        with gateway as client:
            assert connect() is client
        assert connect() is outer
        with pytest.raises(easyremote.EasyRemoteError):
            client.execute("add", 1, 2)
    for _ in range(2):  # it can be used again
        with gateway as client:
            assert client.execute("add", 1, 2) == 3


def test_nothing_is_left_of_fifty_fakes(gateway: FakeGateway) -> None:
    def fakes(count: int) -> int:
        for _ in range(count):
            with gateway as client:
                client.execute("add", 1, 2)
        return threading.active_count()

    before = fakes(3)
    assert fakes(50) <= before + 3


PROGRAM = """
import socket, sys
def audit(event, args):
    if event in ("socket.connect", "socket.bind", "subprocess.Popen", "os.fork"):
        print(event, args, file=sys.stderr)
        import os; os._exit(3)
sys.addaudithook(audit)
from easyremote.testing import fake_gateway
gateway = fake_gateway()
gateway.register(abs)
with gateway as client:
    print(client.execute("abs", -3))
"""


def test_it_uses_no_socket_and_no_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=LIMIT
    )
    assert done.stdout == "3\n", done.stderr
