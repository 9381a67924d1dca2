"""`@remote`: a function of yours that runs on a node.

A body of ``pass``, ``...``, a docstring or ``raise NotImplementedError`` is a stub: it calls the
function of that name that the node registered. A real body is shipped and runs there. The decorated
function keeps its signature, for editors too. ``tests/client/test_remote.py`` proves it, and
``tests/types/remote.py`` the types.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, ParamSpec, TypeVar, overload

from easyremote.client.client import Client, connect
from easyremote.client.job import RemoteJob
from easyremote.errors import UsageError

P = ParamSpec("P")
R = TypeVar("R")


class RemoteFunction(Generic[P, R]):
    """A function that runs on a node; calling it waits for the result.

    Made by `remote`. Besides the plain call there are `submit`, `aio`, `map` and `local`.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        node_id: str,
        name: str,
        timeout: float | None,
        gateway: str | None,
        api_key: str | None,
        is_shipped: bool,
        stream: bool,
    ) -> None:
        functools.update_wrapper(self, function)
        self.__wrapped__ = function
        self._node_id = node_id
        self._name = name
        self._timeout = timeout
        self._gateway, self._api_key = gateway, api_key
        self._is_shipped = is_shipped
        self._streams = stream
        self._is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(
            function
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        job = self._start(args, kwargs, snapshot=self._is_async)
        if self._streams:
            return job  # type: ignore[return-value]  # an iterator of the declared items
        if self._is_async:
            return _result_of(job)  # type: ignore[return-value]  # the declared coroutine
        return job.result()

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> RemoteJob[R]:
        """Start it and return at once.

        Returns
        -------
        RemoteJob
            A `concurrent.futures.Future` that can be awaited.
        """
        return self._start(args, kwargs, snapshot=True)

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call it from async code."""
        return await self._start(args, kwargs, snapshot=True)

    def map(self, *iterables: Iterable[Any], timeout: float | None = None) -> Iterator[R]:
        """Call it for each item, at the same time; the results in order.

        Parameters
        ----------
        iterables
            As for the builtin `map`.
        timeout
            Seconds to wait for each result; None for as long as it takes.
        """
        calls = zip(*iterables, strict=False)
        jobs = [self._start(args, {}, snapshot=True) for args in calls]
        return self._results(jobs, timeout)

    def local(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the body here, for tests and comparisons."""
        return self.__wrapped__(*args, **kwargs)

    def __repr__(self) -> str:
        where = self._node_id or "any node"
        return f"<remote function {self._name} on {where}>"

    def __reduce__(self) -> Any:
        # Inside shipped code a remote function is the function itself: it is where it runs.
        return _unwrapped, (self.__wrapped__,)

    def _start(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], *, snapshot: bool
    ) -> RemoteJob[R]:
        client = self._client()
        if self._is_shipped:
            return client.ship(
                self.__wrapped__,
                args,
                kwargs,
                node_id=self._node_id,
                timeout=self._timeout,
                stream=self._streams,
                snapshot=snapshot,
            )
        return client.call(
            self._name,
            args,
            kwargs,
            node_id=self._node_id,
            timeout=self._timeout,
            stream=self._streams,
            snapshot=snapshot,
        )

    def _client(self) -> Client:
        return connect(self._gateway, self._api_key)

    @staticmethod
    def _results(jobs: list[RemoteJob[R]], timeout: float | None) -> Iterator[R]:
        try:
            for job in jobs:
                yield job.result(timeout)
        finally:
            for job in jobs:
                job.cancel()


def _unwrapped(function: Any) -> Any:
    return function


async def _result_of(job: RemoteJob[R]) -> R:
    return await job


@overload
def remote(function: Callable[P, R], /) -> RemoteFunction[P, R]: ...


@overload
def remote(
    *,
    node_id: str | None = None,
    function_name: str | None = None,
    timeout: float | None = None,
    api_key: str | None = None,
    gateway: str | None = None,
    stream: bool | None = None,
    ship: bool | None = None,
) -> Callable[[Callable[P, R]], RemoteFunction[P, R]]: ...


def remote(
    function: Callable[..., Any] | None = None,
    /,
    *,
    node_id: str | None = None,
    function_name: str | None = None,
    timeout: float | None = None,
    api_key: str | None = None,
    gateway: str | None = None,
    stream: bool | None = None,
    ship: bool | None = None,
) -> Any:
    """Make a function run on a node.

    Parameters
    ----------
    node_id
        Where; None for any node that will do.
    function_name
        The name under which the node registered it; None for the function's own.
    timeout
        Seconds in which a call has to be over; it is stopped then. None for no limit.
    api_key, gateway
        None for what is configured.
    stream
        Whether the registered function is a generator; None to tell by the body.
    ship
        True sends the body, False never does; None: a stub's is not, a real one is.

    Raises
    ------
    UsageError
        It was not put on a function.

    Examples
    --------
    >>> @remote(node_id="gpu-node")
    ... def train(data):
    ...     pass                    # a stub: gpu-node has registered train()
    >>> train
    <remote function train on gpu-node>
    """

    def decorate(function: Callable[..., Any]) -> RemoteFunction[Any, Any]:
        if not callable(function):
            raise UsageError(
                f"@remote goes on a function, not on {function!r}. Name a node with "
                "@remote(node_id=...)."
            )
        generates = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        return RemoteFunction(
            function,
            node_id=node_id or "",
            name=function_name or function.__name__,
            timeout=timeout,
            gateway=gateway,
            api_key=api_key,
            is_shipped=ship if ship is not None else not is_stub(function),
            stream=generates if stream is None else stream,
        )

    return decorate if function is None else decorate(function)


def is_stub(function: Callable[..., Any]) -> bool:
    """Whether a function has no body of its own: ``pass``, ``...``, a docstring, or a
    ``raise NotImplementedError``; a lone ``yield`` beside these says that it is a generator.

    Where the source can't be had, the bytecode tells whether it does anything.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        names = function.__code__.co_names
        return set(names) <= {"NotImplementedError"} and len(function.__code__.co_code) <= 16
    body = getattr(tree.body[0], "body", [tree.body[0]])
    return isinstance(body, list) and all(_says_nothing(statement) for statement in body)


def _says_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass):
        return True
    if isinstance(statement, ast.Expr):
        value = statement.value
        is_bare_yield = isinstance(value, ast.Yield) and (
            value.value is None or isinstance(value.value, ast.Constant)
        )
        return isinstance(value, ast.Constant) or is_bare_yield
    if isinstance(statement, ast.Raise):
        raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
        return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"
    return False
