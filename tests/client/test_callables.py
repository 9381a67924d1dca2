"""Everything that can be called here can be made remote, with arguments of any name."""

from __future__ import annotations

import asyncio
import functools
import operator
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from easyremote import remote
from easyremote.client.client import Client
from tests.processes import LIMIT, Gateway


@pytest.fixture(autouse=True)
def configured(gateway: Gateway, node: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASYREMOTE_HOME", str(gateway.home))


def plus(a: int, b: int = 10) -> int:
    return a + b


class Scale:
    def __init__(self, by: int) -> None:
        self.by = by

    def __call__(self, x: int) -> int:
        return x * self.by

    def more(self, x: int, extra: int = 0) -> int:
        return x * self.by + extra

    def items(self, n: int) -> Iterator[int]:
        for i in range(n):
            yield i * self.by

    async def later(self, x: int) -> int:
        return x * self.by

    @classmethod
    def of(cls, x: int) -> int:
        return cls(x).by

    @staticmethod
    def fixed(x: int) -> int:
        return x + 1

    @remote(node_id="gpu-node")
    def there(self, x: int) -> int:
        return x * self.by

    @remote(node_id="gpu-node")
    async def awaited(self, x: int) -> int:
        return x * self.by

    @remote(node_id="gpu-node")
    def stream(self, n: int) -> Iterator[int]:
        for i in range(n):
            yield i * self.by


class Generates:
    def __call__(self, n: int) -> Iterator[int]:
        yield from range(n)


class Awaits:
    async def __call__(self, n: int) -> int:
        return n + 1


async def numbers(n: int) -> AsyncIterator[int]:
    for i in range(n):
        yield i


CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], Any]] = {
    "a partial": (functools.partial(plus, 1), (2,), 3),
    "a partial with keywords": (functools.partial(plus, b=5), (2,), 7),
    "a partial of a partial": (functools.partial(functools.partial(plus, 1), b=5), (), 6),
    "an object": (Scale(3), (4,), 12),
    "a method": (Scale(3).more, (4, 1), 13),
    "a class method": (Scale.of, (4,), 4),
    "a static method": (Scale.fixed, (4,), 5),
    "a class": (Scale, (7,), Scale),
    "a builtin function": (len, ([1, 2],), 2),
    "a builtin method": ([3, 1].index, (1,), 1),
    "an operator": (operator.itemgetter(1), ([5, 6],), 6),
    "a cached function": (functools.lru_cache(plus), (1, 2), 3),
    "a lambda": (lambda x: x + 1, (1,), 2),
}


@pytest.mark.parametrize("name", CALLS)
def test_whatever_can_be_called_can_be_remote(name: str, client: Client) -> None:
    function, args, expected = CALLS[name]
    there = remote(node_id="gpu-node")(function)
    for value in (
        there(*args),
        there.submit(*args).result(LIMIT),
        client.submit(function, *args).result(LIMIT),
    ):
        assert type(value) is expected if isinstance(expected, type) else value == expected
    assert there.local(*args) == function(*args) or isinstance(expected, type)
    assert "remote function" in repr(there)
    (value,) = there.map(*([each] for each in args)) if args else [expected]
    assert type(value) is expected if isinstance(expected, type) else value == expected


def test_generators_and_coroutines_are_found_in_whatever_makes_them() -> None:
    node = remote(node_id="gpu-node")
    assert list(node(functools.partial(Scale(2).items, 3))()) == [0, 2, 4]
    assert list(node(Scale(2).items)(3)) == [0, 2, 4]
    assert list(node(Generates())(3)) == [0, 1, 2]

    async def main() -> tuple[int, int, int, list[int]]:
        return (
            await node(Scale(2).later)(3),
            await node(functools.partial(Scale(2).later, 4))(),
            await node(Awaits())(1),
            [item async for item in node(functools.partial(numbers, 3))()],
        )

    assert asyncio.run(main()) == (6, 8, 2, [0, 1, 2])


def test_a_method_that_is_remote_knows_its_instance() -> None:
    scale = Scale(5)
    assert scale.there(2) == 10
    assert scale.there.submit(3).result(LIMIT) == 15
    assert list(scale.there.map([1, 2])) == [5, 10]
    assert scale.there.local(4) == 20
    assert list(scale.stream(3)) == [0, 5, 10]
    assert asyncio.run(_awaited(scale)) == 10
    assert Scale.there(scale, 2) == 10
    assert scale.there.__name__ == "there"


async def _awaited(scale: Scale) -> int:
    value: int = await scale.awaited(2)
    return value


NAMES = [
    "self",
    "timeout",
    "fn",
    "function",
    "args",
    "kwargs",
    "node_id",
    "stream",
    "client",
    "cls",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_keyword_of_any_name_is_the_functions(name: str, client: Client) -> None:
    namespace: dict[str, Any] = {}
    exec(
        f"def f({name}, /, **rest): return {name}, rest\ndef g(*, {name}): return {name}", namespace
    )
    there = remote(node_id="gpu-node")(namespace["g"])
    assert there(**{name: 7}) == 7
    assert there.submit(**{name: 7}).result(LIMIT) == 7
    assert there.local(**{name: 7}) == 7
    assert client.submit(namespace["g"], **{name: 7}).result(LIMIT) == 7
    assert asyncio.run(there.aio(**{name: 7})) == 7


def test_an_executor_runs_what_is_local_of_a_remote_function(client: Client) -> None:
    @remote(node_id="gpu-node")
    def square(x: int) -> int:
        return x * x

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        return [
            await loop.run_in_executor(client, square.local, 7),
            await loop.run_in_executor(client, square, 8),
            await loop.run_in_executor(client, Scale(2).more, 3),
            await loop.run_in_executor(client, functools.partial(plus, b=1), 3),
        ]

    assert asyncio.run(main()) == [49, 64, 6, 4]
