"""Registered functions in processes of their own: growing, crashing, stopping, making a class."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from easyremote import ComputeNode, RetryPolicy, Scaling
from easyremote.client.client import Client
from easyremote.errors import CallCancelled, CallTimeout, RemoteError, UsageError, WorkerCrashed
from tests.processes import LIMIT, Gateway, wait_until


def pid() -> int:
    return os.getpid()


def wait_for(folder: str, number: int) -> int:
    (Path(folder) / f"in-{number}").touch()
    while not (Path(folder) / "open").exists():
        time.sleep(0.01)
    return os.getpid()


def die(how: int) -> None:
    os.kill(os.getpid(), how)


def fail(what: str) -> None:
    raise ValueError(what)


def listed(n: int) -> list[int]:
    print("a line for the node's own log")
    return list(range(n))


async def waits(x: int) -> int:
    return x + 1


def square(x: float) -> dict[str, float]:
    return {"square": x * x}


def die_once(folder: str) -> int:
    runs = len(list(Path(folder).iterdir()))
    (Path(folder) / f"in-{runs}").touch()
    if runs == 0:
        os._exit(3)
    return runs


class Model:
    def __init__(self) -> None:
        self.calls = 0

    def predict(self) -> tuple[int, int]:
        self.calls += 1
        return os.getpid(), self.calls


@pytest.fixture(scope="module")
def node(gateway: Gateway) -> Iterator[ComputeNode]:
    made = ComputeNode(gateway.address, "scaled", api_key=gateway.keys["node"])
    for function in (pid, die, fail, waits):
        made.register(scaling="auto")(function)
    made.register(scaling=Scaling(max=2))(wait_for)
    made.register(scaling="auto", retry_policy=RetryPolicy(first=0.01))(die_once)
    made.register(scaling="auto", stream=True)(listed)
    made.register(scaling="auto", public=True)(square)
    made.register(scaling=Scaling(min=1, max=1))(Model)
    made.register(scaling="auto", timeout=0.3, name="slow")(lambda: time.sleep(LIMIT))
    with made:
        yield made


@pytest.fixture(scope="module")
def client(gateway: Gateway, node: ComputeNode) -> Iterator[Client]:
    with gateway.client() as made:
        yield made


def entered(folder: Path) -> int:
    return len(list(folder.glob("in-*")))


def test_it_runs_in_a_process_that_stays_for_the_next_call(client: Client) -> None:
    first = client.execute("pid")
    assert first != os.getpid()
    assert os.getpid() in {each.pid for each in psutil.Process(first).parents()}
    assert client.execute("pid") == first


def test_there_are_more_processes_when_calls_wait_up_to_the_most(
    client: Client, tmp_path: Path
) -> None:
    jobs = [client.call("wait_for", (str(tmp_path), number)) for number in range(4)]
    wait_until(lambda: entered(tmp_path) == 2)
    assert client.execute("pid"), "other functions have processes of their own"
    assert entered(tmp_path) == 2
    (tmp_path / "open").touch()
    assert len({job.result(LIMIT) for job in jobs}) == 2


def test_a_crash_of_one_fails_one_call_with_the_typed_error(client: Client, tmp_path: Path) -> None:
    running = client.call("wait_for", (str(tmp_path), 0))
    wait_until(lambda: entered(tmp_path) == 1)
    with pytest.raises(WorkerCrashed, match="on 'scaled' died: signal SIGABRT") as crashed:
        client.execute("die", signal.SIGABRT)
    assert (crashed.value.exit_code, crashed.value.may_have_run) == (-signal.SIGABRT, True)
    (tmp_path / "open").touch()
    assert running.result(LIMIT)


def test_a_crash_is_tried_again_where_a_policy_says_so(client: Client, tmp_path: Path) -> None:
    assert client.execute("die_once", str(tmp_path)) == 1
    assert entered(tmp_path) == 2


def test_errors_async_functions_and_streams_are_as_in_threads(client: Client) -> None:
    with pytest.raises(ValueError, match="no way") as failed:
        client.execute("fail", "no way")
    assert isinstance(failed.value, RemoteError)
    assert "raise ValueError(what)" in failed.value.remote_traceback
    assert client.execute("waits", 1) == 2
    assert list(client.call("listed", (200,), stream=True)) == list(range(200))


def test_it_is_stopped_by_a_cancel_and_by_its_timeout(client: Client, tmp_path: Path) -> None:
    job = client.call("wait_for", (str(tmp_path), 0))
    wait_until(lambda: entered(tmp_path) == 1)
    job.cancel()
    with pytest.raises(CallCancelled):
        job.result(LIMIT)
    with pytest.raises(CallTimeout, match="longer than 0.3 s"):
        client.execute("slow")


def test_it_answers_over_http_too(client: Client, gateway: Gateway) -> None:
    def ask(body: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"http://{gateway.address}/api/square",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=LIMIT) as answer:
            return json.load(answer)

    assert ask({"x": 3}) == {"square": 9}
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask({"y": 3})
    assert refused.value.code == 422
    refused.value.close()


def test_a_class_is_made_once_in_a_process_that_is_kept_ready(
    client: Client, node: ComputeNode
) -> None:
    (ready,) = processes(node, "Model()")
    calls = [client.execute("Model.predict") for _ in range(3)]
    assert calls == [(ready, 1), (ready, 2), (ready, 3)]
    with pytest.raises(WorkerCrashed):
        client.execute("die", signal.SIGKILL)
    os.kill(ready, signal.SIGKILL)
    wait_until(lambda: ready not in processes(node, "Model()"))
    assert client.execute("Model.predict")[1] == 1, "a new one"


def processes(node: ComputeNode, pool: str) -> list[int]:
    assert node._served is not None
    pools = node._served._sessions.processes._pools
    found = [each.child for each in pools[pool].processes]
    wait_until(lambda: all(each.child is not None for each in pools[pool].processes))
    return [each.pid for each in found if each is not None]


def test_idle_processes_go_and_those_that_are_kept_stay(client: Client, node: ComputeNode) -> None:
    assert node._served is not None and node._loop is not None
    client.execute("pid")
    kept = client.execute("Model.predict")[0]
    served = node._served
    far = time.monotonic() + 61.0

    def has_gone() -> bool:  # a process is idle when its caller has said that the outcome is there
        node._loop.call_soon_threadsafe(served._sessions.processes.end_idle, far)  # type: ignore[union-attr]
        return processes(node, "pid()") == []

    wait_until(has_gone)
    assert processes(node, "Model()") == [kept]


def test_a_function_that_can_not_be_sent_to_a_process_is_refused_by_serve(
    gateway: Gateway,
) -> None:
    import threading

    lock = threading.Lock()
    broken = ComputeNode(gateway.address, "broken", api_key=gateway.keys["node"])
    broken.register(scaling="auto", name="held")(lambda: lock.locked())
    with pytest.raises(UsageError, match=r"held\(\) can't run in processes of its own"):
        broken.start()
