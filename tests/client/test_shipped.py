"""Functions that are sent, many at a time: what they see, and what becomes of each of them."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from easyremote.client.client import Client
from easyremote.client.job import RemoteJob
from easyremote.errors import CallCancelled, WorkerCrashed
from tests.processes import LIMIT, Gateway, wait_until

#: More calls than a node has processes, so that most are sent ahead of their turn.
MANY = 200
factor = 2


def times(x: int) -> int:
    return x * factor


def waits(gate: str) -> str:
    while not os.path.exists(gate):
        time.sleep(0.01)
    return gate


@pytest.fixture
def quick(client: Client) -> Iterator[Client]:
    """A client whose node has just run quick functions, so that it sends calls ahead."""
    for _ in range(2):
        for job in [client.submit(abs, 1) for _ in range(MANY)]:
            job.result(LIMIT)
    yield client


def processes_of(client: Client) -> int:
    (node,) = (each for each in client.list_nodes() if each.node_id == "gpu-node")
    return node.processes or 1


# -- what a function sees --------------------------------------------------------------------------


def test_a_global_that_changed_is_seen_at_the_next_call(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):  # the first loads modules, after which everything is looked at anew
        assert client.submit(times, 3).result(LIMIT) == 6
    monkeypatch.setitem(globals(), "factor", 10)
    assert client.submit(times, 3).result(LIMIT) == 30


def test_defaults_a_closure_code_and_a_list_that_changed_are_seen_at_the_next_call(
    client: Client,
) -> None:
    step, steps = 1, [1]

    def add(x: int, y: int = 5, *, z: int = 7) -> int:
        return x + y + z + step

    def total() -> int:
        return sum(steps)

    def call(function: Callable[..., int], *args: int) -> int:
        return client.submit(function, *args).result(LIMIT)

    for _ in range(3):
        assert (call(add, 0), call(total)) == (13, 1)
    add.__defaults__, add.__kwdefaults__ = (50,), {"z": 70}
    assert call(add, 0) == 121
    assert add.__kwdefaults__ is not None
    add.__kwdefaults__["z"] = 0
    assert call(add, 0) == 51
    step = 1000
    assert call(add, 0) == 1050
    add.__code__ = (lambda x, y, *, z: x - y - step).__code__
    assert call(add, 0) == -1050
    steps.append(10)
    assert call(total) == 11


def test_what_a_call_changes_is_not_seen_by_the_next_one(client: Client) -> None:
    seen: list[int] = []

    def note(x: int) -> list[int]:
        seen.append(x)
        return seen

    def count() -> int:
        global factor
        factor += 1
        return factor

    def mark() -> int:
        mark.calls = getattr(mark, "calls", 0) + 1  # type: ignore[attr-defined]
        return mark.calls  # type: ignore[attr-defined,no-any-return]

    for _ in range(2 * processes_of(client)):
        assert client.submit(note, 1).result(LIMIT) == [1]
        assert client.submit(count).result(LIMIT) == 3
        assert client.submit(mark).result(LIMIT) == 1


def test_two_clients_have_different_functions_of_one_name(gateway: Gateway, client: Client) -> None:
    def made(value: int) -> Callable[[int], int]:
        def f(x: int) -> int:
            return x + value

        return f

    with gateway.client() as other:
        jobs = [
            (submitter.submit(made(value), number), number + value)
            for number in range(20)
            for submitter, value in ((client, 100), (other, 200))
        ]
        assert [job.result(LIMIT) for job, _ in jobs] == [value for _, value in jobs]


def test_an_argument_that_a_function_reaches_too_is_the_same_object_there(client: Client) -> None:
    def helper() -> None: ...

    def is_helper(given: object) -> bool:
        return given is helper

    assert client.submit(is_helper, helper).result(LIMIT)
    assert not client.submit(is_helper, abs).result(LIMIT)


# -- many at a time --------------------------------------------------------------------------------


def test_many_quick_calls_answer_in_order_and_each_with_its_own_error(quick: Client) -> None:
    def odd(x: int) -> int:
        if x % 2:
            raise ValueError(x)
        return x

    jobs = [quick.submit(odd, number) for number in range(MANY)]
    for number, job in enumerate(jobs):
        if number % 2:
            assert str(number) in str(job.exception(LIMIT))
        else:
            assert job.result(LIMIT) == number


def test_what_each_of_many_prints_is_its_own(
    quick: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    def talk(x: int) -> None:
        if not x % 7:
            print(f"this is {x}")

    jobs = [quick.submit(talk, number) for number in range(MANY)]
    for number, job in enumerate(jobs):
        job.result(LIMIT)
        assert capsys.readouterr().out == (f"this is {number}\n" if not number % 7 else "")


def test_a_slow_call_holds_up_none_behind_it(quick: Client, tmp_path: Path) -> None:
    if processes_of(quick) < 2:
        pytest.skip("the other calls need a process of their own")
    gate = tmp_path / "gate"
    slow = quick.submit(waits, str(gate))
    others = [quick.submit(abs, -number) for number in range(MANY)]
    assert [job.result(LIMIT) for job in others] == list(range(MANY))
    assert not slow.done()
    gate.touch()
    assert slow.result(LIMIT) == str(gate)


def test_calls_that_wait_for_one_another_run_at_the_same_time(
    quick: Client, tmp_path: Path
) -> None:
    if processes_of(quick) < 2:
        pytest.skip("two calls need two processes")

    def meet(mine: str, other: str) -> bool:
        open(mine, "w").close()
        while not os.path.exists(other):
            time.sleep(0.01)
        return True

    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    first = [quick.submit(abs, 1) for _ in range(20)]
    jobs = [quick.submit(meet, a, b), quick.submit(meet, b, a)]
    assert all(job.result(LIMIT) for job in [*jobs, *first])


def stopped_in_the_crowd(
    client: Client, tmp_path: Path, stop: Callable[[RemoteJob[Any]], object]
) -> tuple[BaseException | None, list[Path]]:
    """Stop one call that runs, while many are sent; its error, and what the others have left."""
    gate = tmp_path / "gate"
    runs = [client.submit(waits, str(gate)) for _ in range(processes_of(client))]
    wait_until(lambda: all(job.running() for job in runs))

    def leave(path: str) -> str:
        with open(path, "a") as file:
            file.write("x")
        return path

    paths = [tmp_path / f"{number}" for number in range(MANY)]
    jobs = [client.submit(leave, str(path)) for path in paths]
    stop(runs[0])
    error = runs[0].exception(LIMIT)
    gate.touch()
    assert [job.result(LIMIT) for job in [*runs[1:], *jobs]] == [
        *[str(gate)] * (len(runs) - 1),
        *map(str, paths),
    ]
    return error, paths


@pytest.mark.parametrize("how", ["cancel", "kill"])
def test_who_stops_a_call_stops_no_other(quick: Client, tmp_path: Path, how: str) -> None:
    error, paths = stopped_in_the_crowd(quick, tmp_path, lambda job: getattr(job, how)())
    assert isinstance(error, CallCancelled)
    assert {path.read_text() for path in paths} == {"x"}  # each ran once


def test_of_many_calls_each_can_be_cancelled_and_then_did_not_run_or_says_so(
    quick: Client, tmp_path: Path
) -> None:
    def leave(path: str) -> str:
        with open(path, "a") as file:
            file.write("x")
        return path

    paths = [str(tmp_path / f"{number}") for number in range(MANY)]
    jobs = [quick.submit(leave, path) for path in paths]
    for job in jobs[1::2]:
        job.cancel()
    for number, (job, path) in enumerate(zip(jobs, paths, strict=True)):
        error = job.exception(LIMIT)
        ran = os.path.exists(path)
        assert error is None or number % 2, "only what was cancelled has an error"
        if error is None:
            assert Path(path).read_text() == "x"
        else:
            assert isinstance(error, CallCancelled)
            assert error.may_have_run or not ran


@pytest.mark.parametrize("seconds", [0.0, 0.01], ids=["quick", "said to have started"])
def test_a_crash_fails_only_what_ran_and_every_other_call_runs_once(
    quick: Client, tmp_path: Path, seconds: float
) -> None:
    def leave(path: str) -> str:
        with open(path, "a") as file:
            file.write("x")
        if path.endswith("7"):
            os._exit(3)
        time.sleep(seconds)
        return path

    paths = [str(tmp_path / f"{number}") for number in range(60)]
    jobs = [quick.submit(leave, path) for path in paths]
    for job, path in zip(jobs, paths, strict=True):
        error = job.exception(LIMIT)
        assert Path(path).read_text() == "x"
        if path.endswith("7"):
            assert isinstance(error, WorkerCrashed)
            assert error.may_have_run
        else:
            assert error is None
            assert job.result() == path


@pytest.mark.skipif(sys.platform != "linux", reason="SIGSTOP of processes by /proc")
def test_processes_that_stand_still_again_and_again_run_every_call_once(
    quick: Client, tmp_path: Path
) -> None:
    def leave(path: str) -> int:
        with open(path, "a") as file:
            file.write("x")
        return os.getpid()

    pids = {quick.submit(os.getpid).result(LIMIT) for _ in range(20)}
    pids |= {job.result(LIMIT) for job in [quick.submit(os.getpid) for _ in range(MANY)]}
    paths = [str(tmp_path / f"{number}") for number in range(5 * MANY)]
    jobs = []
    for number, path in enumerate(paths):
        jobs.append(quick.submit(leave, path))
        if number % 50 == 0:
            for pid in pids:
                os.kill(pid, (signal.SIGSTOP, signal.SIGCONT)[number // 50 % 2])
            time.sleep(0.015)  # for the node to see that nothing goes on, and take calls back
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    assert {job.result(LIMIT) for job in jobs} <= pids
    assert {Path(path).read_text() for path in paths} == {"x"}
