"""`remote_mock`: one remote function answers what a test says, and nothing runs anywhere.

Its calls go to a fake gateway that has this one function. So arguments and the answer are pickled,
and an error is raised here as one of a node is. ``tests/testing/test_mock.py`` proves it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any
from unittest.mock import Mock

from easyremote.client.client import Client
from easyremote.client.remote import RemoteAsyncFunction, RemoteFunction, RemoteGenerator, Target
from easyremote.errors import UsageError
from easyremote.testing.fake import fake_gateway

__all__ = ["remote_mock"]


@dataclass(frozen=True)
class _MockedTarget(Target):
    """The target of a remote function, but its calls go by another client."""

    mocked: Client | None = None

    def client(self) -> Client:
        assert self.mocked is not None, "remote_mock() gives it one"
        return self.mocked


@contextlib.contextmanager
def remote_mock(
    function: Callable[..., Any],
    *,
    returns: object = None,
    raises: BaseException | type[BaseException] | None = None,
) -> Iterator[Mock]:
    """Let a remote function answer this in the block, without a gateway or a node.

    It works for the plain call, ``submit``, ``aio`` and ``map``, wherever the function is used.

    Parameters
    ----------
    function
        Made by `easyremote.remote`.
    returns
        What each call returns; of a generator, the items that it yields.
    raises
        What each call raises instead.

    Yields
    ------
    unittest.mock.Mock
        It stands for the function on the node: it notes the calls, and its ``side_effect`` can be
        another function that runs instead.

    Raises
    ------
    UsageError
        It is no remote function.

    Examples
    --------
    >>> from easyremote import remote
    >>> @remote(node_id="gpu-node")
    ... def train(epochs): ...
    >>> with remote_mock(train, returns=0.97) as mock:
    ...     train(10)
    0.97
    >>> mock.assert_called_once_with(10)
    """
    if not isinstance(function, RemoteFunction | RemoteAsyncFunction | RemoteGenerator):
        raise UsageError(
            f"{function!r} is no remote function, made by @remote. For other functions there is "
            "unittest.mock.patch."
        )
    target = function._target
    mock = Mock(name=target.name, return_value=returns, side_effect=raises)
    gateway = fake_gateway()

    @gateway.register(name=target.name, stream=target.streams)
    def answer(*args: Any, **kwargs: Any) -> Any:
        return mock(*args, **kwargs)

    told = {field.name: getattr(target, field.name) for field in fields(target)}
    with contextlib.closing(gateway.client()) as client:
        function._target = _MockedTarget(**{**told, "is_shipped": False, "mocked": client})
        try:
            yield mock
        finally:
            function._target = target
