"""`Client` as an Executor: what the standard library's own tests ask of one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import CancelledError, as_completed, wait
from pathlib import Path

import pytest

from easyremote import Client
from easyremote.client.job import RemoteJob
from easyremote.errors import Closed
from tests.processes import LIMIT, Gateway, end, wait_until


@pytest.fixture(scope="module")
def node(gateway: Gateway) -> Iterator[subprocess.Popen[str]]:
    """A node that runs two shipped functions at a time."""
    process = gateway.start_node("gpu-node")
    yield process
    end(process)


def power(base: int, exponent: int) -> int:
    result: int = base**exponent
    return result


def held(gate: str, started: str, value: int) -> int:
    """Runs until the gate is there."""
    import time
    from pathlib import Path

    Path(started).touch()
    while not Path(gate).exists():
        time.sleep(0.02)
    return value


def running(client: Client, folder: Path, count: int = 2) -> list[RemoteJob[int]]:
    """Jobs that run until the gate is there; as many as there are processes."""
    jobs = []
    for number in range(count):
        started = folder / f"started-{number}"
        jobs.append(client.submit(held, str(folder / "gate"), str(started), number))
        wait_until(started.exists)
    return jobs


def test_a_with_block_waits_for_what_it_started(
    gateway: Gateway, node: object, tmp_path: Path
) -> None:
    with gateway.client() as client:
        jobs = running(client, tmp_path, 1)
        jobs += [client.submit(power, 2, exponent) for exponent in range(20)]
        named = client.submit("add", 1, 2)
        (tmp_path / "gate").touch()
    assert all(job.done() for job in jobs)
    assert [job.result(0) for job in jobs] == [0, *(2**exponent for exponent in range(20))]
    assert named.result(0) == 3


def test_a_block_that_raises_waits_too(gateway: Gateway, node: object) -> None:
    with pytest.raises(ZeroDivisionError), gateway.client() as client:
        job = client.submit(power, 2, 10)
        raise ZeroDivisionError
    assert job.result(0) == 1024


def test_nothing_is_taken_on_after_the_shutdown(gateway: Gateway, node: object) -> None:
    client = gateway.client()
    client.shutdown()
    client.shutdown()
    for refused in (lambda: client.submit(power, 2, 1), lambda: client.submit("add", 1, 2)):
        with pytest.raises(RuntimeError, match="shut down|closed"):
            refused()
    with pytest.raises(Closed):
        list(client.map(power, [2], [1]))


def test_what_runs_goes_on_after_a_shutdown_that_does_not_wait(
    gateway: Gateway, node: object, tmp_path: Path
) -> None:
    client = gateway.client()
    jobs = running(client, tmp_path, 1)
    client.shutdown(wait=False)
    assert not jobs[0].done()
    (tmp_path / "gate").touch()
    assert jobs[0].result(LIMIT) == 0
    wait_until(lambda: client.is_closed)


def test_a_shutdown_can_cancel_what_has_not_begun(
    gateway: Gateway, node: object, tmp_path: Path
) -> None:
    client = gateway.client()
    jobs = running(client, tmp_path)
    wait_until(lambda: all(job.running() for job in jobs))  # the word of it has come here, too
    waiting = [client.submit(power, 2, exponent) for exponent in range(5)]
    client.shutdown(wait=False, cancel_futures=True)
    wait(waiting, LIMIT)
    assert all(job.cancelled() for job in waiting)
    for job in waiting:
        with pytest.raises(CancelledError):
            job.result(0)
    (tmp_path / "gate").touch()
    assert [job.result(LIMIT) for job in jobs] == [0, 1]


def test_executors_with_options_wait_and_leave_the_client_open(
    gateway: Gateway, node: object
) -> None:
    with gateway.client() as client:
        with client.on("gpu-node", timeout=60) as on_node:
            job = on_node.submit(power, 3, 3)
        assert job.result(0) == 27
        assert client.submit(power, 3, 2).result(LIMIT) == 9


def test_results_come_as_they_are_done_and_map_keeps_the_order(
    gateway: Gateway, node: object
) -> None:
    with gateway.client() as client:
        jobs = [client.submit(power, 2, exponent) for exponent in range(10)]
        assert sorted(job.result() for job in as_completed(jobs, LIMIT)) == [
            2**exponent for exponent in range(10)
        ]
        assert list(client.map(power, [2, 3], [5, 2])) == [32, 9]
        with pytest.raises(ZeroDivisionError):
            list(client.map(power, [2, 0], [1, -1]))


def test_callbacks_run_once_also_for_jobs_that_are_done(gateway: Gateway, node: object) -> None:
    with gateway.client() as client:
        job, heard = client.submit(power, 2, 2), list[object]()
        job.add_done_callback(heard.append)
        job.result(LIMIT)
        job.add_done_callback(heard.append)
    assert heard == [job, job]
