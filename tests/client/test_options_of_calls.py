"""Options of `register` and `@remote` with a real gateway and real nodes."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from easyremote import ComputeNode, RetryPolicy, remote
from easyremote.client.client import Client
from easyremote.errors import CallTimeout, NotFound, RemoteError, UsageError, WorkerCrashed
from tests.fakes import pynvml
from tests.processes import LIMIT, Gateway, end, wait_until


def made(gateway: Gateway, node_id: str, **options: Any) -> ComputeNode:
    return ComputeNode(
        gateway_address=gateway.address, node_id=node_id, api_key=gateway.keys["node"], **options
    )


@pytest.fixture(scope="module")
def asking(gateway: Gateway) -> Iterator[Client]:
    with gateway.client() as client:
        yield client


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"vps_address": "a:1"}, "ComputeNode: two options mean gateway"),
        ({"labels": ["a"], "node_capabilities": ["b"]}, "two options mean labels"),
        ({"lables": ["a"]}, r"ComputeNode\(\) has no option 'lables'. Did you mean 'labels'"),
        ({"node_capabilities": ["two words"]}, "'two words' can't be a label"),
    ],
)
def test_wrong_options_of_a_node_are_refused(
    gateway: Gateway, options: dict[str, Any], text: str
) -> None:
    with pytest.raises(UsageError, match=text):
        made(gateway, "never", **options)


GPU = {"gpu": True}


def train() -> str:
    return "trained"


def test_a_node_without_a_gpu_offers_the_rest_and_says_why(
    gateway: Gateway, asking: Client, caplog: pytest.LogCaptureFixture
) -> None:
    laptop = made(gateway, "laptop", node_capabilities=["fast"])
    laptop.register(resource_requirements=GPU)(train)
    laptop.register(name="add", description="Adds.")(lambda a, b: a + b)
    with caplog.at_level(logging.WARNING, "easyremote.node"), laptop:
        assert asking.on("laptop").execute("add", 1, 2) == 3
        with pytest.raises(NotFound, match=r"^laptop has train\(\), but no GPU\.$"):
            asking.on("laptop").execute("train")
        laptop.register(name="later")(lambda: None)  # it says again what it offers
        wait_until(lambda: asking.get_function_info("later") is not None)
        (told,) = (node for node in asking.list_nodes() if node.node_id == "laptop")
        assert (told.withheld, told.labels) == ({"train": "no GPU"}, ("fast",))
        info = asking.get_function_info("add")
        assert info is not None and info.doc == "Adds."
    assert caplog.messages.count("laptop does not offer train(): no GPU") == 1


def test_a_node_with_a_gpu_offers_what_needs_one(
    gateway: Gateway, asking: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pynvml.gpus(tmp_path / "gpus", pynvml.card("GPU-a", 9), pynvml.card("GPU-b", 9))
    monkeypatch.setenv(pynvml.FILE, str(tmp_path / "gpus"))
    monkeypatch.setitem(sys.modules, "pynvml", pynvml)
    box = made(gateway, "box")
    box.register(resource_requirements={"gpu": 2, "gpu_memory": "8GB"})(train)
    box.register(name="large", resource_requirements={"gpu_memory": "80GB"})(train)
    with box:
        assert asking.on("box").execute("train") == "trained"
        info = asking.get_function_info("train")
        assert info is not None and info.needs == "2 GPUs with 8 GB of memory"
        why = r"box has large\(\), but no GPU with 80 GB of memory \(the largest has 9 GB\)"
        with pytest.raises(NotFound, match=why):
            asking.on("box").execute("large")


def test_a_name_that_belongs_to_one_node_is_refused_to_a_second(
    gateway: Gateway, asking: Client, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = made(gateway, "first"), made(gateway, "second")
    first.register(name="mine", load_balancing=False)(lambda: "first")
    second.register(name="mine")(lambda: "second")
    second.register(name="other")(lambda: None)
    why = "it belongs to 'first' (registered there with load_balancing=False)"
    with caplog.at_level(logging.WARNING, "easyremote.node"), first, second:
        assert asking.execute("mine") == "first"
        wait_until(lambda: f"second does not offer mine(): {why}" in caplog.messages)
        with pytest.raises(NotFound) as refused:
            asking.on("second").execute("mine")
        assert str(refused.value) == f"second has mine(), but {why}."
        assert asking.on("second").execute("other") is None


@pytest.mark.parametrize("by", ["node", "caller"])
def test_round_robin_goes_round(gateway: Gateway, asking: Client, by: str) -> None:
    nodes = [made(gateway, f"{by}-{name}") for name in "ab"]
    for node in nodes:
        spread = "round_robin" if by == "node" else True
        node.register(name="who", load_balancing=spread)(lambda name=node.node_id: name)
    strategy = True if by == "node" else {"strategy": "round_robin"}

    @remote(
        function_name="who",
        load_balancing=strategy,
        gateway_address=gateway.address,
        api_key=gateway.keys["client"],
    )
    def who() -> str:
        return "the fallback"

    with nodes[0], nodes[1]:
        wait_until(lambda: sum(each.name == "who" for each in asking.list_functions()) == 2)
        got = [who() for _ in range(6)]
    assert sorted(got) == sorted([f"{by}-a", f"{by}-b"] * 3)
    assert got[0] != got[1]
    assert who.local() == "the fallback"


# -- retries ---------------------------------------------------------------------------------------


def test_an_exception_that_the_nodes_policy_names_is_tried_again(
    gateway: Gateway, asking: Client
) -> None:
    node = made(gateway, "flaky")
    tries: list[int] = []

    @node.register(retry_policy=RetryPolicy(max_attempts=4, first=0.01, on=(OSError,)))
    def flaky(failures: int, kind: type[Exception]) -> int:
        tries.append(1)
        if len(tries) <= failures:
            raise kind("not now")
        return len(tries)

    with node:
        assert asking.execute("flaky", 2, ConnectionError) == 3
        tries.clear()
        with pytest.raises(OSError, match="not now") as failed:
            asking.execute("flaky", 9, OSError)
        assert failed.value.details["attempts"] == len(tries) == 4  # type: ignore[attr-defined]
        tries.clear()
        with pytest.raises(ValueError, match="not now"):
            asking.execute("flaky", 9, ValueError)
        assert len(tries) == 1
        tries.clear()
        with pytest.raises(RemoteError):
            remote_of(gateway, retry_policy="none")(flaky)(9, OSError)
        assert len(tries) == 1, "the caller's own policy counts"


def remote_of(gateway: Gateway, **options: Any) -> Any:
    return remote(gateway=gateway.address, api_key=gateway.keys["client"], ship=False, **options)


FRAGILE = """
import os, pathlib, sys
from easyremote import ComputeNode
node = ComputeNode(node_id="fragile", allow_code=True)
@node.register(retry_policy="fixed")
def fragile(folder, data):
    here = pathlib.Path(folder)
    (here / f"in-{len(list(here.iterdir()))}").touch()
    if len(list(here.iterdir())) == 1:
        os._exit(9)
    return len(data)
node.serve()
"""


def test_a_call_of_a_node_that_died_is_tried_again_with_its_large_arguments(
    gateway: Gateway, asking: Client, tmp_path: Path
) -> None:
    data = b"x" * 1_000_000

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", FRAGILE]
        process = subprocess.Popen(command, env={**os.environ, **gateway.environment()})
        wait_until(lambda: "fragile" in {n.node_id for n in asking.list_nodes() if is_on(n)})
        return process

    def is_on(node: Any) -> bool:
        return bool(node.state == "online")

    first = start()
    job = asking.on("fragile").submit("fragile", str(tmp_path), data)
    first_id = job.call_id
    assert first.wait(LIMIT) == 9
    second = start()
    try:
        assert job.result(LIMIT) == len(data)
        assert job.call_id != first_id, "each attempt has an id of its own"
        assert len(list(tmp_path.iterdir())) == 2
        crashes = asking.on("fragile").ship(os._exit, (7,), {})
        with pytest.raises(WorkerCrashed):
            crashes.result(LIMIT)
    finally:
        end(second)  # type: ignore[arg-type]  # it has no pipes


# -- classes ---------------------------------------------------------------------------------------


def test_a_registered_class_is_made_once_and_a_class_of_stubs_calls_it(
    gateway: Gateway, asking: Client
) -> None:
    node = made(gateway, "models")
    made_in: list[str] = []

    @node.register
    class Model:
        def __init__(self) -> None:
            made_in.append(threading.current_thread().name)
            if len(made_in) == 1:
                raise OSError("no weights")

        def predict(self, x: int) -> int:
            return x + 1

        async def slow(self, x: int) -> int:
            return x + 2

        def items(self, n: int) -> Iterator[int]:
            yield from range(n)

    Local = Model

    @remote_class(gateway)
    class Stubs:
        def predict(self, x: int) -> int: ...  # type: ignore[empty-body]
        async def slow(self, x: int) -> int: ...  # type: ignore[empty-body]
        def items(self, n: int) -> Iterator[int]:
            yield

    stubs: Any = Stubs()
    with node:
        with pytest.raises(OSError, match="no weights") as failed:
            stubs.predict(1)
        assert "could not be made on its node" in failed.value.__notes__[0]
        assert [stubs.predict(x) for x in range(3)] == [1, 2, 3]
        assert stubs.slow.submit(1).result(LIMIT) == 3
        assert list(stubs.items(3)) == [0, 1, 2]
        assert asking.execute("Model.predict", 1) == 2
    assert len(made_in) == 2 and Local.__name__ == "Model"


def test_an_init_that_hangs_is_stopped_by_the_time_limit_and_tried_again(
    gateway: Gateway, asking: Client, tmp_path: Path
) -> None:
    node = made(gateway, "hanging")
    tries: list[int] = []

    @node.register(timeout=0.2)
    class Hanging:
        def __init__(self) -> None:
            tries.append(1)
            while len(tries) == 1:
                time.sleep(0.01)

        def ask(self) -> str:
            return "here"

    with node:
        with pytest.raises(CallTimeout, match=r"Hanging.ask\(\) ran longer than 0.2 s"):
            asking.execute("Hanging.ask")
        assert asking.execute("Hanging.ask") == "here"


def test_the_lines_of_the_issue_run_as_they_stand(gateway: Gateway, asking: Client) -> None:
    node = made(gateway, "issue")

    @node.register(
        async_func=True,
        stream=True,
        timeout=60,
        retry_policy="exponential_backoff",
        resource_requirements={"gpu": True, "memory": "8GB"},
    )
    async def with_gpu(n: int) -> Any:
        for number in range(n):
            yield number

    @node.register(scaling="auto")
    def in_processes() -> int:
        return os.getpid()

    @node.register(load_balancing="resource_aware")
    def anywhere() -> str:
        return "anywhere"

    @remote(load_balancing=True, gateway=gateway.address, api_key=gateway.keys["client"])
    def stub() -> None: ...

    with node:
        assert asking.on("issue").execute("in_processes") != os.getpid()
        assert asking.on("issue").execute("anywhere") == "anywhere"
        with pytest.raises(NotFound, match=r"issue has with_gpu\(\), but no GPU"):
            asking.on("issue").execute("with_gpu", 1)
        assert stub._target.options.load_balancing == ""


def remote_class(gateway: Gateway) -> Any:
    return remote(
        function_name="Model",
        node_id="models",
        gateway=gateway.address,
        api_key=gateway.keys["client"],
    )
