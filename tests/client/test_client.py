"""`Client` as people use it: threads, event loops, executors, early ends. Three real processes."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import easyremote
from easyremote import remote
from easyremote.client import connection
from easyremote.client.client import Client, connect
from easyremote.client.stream import RemoteStream
from easyremote.errors import CallCancelled, CallTimeout, GatewayUnreachable, UsageError
from tests.processes import LIMIT, Gateway, end_node, wait_until

PROGRAM = str(Path(__file__).with_name("lasting_program.py"))


@pytest.fixture(scope="module")
def node(gateway: Gateway) -> Iterator[subprocess.Popen[str]]:
    process = gateway.start_node("gpu-node", PROGRAM)
    yield process
    with gateway.client() as client:  # what tests leave there would run until it is killed
        for job in client._roster.ask().jobs:
            client.stop(job.call_id)
    end_node(process)


# -- threads and event loops -----------------------------------------------------------------------


def test_threads_share_one_client_and_each_gets_its_own_answers(client: Client) -> None:
    answers: dict[int, list[int]] = {}
    barrier = threading.Barrier(4)

    def work(offset: int) -> None:
        barrier.wait(LIMIT)
        answers[offset] = [client.execute("add", offset, number) for number in range(100)]

    threads = [threading.Thread(target=work, args=(1000 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert answers == {1000 * n: [1000 * n + i for i in range(100)] for n in range(4)}


def test_a_plain_call_works_inside_a_running_event_loop(client: Client) -> None:
    async def main() -> float:
        return client.execute("add", 1, 2)  # type: ignore[no-any-return]

    assert asyncio.run(main()) == 3


def test_many_calls_are_awaited_at_once(client: Client) -> None:
    async def main() -> list[float]:
        return list(await asyncio.gather(*(client.execute_async("add", n, 1) for n in range(50))))

    assert asyncio.run(main()) == [n + 1 for n in range(50)]


def test_the_event_loop_goes_on_while_async_code_waits_for_the_gateway(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT_LIMIT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        unlucky = Client(address, client.settings.api_key)

        @remote(gateway=address, api_key=client.settings.api_key)
        async def add(a: int, b: int) -> int: ...  # type: ignore[empty-body]

        async def main() -> int:
            turns = 0
            calls = [asyncio.ensure_future(unlucky.execute_async("add", 1, 2))]
            calls.append(asyncio.ensure_future(add(1, 2)))
            while not all(call.done() for call in calls):
                await asyncio.sleep(0.01)
                turns += 1
            for call in calls:
                assert isinstance(call.exception(), GatewayUnreachable)
            return turns

        assert asyncio.run(main()) > 5
        unlucky.close()
        connect(address, client.settings.api_key).close()


def test_cancelling_the_task_that_awaits_a_call_stops_the_work(
    client: Client, tmp_path: Path
) -> None:
    async def main() -> None:
        task = asyncio.ensure_future(client.execute_async("forever", str(tmp_path)))
        while not (tmp_path / "started").exists():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    wait_until((tmp_path / "ended").exists)


# -- stopping --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["forever", "forever_async"])
def test_cancel_stops_plain_and_async_functions(client: Client, tmp_path: Path, name: str) -> None:
    job = client.call(name, (str(tmp_path),))
    wait_until((tmp_path / "started").exists)
    assert job.cancel()
    assert isinstance(job.exception(LIMIT), CallCancelled)
    wait_until((tmp_path / "ended").exists)
    assert not job.cancel()


@pytest.mark.parametrize("name", ["forever", "forever_async"])
def test_a_timeout_of_the_client_stops_the_work(
    gateway: Gateway, node: object, tmp_path: Path, name: str
) -> None:
    with Client(gateway.address, gateway.keys["client"], timeout=0.4) as client:
        with pytest.raises(CallTimeout, match=rf"{name}\(\) ran longer than 0.4 s"):
            client.execute(name, str(tmp_path))
    wait_until((tmp_path / "ended").exists)


def test_a_timeout_stops_shipped_code_too(client: Client, tmp_path: Path) -> None:
    folder = str(tmp_path)

    def forever() -> None:
        Path(folder, "started").touch()
        try:
            while True:
                time.sleep(0.01)
        finally:
            Path(folder, "ended").touch()

    client.ship(len, ("its process has started",), {}, node_id="gpu-node").result(LIMIT)
    with pytest.raises(CallTimeout, match="ran longer than 3 s"):
        client.ship(forever, (), {}, timeout=3.0).result(LIMIT)
    wait_until((tmp_path / "ended").exists)


@pytest.mark.parametrize("name", ["endless", "endless_async"])
def test_a_stream_that_is_closed_early_stops_the_generator_on_the_node(
    client: Client, tmp_path: Path, name: str
) -> None:
    stream = client.call(name, (str(tmp_path),), stream=True)
    assert isinstance(stream, RemoteStream)
    for number in stream:
        if number == 3:
            break
    assert not (tmp_path / "ended").exists()
    stream.close()
    wait_until((tmp_path / "ended").exists)
    assert stream.cancelled()


def test_a_shipped_generator_that_is_closed_early_is_stopped(
    client: Client, tmp_path: Path
) -> None:
    folder = str(tmp_path)

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            Path(folder, "ended").touch()

    stream = client.ship(endless, (), {}, stream=True)
    assert isinstance(stream, RemoteStream)
    assert next(stream) == 1
    stream.close()
    wait_until((tmp_path / "ended").exists)


# -- Executor --------------------------------------------------------------------------------------


def test_wait_and_as_completed_know_a_job(client: Client, tmp_path: Path) -> None:
    slow = client.submit("forever", str(tmp_path))
    quick = [client.submit("add", number, 1) for number in range(5)]
    done, pending = concurrent.futures.wait(
        [slow, *quick], LIMIT, concurrent.futures.FIRST_COMPLETED
    )
    assert done and slow in pending
    assert sorted(job.result() for job in concurrent.futures.as_completed(quick, LIMIT)) == [
        1,
        2,
        3,
        4,
        5,
    ]
    slow.cancel()
    done, pending = concurrent.futures.wait([slow], LIMIT)
    assert done == {slow}


def test_map_has_one_limit_for_all_and_stops_the_rest(client: Client, tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(2)]
    for folder in folders:
        folder.mkdir()
    with pytest.raises(concurrent.futures.TimeoutError):
        list(client.map("forever", [str(folder) for folder in folders], timeout=0.5))
    started = [folder for folder in folders if (folder / "started").exists()]
    wait_until(lambda: all((folder / "ended").exists() for folder in started))


def test_an_executor_is_handed_to_asyncio(client: Client) -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(client, os.getpid)  # type: ignore[arg-type]

    assert asyncio.run(main()) != os.getpid()


def test_a_client_that_was_closed_says_so(gateway: Gateway, node: object) -> None:
    with gateway.client() as client:
        assert client.submit("add", 1, 2).result(LIMIT) == 3
    with pytest.raises(UsageError, match="This Client is closed. Make a new one"):
        client.execute("add", 1, 2)
    client.close()


def test_calls_that_are_outstanding_when_a_client_closes_end(
    gateway: Gateway, node: object, tmp_path: Path
) -> None:
    client = gateway.client()
    job = client.submit("forever", str(tmp_path))
    wait_until((tmp_path / "started").exists)
    client.close()
    error = job.exception(LIMIT)
    assert isinstance(error, GatewayUnreachable)
    assert str(error) == "The Client was closed."


# -- connect ---------------------------------------------------------------------------------------


def test_connect_gives_one_client_for_one_gateway(
    gateway: Gateway, node: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASYREMOTE_HOME", str(gateway.home))
    first = easyremote.connect()
    assert easyremote.connect() is first
    assert first.execute("add", 1, 2) == 3
    first.close()
    second = easyremote.connect()
    assert second is not first
    assert second.execute("add", 1, 2) == 3
    assert repr(second) == f"<Client of {gateway.address}>"
    second.close()


# -- the end of a program --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "last_line",
    [
        "jobs = [client.submit('forever', sys.argv[1]) for _ in range(3)]",
        "items = client.call('endless', (sys.argv[1],), stream=True); print(next(items))",
        "threading.Thread(target=client.execute, args=('add', 1, 2), daemon=True).start()",
        "sys.exit(0)",
        "client.close(); client.close()",
    ],
    ids=["jobs", "stream", "thread", "exit", "closed"],
)
def test_a_program_ends_at_once_and_quietly(
    gateway: Gateway, node: object, tmp_path: Path, last_line: str
) -> None:
    script = (
        "import sys, threading, time, easyremote\n"
        "client = easyremote.connect()\n"
        "client.execute('add', 1, 2)\n" + last_line
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env=gateway.environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.stderr, done.returncode) == ("", 0)
