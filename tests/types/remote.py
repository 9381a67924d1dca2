"""What the type checker makes of the decorators and of `run`; it is checked, and never run.

A line marked ``type: ignore[code]`` is a wrong call: mypy has to refuse it, with that code.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, assert_type

from easyremote import (
    Client,
    ComputeNode,
    RemoteJob,
    RemoteStream,
    RetryPolicy,
    Scaling,
    remote,
    run,
    session,
)
from easyremote.client.remote_session import RemoteSession
from easyremote.node import node


@remote
def add(a: int, b: float = 0.0) -> float:
    return a + b


@remote(node_id="gpu-node", timeout=10.0)
def train(data: list[int], *, epochs: int = 1) -> dict[str, float]: ...  # type: ignore[empty-body]


@remote
async def fetch(url: str) -> bytes:
    return url.encode()


@remote(node_id="gpu-node")
async def fetch_there(url: str) -> bytes:
    return url.encode()


@remote
def count(n: int) -> Iterator[int]:
    yield from range(n)


@remote(stream=True)
def count_there(n: int) -> Iterator[int]: ...  # type: ignore[empty-body]


@remote
async def tick(n: int) -> AsyncIterator[str]:
    yield str(n)


@remote(timeout=1)
async def tick_there(n: int) -> AsyncIterator[str]:
    yield str(n)


def plain_functions() -> None:
    assert_type(add(1, 2.0), float)
    assert_type(add.submit(1, b=2.0), RemoteJob[float])
    assert_type(add.submit(1).result(timeout=1), float)
    assert_type(add.map([1, 2], [3.0, 4.0]), Iterator[float])
    assert_type(add.local(1), float)
    assert_type(train([1], epochs=2), dict[str, float])
    assert_type(train.submit([1]), RemoteJob[dict[str, float]])
    future: Future[float] = add.submit(1)
    same: Callable[[int, float], float] = add
    add("1")  # type: ignore[arg-type]
    add()  # type: ignore[call-arg]
    add(1, c=2)  # type: ignore[call-arg]
    add.submit("1")  # type: ignore[arg-type]
    add.local(1, 2, 3)  # type: ignore[call-arg]
    train([1], 2)  # type: ignore[call-arg]
    train.submit([1], epochs="2")  # type: ignore[arg-type]
    len(add(1))  # type: ignore[arg-type]
    del future, same


async def from_async_code() -> None:
    assert_type(await add.aio(1), float)
    assert_type(await add.submit(1), float)
    assert_type(await fetch("x"), bytes)
    called: Coroutine[Any, Any, bytes] = fetch("x")
    here: Coroutine[Any, Any, bytes] = fetch.local("x")
    assert_type(fetch.submit("x"), RemoteJob[bytes])
    assert_type(await fetch.aio("x"), bytes)
    assert_type(fetch.map(["x", "y"]), Iterator[bytes])
    assert_type(await fetch_there("x"), bytes)
    async for text in tick(3):
        assert_type(text, str)
    async for text in tick_there.aio(3):
        assert_type(text, str)
    async for number in count.aio(3):
        assert_type(number, int)
    await add.aio("1")  # type: ignore[arg-type]
    await fetch(1)  # type: ignore[arg-type]
    del called, here
    await fetch.aio()  # type: ignore[call-arg]
    fetch.submit(1)  # type: ignore[arg-type]
    tick("3")  # type: ignore[arg-type]
    tick_there.aio("3")  # type: ignore[arg-type]


def generators() -> None:
    for number in count(3):
        assert_type(number, int)
    assert_type(count(3), RemoteStream[int])
    assert_type(count.submit(3), RemoteStream[int])
    assert_type(count.map([1, 2]), Iterator[RemoteStream[int]])
    assert_type(count.local(3), Iterator[int])
    assert_type(count_there(3), RemoteStream[int])
    assert_type(tick(3), RemoteStream[str])
    assert_type(tick.local(3), AsyncIterator[str])
    assert_type(tick_there(3), RemoteStream[str])
    count(3).close()
    count("3")  # type: ignore[arg-type]
    count.submit()  # type: ignore[call-arg]
    sum(tick(3))  # type: ignore[arg-type]


remote(3)  # type: ignore[call-overload]
remote(node_id=3)  # type: ignore[call-overload]
remote(node="gpu-node")  # type: ignore[call-overload]


own = ComputeNode("my-vps:8080", node_id="gpu-node")


@own.register
def square(x: float) -> float:
    return x * x


@own.register(name="cube", timeout=1.0, max_concurrency=2, public=True, tags=["maths"])
def cubed(x: float) -> float:
    return x**3


@own.register(
    description="Train it.",
    timeout=60,
    retry_policy=RetryPolicy(on=(OSError, "Busy")),
    resource_requirements={"gpu": True, "memory": "8GB"},
    scaling=Scaling(max=2),
    load_balancing=False,
    tags={"team": "vision"},
)
def trained(x: float) -> float:
    return x


@own.register
class Model:
    def predict(self, x: float) -> float:
        return x


@remote(load_balancing={"strategy": "round_robin"}, retry_policy="fixed")
def spread(x: int) -> int: ...  # type: ignore[empty-body]


def options() -> None:
    assert_type(trained(1.0), float)
    assert_type(Model().predict(1.0), float)
    assert_type(spread(1), int)


remote(load_balancing=3)  # type: ignore[call-overload]
own.register(scaling=3)  # type: ignore[call-overload]
own.register(retry_policy=3)  # type: ignore[call-overload]


@node.register
async def answer(question: str) -> int:
    return len(question)


@node.register(stream=True, async_func=False)
def numbers(n: int) -> list[int]:
    return list(range(n))


@node.register
def lines(text: str) -> Iterator[str]:
    yield from text.splitlines()


@own.register
async def slow_lines(text: str) -> AsyncIterator[str]:
    yield text


async def registered_functions_stay_what_they_are() -> None:
    assert_type(square(2.0), float)
    assert_type(cubed(2.0), float)
    assert_type(await answer("why"), int)
    assert_type(numbers(2), list[int])
    assert_type(lines("a"), Iterator[str])
    assert_type(slow_lines("a"), AsyncIterator[str])
    square("2")  # type: ignore[arg-type]
    cubed()  # type: ignore[call-arg]
    await answer(1)  # type: ignore[arg-type]
    lines(1)  # type: ignore[arg-type]


own.register(square, name="other")  # type: ignore[call-overload]
own.register(timeout="1")  # type: ignore[call-overload]
node.register(max_concurrency=1.5)  # type: ignore[call-overload]
node.register(sched=True)  # type: ignore[call-overload]


def clients(client: Client) -> None:
    assert_type(client.submit(square, 2.0), RemoteJob[float])
    assert_type(client.submit("square", 2.0).result(), Any)
    assert_type(client.map(square, [1.0]), Iterator[float])
    with client as entered:
        assert_type(entered, Client)


async def code_that_is_run(s: RemoteSession) -> None:
    assert_type(run("x", out=["x"], x=1), dict[str, Any])
    assert_type(run("a + b", "gpu-node", a=1, b=2), Any)
    assert_type(s.run("x", out=("x",)), dict[str, Any])
    with session("gpu-node") as entered:
        assert_type(entered, RemoteSession)
    async with session("gpu-node") as entered_too:
        assert_type(entered_too, RemoteSession)
    run(print)  # type: ignore[call-overload]
    run("x", out=[1])  # type: ignore[list-item]
    session(1)  # type: ignore[arg-type]
