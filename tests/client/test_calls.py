"""Calls through three real processes: this one, a gateway, a node."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from easyremote.client.client import Client
from easyremote.client.stream import RemoteStream
from easyremote.errors import (
    CallCancelled,
    CallTimeout,
    CannotReturn,
    CannotShip,
    InternalError,
    NotFound,
    RemoteError,
    UsageError,
)
from tests.processes import LIMIT, Gateway, wait_until


def test_a_call_returns_what_the_function_returns(client: Client) -> None:
    assert client.execute("add", 1, 2) == 3
    assert client.on("gpu-node").execute("add", a=1, b=2) == 3
    assert client.execute("add_async", 1, 2) == 3


@pytest.mark.parametrize(
    "value",
    [
        np.arange(2_000_000.0),
        np.zeros((0, 3)),
        np.asfortranarray(np.arange(90_000.0).reshape(300, 300)),
        np.arange(100_000)[::3],
        np.array([1, "two", None], dtype=object),
        "ünïcödé 你好 🚀",
        b"x" * 300_000,
        memoryview(b"abc" * 10_000),
        {"nested": [np.arange(5), {"deep": (1, 2)}]},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_comes_back_as_it_was(client: Client, value: object) -> None:
    back = client.execute("echo", value)
    np.testing.assert_equal(back, value)
    assert type(back) is type(value)
    if isinstance(value, np.ndarray):
        assert back.dtype == value.dtype
        assert back.flags.writeable


def test_a_frame_with_every_dtype_comes_back(client: Client) -> None:
    frame = pd.DataFrame(
        {
            "int": [1, 2],
            "float": [0.5, np.nan],
            "text": ["a", None],
            "time": pd.to_datetime(["2024-01-01", None]),
            "category": pd.Categorical(["x", "y"]),
            "nullable": pd.array([1, None], dtype="Int64"),
            "flag": [True, False],
        }
    )
    pd.testing.assert_frame_equal(client.execute("echo", frame), frame)


def test_many_calls_at_once_each_get_their_own_answer(client: Client) -> None:
    jobs = [client.call("add", (i, i)) for i in range(3000)]
    assert [job.result(LIMIT) for job in jobs] == [2 * i for i in range(3000)]


def test_a_generator_is_iterated_item_by_item(client: Client) -> None:
    stream = client.call("count", (500,), stream=True)
    assert isinstance(stream, RemoteStream)
    assert list(stream) == list(range(500))
    assert list(client.call("count_async", (200,), stream=True)) == list(range(200))


def test_async_code_awaits_calls_and_streams(client: Client) -> None:
    async def main() -> tuple[float, list[int]]:
        stream = client.call("count", (100,), stream=True)
        assert isinstance(stream, RemoteStream)
        return await client.execute_async("add", 1, 2), [item async for item in stream]

    assert asyncio.run(main()) == (3, list(range(100)))


def test_an_error_is_the_builtin_with_the_nodes_traceback(client: Client) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        client.execute("divide", 1, 0)
    assert isinstance(caught.value, RemoteError)
    assert "return a / b" in caught.value.remote_traceback
    assert "runner.py" not in caught.value.remote_traceback


@pytest.mark.parametrize(
    ("how", "type_name", "text"),
    [
        ("exit", "SystemExit", "3"),
        ("broken", "Broken", "one"),
        ("recursion", "RecursionError", "recursion"),
        ("plain ünï", "ValueError", "ünï"),
    ],
)
def test_what_a_function_raises_arrives_and_the_node_lives(
    client: Client, how: str, type_name: str, text: str
) -> None:
    with pytest.raises(RemoteError, match=text) as caught:
        client.execute("fail", how)
    assert caught.value.type_name == type_name
    assert caught.value.may_have_run
    assert client.execute("add", 1, 1) == 2


def test_a_result_that_cannot_travel_is_named(client: Client) -> None:
    with pytest.raises(CannotReturn, match="what it returned can't travel.*TextIOWrapper"):
        client.execute("fail", "lambda")


def test_an_argument_that_cannot_travel_is_named_before_anything_is_sent(client: Client) -> None:
    with open(__file__) as file, pytest.raises(CannotShip, match="TextIOWrapper"):
        client.execute("echo", file)


def test_an_unknown_function_or_node_is_answered_with_a_suggestion(client: Client) -> None:
    with pytest.raises(NotFound, match="Did you mean 'add'"):
        client.execute("ad", 1)
    with pytest.raises(NotFound, match="Did you mean 'gpu-node'"):
        client.on("gpu-nod").execute("add", 1, 2)


def test_what_a_forked_process_writes_to_an_argument_stays_its_own(client: Client) -> None:
    assert client.execute("first_after_a_fork", np.zeros(200_000)) == 0


def test_a_five_gigabyte_argument_is_refused_and_nothing_is_lost(client: Client) -> None:
    huge = np.broadcast_to(np.uint8(0), (5_000_000_000,))
    with pytest.raises((UsageError, CannotShip), match="5.0 GB"):
        client.execute("echo", memoryview(bytearray(0)) if False else _Huge(huge))
    assert client.execute("add", 1, 2) == 3


class _Huge:
    """5 GB that take no memory: what it pickles is a sparse mapping."""

    def __init__(self, array: np.ndarray) -> None:
        import mmap

        self.room = mmap.mmap(-1, array.nbytes)

    def __reduce_ex__(self, protocol: int) -> tuple[object, ...]:
        import pickle

        return len, (pickle.PickleBuffer(self.room),)


def test_cancel_stops_the_work_on_the_node(client: Client, tmp_path: Path) -> None:
    started = tmp_path / "started"
    job = client.call("wait_for", (str(tmp_path / "never"), str(started)))
    wait_until(started.exists)
    assert job.cancel()
    with pytest.raises(CallCancelled):
        job.result(LIMIT)
    assert job.cancelled()
    wait_until(lambda: started.read_text() == "Stopped")


def test_a_timeout_stops_the_work_on_the_node(client: Client, tmp_path: Path) -> None:
    started = tmp_path / "started"
    with pytest.raises(CallTimeout, match="0.3 s"):
        client.on(timeout=0.3).execute("wait_for", str(tmp_path / "never"), str(started))
    wait_until(lambda: started.read_text() == "Stopped")
    with pytest.raises(CallTimeout, match=r"slow\(\) ran longer than 0.2 s"):
        client.execute("slow")


def test_waiting_has_a_limit_of_its_own_and_the_call_goes_on(
    client: Client, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    job = client.call("wait_for", (str(marker), str(tmp_path / "started")))
    with pytest.raises(FutureTimeout):
        job.result(0.05)
    marker.touch()
    assert job.result(LIMIT) > 0


def test_max_concurrency_is_kept(client: Client, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for job in [client.call("one_at_a_time", (str(log),)) for _ in range(5)]:
        job.result(LIMIT)
    assert log.read_text() == "in\nout\n" * 5


def test_the_client_is_an_executor(client: Client) -> None:
    assert list(client.map("add", [1, 2], [10, 20])) == [11, 22]
    assert client.submit("add", 1, 2).result(LIMIT) == 3


def test_a_callback_that_waits_is_told_why_it_may_not(client: Client) -> None:
    caught: list[BaseException] = []

    def wait_inside(job: object) -> None:
        try:
            client.execute("add", 1, 2)
        except InternalError as error:
            caught.append(error)

    job = client.call("add", (1, 2))
    job.add_done_callback(wait_inside)
    job.result(LIMIT)
    # Where the job was done first, the callback ran here and could wait.
    assert all("Callbacks run on the thread" in str(error) for error in caught)


def test_a_forked_child_dials_for_itself(client: Client) -> None:
    assert client.execute("add", 1, 2) == 3
    pid = os.fork()
    if pid == 0:
        os._exit(0 if client.execute("add", 2, 2) == 4 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert client.execute("add", 3, 2) == 5


def test_a_call_of_the_parent_process_is_not_waited_for_in_a_forked_child(
    client: Client, tmp_path: Path
) -> None:
    gate, started = tmp_path / "gate", tmp_path / "started"
    job = client.call("wait_for", (str(gate), str(started)))
    stream = client.call("count", (3,), stream=True)
    wait_until(started.exists)
    pid = os.fork()
    if pid == 0:
        refused = 0
        for wait in (job.result, lambda: next(stream)):  # type: ignore[call-overload]
            try:
                wait()
            except UsageError as error:
                refused += "before the process was forked" in str(error)
        os._exit(0 if refused == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    gate.touch()
    job.result(LIMIT)


def test_a_script_ends_although_calls_are_outstanding(gateway: Gateway, node: object) -> None:
    script = (
        "from easyremote import remote\n"
        "@remote(node_id='gpu-node')\n"
        "def add(a, b): pass\n"
        "print(add(1, 2))\n"
        "jobs = [add.submit(i, i) for i in range(100)]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=gateway.environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("3\n", "", 0)


def test_a_call_with_plain_values_is_answered_with_plain_values(client: Client) -> None:
    job = client.call_plain("add", {"a": 1, "b": 2.5}, node_id="gpu-node")
    assert job.result(LIMIT) == 3.5
    assert client.call_plain("echo", {"value": {"a": [1, None]}}).result(LIMIT) == {"a": [1, None]}
    with pytest.raises(RemoteError, match="missing a required argument: 'b'"):
        client.call_plain("add", {"a": 1}).result(LIMIT)
    told = client.get_function_info("add")
    assert told is not None and '"a": {"type": "number"}' in told.parameters


# -- options of a call -----------------------------------------------------------------------------


def test_all_arguments_are_the_functions_and_the_options_are_the_calls(client: Client) -> None:
    def named(**arguments: Any) -> dict[str, Any]:
        return arguments

    arguments = {"timeout": 5, "node_id": "mine", "function": "f", "self": 1, "stream": True}
    there = client.on("gpu-node", timeout=LIMIT)
    assert client.execute("named", **arguments) == arguments
    assert there.execute("named", **arguments) == arguments
    assert asyncio.run(there.execute_async("named", **arguments)) == arguments
    assert there.submit("named", **arguments).result() == arguments
    assert there.submit(named, **arguments).result() == arguments


def test_a_client_with_options_keeps_them_for_all_its_calls(client: Client) -> None:
    there = client.on("gpu-node", timeout=LIMIT)
    assert list(there.map("add", [1, 2], [3, 4])) == [4, 6]
    assert list(there.map(abs, [-1, -2])) == [1, 2]
    assert repr(there) == "<RemoteExecutor on gpu-node, within 60 s>"
    assert repr(client.on()) == "<RemoteExecutor on any node>"
    with pytest.raises(NotFound):
        client.on("gpu-nod").submit(abs, -1).result(LIMIT)
    with there:
        pass  # as an Executor it is shut down; the client is not
    assert client.on(timeout=LIMIT).execute("add", 1, 2) == 3
