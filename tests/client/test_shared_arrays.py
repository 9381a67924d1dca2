"""Large arguments of functions that are sent: once a node, in memory that its processes share."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from easyremote import remote
from easyremote.client import shipping
from easyremote.client.client import Client
from easyremote.errors import CallLost
from easyremote.node.blob_store import BlobStore
from easyremote.protocol.builtins import KEEP
from tests.processes import LIMIT, Gateway, end, wait_until

#: Four megabytes: more than goes along with each call.
COUNT = 500_000
Array = np.ndarray[Any, Any]

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /dev/shm and /proc")


@pytest.fixture
def array() -> Array:
    """Content that no other test has sent."""
    return np.random.default_rng().random(COUNT)


@pytest.fixture
def sent(client: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The blobs that the client has sent."""
    found: list[str] = []
    start = client.start

    def noting(function: str, *args: Any, **options: Any) -> Any:
        if function == KEEP:
            found.append(function)
        return start(function, *args, **options)

    monkeypatch.setattr(client, "start", noting)
    yield found


def total(array: Array) -> float:
    return float(array.sum())


def kept_by(node: subprocess.Popen[str]) -> list[Path]:
    return list(Path("/dev/shm").glob(f"easyremote-blobs-{node.pid}/*/*"))


def test_many_calls_with_one_array_send_it_once(
    client: Client, sent: list[str], array: Array
) -> None:
    jobs = [client.submit(total, array) for _ in range(20)]
    assert {job.result(LIMIT) for job in jobs} == {float(array.sum())}
    assert client.on("gpu-node").submit(total, array).result(LIMIT) == array.sum()
    assert len(sent) == 1


@linux
def test_processes_map_one_memory_and_copy_none_of_it(client: Client, array: Array) -> None:
    def mapped_from(array: np.ndarray[Any, Any]) -> str:
        address = array.__array_interface__["data"][0]
        with open("/proc/self/maps") as maps:
            for line in maps:
                start, stop = (int(each, 16) for each in line.split()[0].split("-"))
                if start <= address < stop:
                    return line.split()[-1]
        return ""

    files = {client.submit(mapped_from, array).result(LIMIT) for _ in range(4)}
    (file,) = files
    assert file.startswith("/dev/shm/easyremote-blobs-")


def test_what_a_function_writes_into_its_argument_no_other_call_sees(
    client: Client, array: Array
) -> None:
    def spoil(array: np.ndarray[Any, Any]) -> float:
        array[:] = -1.0
        return float(array.sum())

    before = array.copy()
    for _ in range(4):
        assert client.submit(spoil, array).result(LIMIT) == -COUNT
        assert client.submit(total, array).result(LIMIT) == before.sum()
    assert (array == before).all()


def test_what_can_not_be_written_to_here_can_not_be_there(client: Client, array: Array) -> None:
    def may_write(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> tuple[bool, bool]:
        return one.flags.writeable, other.flags.writeable

    fixed = array + 1
    fixed.flags.writeable = False
    assert client.submit(may_write, array, fixed).result(LIMIT) == (True, False)


def test_each_call_gets_an_array_as_it_was_when_the_call_was_submitted(
    client: Client, array: Array
) -> None:
    jobs = []
    expected = []
    for number in range(5):
        array[:] = number
        expected.append(float(number * COUNT))
        jobs.append(client.submit(total, array))
    assert [job.result(LIMIT) for job in jobs] == expected


def test_arrays_in_containers_and_in_what_a_function_reaches_are_sent_once(
    client: Client, sent: list[str], array: Array
) -> None:
    def reached(x: int) -> float:
        return float(array[x])

    def inside(value: dict[str, list[np.ndarray[Any, Any]]]) -> float:
        return float(value["a"][0][1])

    for _ in range(3):
        assert client.submit(reached, 2).result(LIMIT) == array[2]
        assert client.submit(inside, {"a": [array]}).result(LIMIT) == array[1]
    assert len(sent) == 1


def test_a_remote_function_called_awaited_and_mapped_sends_it_once(
    gateway: Gateway, client: Client, array: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASYREMOTE_HOME", str(gateway.home))

    @remote(node_id="gpu-node")
    def at(array: np.ndarray[Any, Any], index: int) -> float:
        return float(array[index])

    assert at(array, 1) == array[1]
    assert asyncio.run(at.aio(array, 2)) == array[2]
    assert list(at.map([array] * 4, range(4))) == list(array[:4])


def test_an_event_loop_goes_on_while_a_large_argument_is_sent(
    gateway: Gateway, client: Client, array: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASYREMOTE_HOME", str(gateway.home))
    there = threading.Event()
    bring = shipping.bring_blobs

    def held_up(*args: Any) -> set[bytes]:
        assert there.wait(LIMIT), "the event loop stood still"
        return bring(*args)

    monkeypatch.setattr("easyremote.client.shipping.bring_blobs", held_up)

    @remote(node_id="gpu-node")
    def at(array: np.ndarray[Any, Any], index: int) -> float:
        return float(array[index])

    async def main() -> float:
        called = asyncio.create_task(at.aio(array, index=2))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(there.set)
        return await called

    assert asyncio.run(main()) == array[2]


def test_a_callback_that_submits_does_not_wait_for_the_thread_that_it_is_on(
    client: Client, array: Array
) -> None:
    then: list[Any] = []
    client.submit(abs, 1).add_done_callback(lambda _: then.append(client.submit(total, array)))
    wait_until(lambda: bool(then))
    assert then[0].result(LIMIT) == array.sum()


@linux
def test_a_blob_that_had_to_go_before_its_turn_ends_its_call_and_says_that_it_did_not_run(
    gateway: Gateway, client: Client, array: Array
) -> None:
    node = gateway.start_node("forgetful")
    pool = client.on("forgetful")
    assert pool.submit(total, array).result(LIMIT) == array.sum()

    def forget() -> None:
        for path in kept_by(node):
            path.unlink()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("easyremote.client.shipping.bring_blobs", lambda _, packed, *__: packed.blobs)
        forget()
        error = pool.submit(total, array).exception(LIMIT)
    assert isinstance(error, CallLost)
    assert not error.may_have_run
    assert pool.submit(total, array).result(LIMIT) == array.sum()
    end(node)
    assert kept_by(node) == []


@linux
def test_a_node_without_room_for_it_gets_an_array_with_each_call(
    client: Client, array: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("easyremote.client.shipping.bring_blobs", lambda *_: set())
    assert client.submit(total, array).result(LIMIT) == array.sum()
    assert BlobStore("nobody", 1, limit=10).keep(b"h" * 32, bytes(array.data)) is False
