"""`@remote` in all its forms, against a real gateway and node."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from easyremote import remote
from easyremote.client.remote import is_stub
from easyremote.errors import CallCancelled, CannotShip, RemoteError, WorkerCrashed
from tests.processes import LIMIT, Gateway, wait_until

OFFSET = 100


@pytest.fixture(autouse=True)
def configured(gateway: Gateway, node: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASYREMOTE_HOME", str(gateway.home))


def test_a_stub_calls_what_the_node_registered() -> None:
    @remote(node_id="gpu-node")
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        raise NotImplementedError

    assert add(1, 2) == 3
    assert add.submit(1, b=2).result(LIMIT) == 3
    assert list(add.map([1, 2], [3, 4])) == [4, 6]
    assert asyncio.run(add.aio(1, 2)) == 3
    with pytest.raises(NotImplementedError):
        add.local(1, 2)


def test_a_stub_without_a_node_goes_to_any_that_has_the_function() -> None:
    @remote(function_name="add")
    def plus(a: int, b: int) -> int: ...

    assert plus(1, 2) == 3


def test_an_async_stub_is_awaited() -> None:
    @remote(node_id="gpu-node")
    async def add_async(a: int, b: int) -> int: ...

    async def main() -> int:
        return await add_async(1, 2)

    assert asyncio.run(main()) == 3


def test_a_generator_stub_is_iterated() -> None:
    @remote(node_id="gpu-node")
    def count(n: int) -> Iterator[int]:
        yield 0

    assert list(count(5)) == [0, 1, 2, 3, 4]


def test_a_body_is_shipped_with_what_it_uses_and_runs_elsewhere() -> None:
    def helper(x: int) -> int:
        return x + OFFSET

    @remote(node_id="gpu-node")
    def shipped(x: int) -> tuple[int, int]:
        return helper(x), os.getpid()

    value, pid = shipped(1)
    assert (value, pid != os.getpid()) == (101, True)
    assert shipped.local(1)[1] == os.getpid()
    assert [value for value, _ in shipped.map(range(4))] == [100, 101, 102, 103]


def test_a_shipped_generator_streams() -> None:
    @remote(node_id="gpu-node")
    def squares(n: int) -> Iterator[int]:
        for i in range(n):
            yield i * i

    assert list(squares(100)) == [i * i for i in range(100)]


def test_a_shipped_body_raises_with_its_own_lines_and_no_frames_of_ours() -> None:
    @remote(node_id="gpu-node")
    def broken(x: int) -> float:
        return x / 0

    with pytest.raises(ZeroDivisionError) as caught:
        broken(1)
    assert isinstance(caught.value, RemoteError)
    assert "return x / 0" in caught.value.remote_traceback
    assert "node/worker/" not in caught.value.remote_traceback


def test_a_crash_fails_that_call_only_and_at_once() -> None:
    @remote(node_id="gpu-node")
    def crash() -> None:
        os.kill(os.getpid(), 11)

    @remote(node_id="gpu-node")
    def fine() -> int:
        return 1

    with pytest.raises(WorkerCrashed, match="SIGSEGV"):
        crash()
    assert fine() == 1


def test_cancelling_a_shipped_function_interrupts_it() -> None:
    @remote(node_id="gpu-node")
    def forever() -> None:
        while True:
            time.sleep(0.01)

    job = forever.submit()
    while not job.running():
        assert not job.done()
        time.sleep(0.01)
    job.cancel()
    with pytest.raises(CallCancelled):
        job.result(LIMIT)


def test_what_a_shipped_function_prints_is_seen_here(capsys: pytest.CaptureFixture[str]) -> None:
    @remote(node_id="gpu-node")
    def talk() -> int:
        print("hello from there")
        return 1

    assert talk() == 1
    assert capsys.readouterr().out == "hello from there\n"


def test_what_a_function_has_printed_is_seen_by_whoever_asks_after_its_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    @remote(node_id="gpu-node")
    def greet() -> int:
        print("hello from there")
        return 3

    job = greet.submit()
    wait_until(job.done)
    assert (job.result(), job.result()) == (3, 3)
    assert capsys.readouterr().out == "hello from there\n"


def test_a_callback_may_ask_for_the_result_of_a_function_that_prints() -> None:
    @remote(node_id="gpu-node")
    def greet() -> int:
        print("hello from there")
        return 3

    seen: list[int] = []
    job = greet.submit()
    job.add_done_callback(lambda done: seen.append(done.result()))
    assert job.result(LIMIT) == 3
    wait_until(lambda: seen == [3])


class Circle:
    def __init__(self, radius: int) -> None:
        self.radius = radius

    def double(self) -> int:
        return 2 * self.radius


def test_instances_of_classes_with_methods_go_and_come_back_as_such() -> None:
    @remote(node_id="gpu-node")
    def grown(circle: Circle) -> Circle:
        return Circle(circle.double())

    circle = grown(Circle(2))
    assert type(circle) is Circle and circle.double() == 8


def test_a_body_that_cannot_travel_is_named() -> None:
    file = open(__file__)

    @remote(node_id="gpu-node")
    def read() -> str:
        return file.read()

    with file, pytest.raises(CannotShip, match="TextIOWrapper"):
        read()


def test_what_is_a_stub() -> None:
    def empty() -> None:
        pass

    def documented() -> None:
        """Only this."""

    def body() -> int:
        return 1

    assert is_stub(empty)
    assert is_stub(documented)
    assert not is_stub(body)


def test_a_generator_is_iterated_from_async_code_and_for_many_inputs() -> None:
    @remote(node_id="gpu-node")
    def count(n: int) -> Iterator[int]:
        yield 0

    async def main() -> list[int]:
        return [item async for item in count.aio(4)]

    assert asyncio.run(main()) == [0, 1, 2, 3]
    assert [list(stream) for stream in count.map([1, 2])] == [[0], [0, 1]]
    assert list(count.submit(2)) == [0, 1]


def test_an_async_function_starts_when_it_is_awaited() -> None:
    @remote(node_id="gpu-node")
    async def add_async(a: int, b: int) -> int: ...

    async def main() -> list[int]:
        later = add_async(1, 2)
        return [*await asyncio.gather(later, add_async.aio(3, 4)), await add_async.submit(5, 6)]

    assert asyncio.run(main()) == [3, 7, 11]
    assert list(add_async.map([1, 2], [3, 4])) == [4, 6]


def interrupt_when(started: Path) -> threading.Thread:
    """A thread that presses stop as soon as the function runs."""

    def press() -> None:
        wait_until(started.exists)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


def test_an_interrupt_of_a_plain_call_stops_the_work(gateway: Gateway, tmp_path: Path) -> None:
    @remote(node_id="gpu-node")
    def wait_for(marker: str, started: str) -> int: ...

    @remote(node_id="gpu-node")
    def shipped(marker: str, started: str) -> int:
        started_here = __import__("pathlib").Path(started)
        started_here.touch()
        try:
            while not __import__("pathlib").Path(marker).exists():
                time.sleep(0.02)
        except BaseException as error:
            started_here.write_text(type(error).__name__)
            raise
        return 1

    def by_name(marker: str, started: str) -> int:
        with gateway.client() as client:
            value: int = client.execute("wait_for", marker, started)
            return value

    for number, call in enumerate((wait_for, shipped, by_name)):
        started = tmp_path / f"started-{number}"
        thread = interrupt_when(started)
        with pytest.raises(KeyboardInterrupt):
            call(str(tmp_path / "never"), str(started))
        thread.join(LIMIT)
        wait_until(lambda path=started: path.read_text() != "")  # type: ignore[misc]  # bound now
        assert started.read_text() in ("Stopped", "KeyboardInterrupt")
