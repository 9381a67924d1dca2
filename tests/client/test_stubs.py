"""What is a stub, and what has a body of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from easyremote.client.stubs import is_stub


def passes(a: int) -> None:
    pass


def ellipsis(a: int) -> int: ...  # type: ignore[empty-body]


def documented(a: int) -> None:
    """Only this."""


def raises(a: int) -> int:
    """Documented."""
    raise NotImplementedError


def raises_with_words(a: int) -> int:
    raise NotImplementedError("runs on the node")


def bare_generator(a: int) -> Iterator[int]:
    yield 0


async def asynchronous(a: int) -> int: ...  # type: ignore[empty-body]


def returns(a: int) -> int:
    return a


def returns_none(a: int) -> None:
    return None


def calls(a: int) -> None:
    print(a)


def yields_its_own(a: int) -> Iterator[int]:
    yield a


def raises_otherwise(a: int) -> None:
    raise ValueError(a)


STUBS = [passes, ellipsis, documented, raises, raises_with_words, bare_generator, asynchronous]
BODIES = [returns, returns_none, calls, yields_its_own, raises_otherwise]


@pytest.mark.parametrize("function", STUBS, ids=lambda function: function.__name__)
def test_a_body_that_does_nothing_is_a_stub(function: Callable[..., Any]) -> None:
    assert is_stub(function)


@pytest.mark.parametrize("function", BODIES, ids=lambda function: function.__name__)
def test_a_body_that_does_something_is_none(function: Callable[..., Any]) -> None:
    assert not is_stub(function)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(a): pass", True),
        ("def f(a):\n  'A word.'\n  raise NotImplementedError('there')", True),
        ("def f(a): return a + 1", False),
        ("def f(a): return a", False),
        ("def f(a): return 5", False),
        ("def f(a): print(a)", False),
    ],
)
def test_without_source_the_bytecode_tells(source: str, expected: bool) -> None:
    namespace: dict[str, Any] = {}
    exec(compile(source, "<no file>", "exec"), namespace)
    assert is_stub(namespace["f"]) is expected
    assert not is_stub(len)
