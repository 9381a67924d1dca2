"""`remote_mock`: a remote function that answers what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from unittest.mock import call

import pytest

from easyremote import RemoteError, remote
from easyremote.errors import UsageError
from easyremote.testing import fake_gateway, remote_mock
from tests.processes import LIMIT


@remote(node_id="gpu-node")
def train(epochs: int, rate: float = 0.1) -> float: ...  # type: ignore[empty-body]


@remote
def sent(x: int) -> int:
    raise AssertionError("the body must not run")


@remote
async def later(x: int) -> int: ...  # type: ignore[empty-body]


@remote
def items(n: int) -> Iterator[int]:
    yield  # type: ignore[misc]


def test_each_way_to_call_it_is_answered_and_noted() -> None:
    with remote_mock(train, returns=0.9) as mock:
        assert train(3) == 0.9
        assert train.submit(4, rate=0.2).result(LIMIT) == 0.9
        assert asyncio.run(train.aio(5)) == 0.9
        assert list(train.map([6, 7])) == [0.9, 0.9]
    assert mock.call_args_list[:3] == [call(3), call(4, rate=0.2), call(5)]
    assert mock.call_count == 5


def test_functions_of_every_kind_are_mocked() -> None:
    with remote_mock(sent, returns=1), remote_mock(later, returns=2), remote_mock(items) as mock:
        assert sent(0) == 1
        assert asyncio.run(later(0)) == 2
        mock.return_value = [1, 2, 3]
        assert list(items(5)) == [1, 2, 3]
    mock.assert_called_once_with(5)


def test_an_error_comes_as_from_a_node() -> None:
    with remote_mock(train, raises=MemoryError("full")), pytest.raises(MemoryError) as caught:
        train(1)
    assert isinstance(caught.value, RemoteError)


def test_another_function_can_run_instead() -> None:
    with remote_mock(train) as mock:
        mock.side_effect = lambda epochs, rate=0.1: epochs * rate
        assert train(10) == 1.0


def test_only_this_function_and_only_in_the_block() -> None:
    gateway = fake_gateway()
    gateway.register_function("train", lambda epochs: "the gateway's")
    with gateway:
        with remote_mock(train, returns=1.0):
            assert train(1) == 1.0
        assert train(1) == "the gateway's"


def test_a_plain_function_is_refused() -> None:
    with pytest.raises(UsageError, match="no remote function"), remote_mock(len):
        pass
