"""`ComputeNode` and ``python -m easyremote.node``: what is registered, and how it is served."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from easyremote import ComputeNode
from easyremote.client.client import Client
from easyremote.errors import CallCancelled, CallLost, CallTimeout, NotFound, UsageError
from easyremote.gateway.records import LOST_AFTER
from tests.processes import LIMIT, Gateway, end, end_node, online, wait_until

PROGRAM = str(Path(__file__).with_name("gated_program.py"))


@pytest.fixture(scope="module")
def node(gateway: Gateway) -> Iterator[subprocess.Popen[str]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NODE_KEY", gateway.keys["node"])
        process = gateway.start_node("gpu-node", PROGRAM)
    yield process
    end_node(process)


def made(gateway: Gateway, node_id: str, **options: Any) -> ComputeNode:
    return ComputeNode(gateway.address, node_id, api_key=gateway.keys["node"], **options)


def entered(folder: Path) -> int:
    return len(list(folder.glob("in-*")))


# -- options of register ---------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "limit"), [("three_at_a_time", 3), ("two_at_a_time", 2)])
def test_exactly_max_concurrency_calls_are_in_flight(
    client: Client, tmp_path: Path, name: str, limit: int
) -> None:
    jobs = [client.call(name, (str(tmp_path), number)) for number in range(8)]
    wait_until(lambda: entered(tmp_path) == limit)
    assert client.execute("add", 1, 2) == 3  # the node is free for others, and has had its chance
    assert entered(tmp_path) == limit
    (tmp_path / "open").touch()
    assert [job.result(LIMIT) for job in jobs] == list(range(8))


def test_without_a_limit_as_many_run_as_there_are_workers(gateway: Gateway, tmp_path: Path) -> None:
    node = made(gateway, "small", max_workers=3)

    @node.register
    def gated(number: int) -> int:
        (tmp_path / f"in-{number}").touch()
        wait_until((tmp_path / "open").exists)
        return number

    client = gateway.client()
    with node:
        jobs = [client.call("gated", (number,), node_id="small") for number in range(6)]
        wait_until(lambda: entered(tmp_path) == 3)
        assert [job.running() for job in jobs].count(True) <= 3
        (tmp_path / "open").touch()
        assert [job.result(LIMIT) for job in jobs] == list(range(6))
    client.close()


def test_a_function_is_known_by_its_given_name_only(client: Client) -> None:
    assert client.execute("renamed") == "renamed"
    with pytest.raises(NotFound):
        client.execute("original")


@pytest.mark.parametrize("name", ["async_slow", "endless"])
def test_the_registered_timeout_stops_async_functions_and_generators(
    client: Client, name: str
) -> None:
    job = client.call(name, stream=name == "endless")
    with pytest.raises(CallTimeout, match=rf"{name}\(\) ran longer than 0.3 s"):
        if name == "endless":
            for _ in job:  # type: ignore[attr-defined]
                pass
        else:
            job.result(LIMIT)


def test_stream_makes_items_of_what_a_plain_function_returns(client: Client) -> None:
    assert list(client.call("listed", (3,), stream=True)) == [0, 1, 2]


def test_the_list_of_functions_tells_what_was_registered(client: Client) -> None:
    known = client.get_function_info("of_a_compute_node")
    assert known is not None
    assert known.signature == "(a: 'int' = 1) -> 'int'"
    assert known.doc == "Registered on a ComputeNode of the module's own."
    assert (known.tags, known.is_async, known.streams) == (("maths",), False, False)
    assert {f.name: f.max_concurrency for f in client.list_functions()}["three_at_a_time"] == 3
    assert client.get_function_info("nothing") is None


def plain() -> None: ...


async def waits() -> None: ...


def items() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("function", "options", "text"),
    [
        (plain, {"async_func": True}, r"plain\(\) is no async function, but .* async_func=True"),
        (waits, {"async_func": False}, r"waits\(\) is an async function, but .* async_func=False"),
        (items, {"stream": False}, "is a generator: it can't be registered with stream=False"),
        (plain, {"timeout": 0}, "timeout is in seconds and above 0, not 0"),
        (plain, {"timeout": float("nan")}, "timeout is in seconds and above 0, not nan"),
        (plain, {"timeout": float("inf")}, "not inf. It is at most a hundred years"),
        (plain, {"max_body": 0}, r"max_body is in bytes, from 1 to 67108864 \(64 MiB\), not 0"),
        (plain, {"max_body": 1 << 30}, "max_body is in bytes"),
        (plain, {"max_concurrency": 0}, "max_concurrency is at least 1, not 0"),
        (plain, {"name": "$cell"}, r"'\$cell' can't be a function's name"),
        (plain, {"name": "a/b"}, "'a/b' can't be a function's name"),
        (plain, {"name": "\ud800"}, "can't be a function's name"),
        (3, {}, "@node.register wants a function, not 3"),
    ],
)
def test_an_option_that_contradicts_the_function_is_refused_at_once(
    gateway: Gateway, function: Any, options: dict[str, Any], text: str
) -> None:
    node = made(gateway, "never-served")
    with pytest.raises(UsageError, match=text):
        node.register(**options)(function)


def test_labels_and_the_machine_are_told_to_those_who_choose_a_node(gateway: Gateway) -> None:
    client = gateway.client()
    with made(gateway, "labelled", labels=["fast", "room-2"]):
        (told,) = (each for each in client.list_nodes() if each.node_id == "labelled")
    assert told.labels == ("fast", "room-2")
    assert (told.installs, told.session_idle) == (False, 24 * 3600.0)
    assert told.processes == os.cpu_count()
    assert told.cores == os.cpu_count()
    assert told.memory_total == psutil.virtual_memory().total
    client.close()


@pytest.mark.parametrize("labels", ["fast", ["two words"], ["a,b"], ["1st"], [""]])
def test_what_can_not_be_a_label_is_refused_at_once(gateway: Gateway, labels: list[str]) -> None:
    with pytest.raises(UsageError, match="can't be a label: labels are a list of words"):
        made(gateway, "n", labels=labels)


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_no_time_is_no_idle_time(gateway: Gateway, value: float) -> None:
    with pytest.raises(UsageError, match=f"session_idle is in seconds and above 0, not {value}"):
        made(gateway, "n", session_idle=value)


def test_two_functions_of_one_name_are_refused(gateway: Gateway) -> None:
    node = made(gateway, "never-served")
    node.register(plain)
    node.register(plain)  # the same again: a notebook's cell that runs twice
    with pytest.raises(UsageError, match="has a function 'plain' already. Give one"):
        node.register(name="plain")(waits)


# -- ways to serve ---------------------------------------------------------------------------------


def test_sigterm_lets_what_runs_finish_and_what_waits_never_starts(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_KEY", gateway.keys["node"])
    going = gateway.start_node("going", PROGRAM)
    client = gateway.client()
    jobs = [
        client.call("three_at_a_time", (str(tmp_path), number), node_id="going")
        for number in range(5)
    ]
    wait_until(lambda: entered(tmp_path) == 3)
    going.send_signal(signal.SIGTERM)
    assert going.stdout is not None  # a call that ended before this line would let one begin
    assert any("Stopping" in line for line in going.stdout)
    (tmp_path / "open").touch()
    assert going.wait(LIMIT) == 0
    assert [job.result(LIMIT) for job in jobs[:3]] == [0, 1, 2]
    assert entered(tmp_path) == 3
    for job in jobs[3:]:
        job.cancel()  # it waits for the node's return
        error = job.exception(LIMIT)
        assert isinstance(error, CallCancelled)
        assert not error.may_have_run
    client.close()
    end(going)


def test_a_function_that_ends_the_nodes_process_is_lost_when_the_node_is_back(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_KEY", gateway.keys["node"])
    mortal = gateway.start_node("mortal", PROGRAM)
    client = gateway.client()
    job = client.on("mortal").submit("end_the_process", str(tmp_path))
    assert mortal.wait(LIMIT) == 9
    assert entered(tmp_path) == 1
    again = gateway.start_node("mortal", PROGRAM)
    error = job.exception(LOST_AFTER / 2)  # at once: the gateway does not wait until it gives up
    assert isinstance(error, CallLost)
    assert error.may_have_run
    assert "'mortal' was restarted while it ran" in str(error)
    client.close()
    end(again)
    end(mortal)


def test_a_node_is_started_and_stopped_within_a_program(gateway: Gateway) -> None:
    node = made(gateway, "inside")
    node.register_function("twice", lambda x: 2 * x)
    client = gateway.client()
    assert not node.is_online
    with node as entered_node:
        assert entered_node is node
        assert node.is_online
        assert client.on("inside").execute("twice", 4) == 8
        with pytest.raises(UsageError, match="'inside' is running already"):
            node.start()
        node.register_function("thrice", lambda x: 3 * x)  # while it is online
        wait_until(lambda: client.get_function_info("thrice") is not None)
        assert client.on("inside").execute("thrice", 4) == 12
    wait_until(lambda: "inside" not in online(client))
    node.stop()
    node.start()
    assert client.on("inside").execute("twice", 5) == 10
    node.stop()
    client.close()


def test_a_node_is_served_in_a_running_event_loop(gateway: Gateway) -> None:
    node = made(gateway, "async-inside")
    node.register_function("twice", lambda x: 2 * x)
    client = gateway.client()

    async def main() -> int:
        serving = asyncio.create_task(node.serve_async())
        while "async-inside" not in await asyncio.to_thread(online, client):
            await asyncio.sleep(0.01)
        value: int = await client.on("async-inside").execute_async("twice", 4)
        node.stop()
        await asyncio.wait_for(serving, LIMIT)
        return value

    assert asyncio.run(main()) == 8
    client.close()


def test_a_module_is_named_as_python_imports_it(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "my_functions.py").write_text(
        "from easyremote.node import node\n@node.register\ndef six(): return 6\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "easyremote.node", "--node-id", "by-name", "my_functions"],
        env=gateway.environment() | {"PYTHONPATH": str(tmp_path)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    client = gateway.client()
    try:
        wait_until(lambda: "by-name" in online(client))
        assert client.execute("six") == 6
        assert process.stdout is not None
        assert "registered functions: six;" in process.stdout.readline()
    finally:
        client.close()
        end(process)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("no_such_module", "There is no module 'no_such_module'. Is it installed, or here?"),
        ("missing.py", "There is no file missing.py."),
    ],
)
def test_a_module_that_is_not_there_is_told(gateway: Gateway, name: str, text: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "easyremote.node", name],
        env=gateway.environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
