"""`@remote`: makes a function run on a node.

A stub (``stubs.py``) calls the function of its name that the node registered. A function with a
real body is sent and runs there. The decorated function keeps its signature, for editors, too.
There are three classes, because a plain function, an async one and a generator are called in three
ways.
``tests/client/test_remote.py`` proves it, and ``tests/types/remote.py`` the types.
"""

# The first overload that fits wins; the last one, for plain functions, fits all. That is intended.
# mypy: disable-error-code="overload-overlap"

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, ParamSpec, Protocol, Self, TypeVar, cast, overload

from easyremote.client.client import Client, connect
from easyremote.client.detached.detaching import GENERATES
from easyremote.client.detached.job import DetachedJob
from easyremote.client.job import RemoteJob
from easyremote.client.mapping import map_calls
from easyremote.client.remote_options import RemoteOptions
from easyremote.client.shipping import has_large
from easyremote.client.stream import RemoteStream
from easyremote.client.stubs import is_stub
from easyremote.errors import UsageError
from easyremote.options.requirements import Needs
from easyremote.options.retries import RetryPolicy

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """The node, the name and the options of a remote function."""

    node_id: str
    name: str
    options: RemoteOptions
    is_shipped: bool
    streams: bool

    def client(self) -> Client:
        return connect(self.options.gateway, self.options.api_key)

    def start(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        snapshot: bool = True,
    ) -> RemoteJob[Any]:
        client = self.client()
        begin: Callable[..., RemoteJob[Any]] = client.ship if self.is_shipped else client.call
        what = function if self.is_shipped else self.name
        return begin(what, args, kwargs, snapshot=snapshot, **self._of_call)

    def detach(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> DetachedJob[Any]:
        what, keep = function if self.is_shipped else self.name, self.options.keep
        return self.client().detach_call(what, args, kwargs, keep=keep, **self._of_call)

    @functools.cached_property  # it is needed with each call
    def _of_call(self) -> dict[str, Any]:
        """The options of its calls that were given."""
        options = self.options
        said = {
            "node_id": self.node_id,
            "stream": self.streams,
            "timeout": options.timeout,
            "retry": options.retry_policy,
            "balancing": options.load_balancing,
            "needs": options.needs,
            "priority": options.priority,
            "on_node_loss": options.on_node_loss,
            "notify": options.notify,
        }
        return {name: value for name, value in said.items() if value}


class _Remote(Generic[P, R]):
    """What the three kinds of functions share; ``R`` is what the body returns when it runs here."""

    def __init__(self, function: Callable[P, R], target: Target) -> None:
        wrapper: Any = self  # update_wrapper wants a callable; the subclasses are
        functools.update_wrapper(wrapper, _body(function))
        self.__wrapped__ = function
        self._target = target

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> Any: ...
    def __get__(self, instance: object, owner: type | None = None) -> Any:
        # A stub calls a function of the node's, which has no use for the instance.
        if instance is None or not self._target.is_shipped:
            return self
        function: Any = self.__wrapped__
        return type(self)(functools.partial(function, instance), self._target)

    @property
    def local(self) -> Callable[P, R]:
        """The function itself: it runs the body here, for tests and comparisons."""
        return self.__wrapped__

    def __repr__(self) -> str:
        return f"<remote function {self._target.name} on {self._target.node_id or 'any node'}>"

    def __reduce__(self) -> Any:
        # In code that was sent, a remote function is the plain function: it is on the node already.
        return _unwrapped, (self.__wrapped__,)

    def _start(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], *, snapshot: bool = True
    ) -> RemoteJob[Any]:
        return self._target.start(self.__wrapped__, args, kwargs, snapshot=snapshot)

    async def _start_async(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        await self._target.client().connect_async()
        if self._target.is_shipped and has_large((*args, *kwargs.values())):
            return await (await asyncio.to_thread(self._start, args, kwargs))
        return await self._start(args, kwargs)


class RemoteFunction(_Remote[P, R]):
    """A function that runs on a node; calling it waits for the result.

    Made by `remote`. Besides the plain call there are `submit`, `aio`, `map` and `local`.
    """

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        value: R = self._start(args, kwargs, snapshot=False).wait_as_if_here()
        return value

    def submit(self, /, *args: P.args, **kwargs: P.kwargs) -> RemoteJob[R]:
        """Start a call and return at once.

        Returns
        -------
        RemoteJob
            A `concurrent.futures.Future` that can be awaited.
        """
        return self._start(args, kwargs)

    def detach(self, /, *args: P.args, **kwargs: P.kwargs) -> DetachedJob[R]:
        """Start a call that goes on whoever is gone; see `Client.detach`."""
        return self._target.detach(self.__wrapped__, args, kwargs)

    async def aio(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call it from async code."""
        value: R = await self._start_async(args, kwargs)
        return value

    def map(self, *iterables: Iterable[Any], timeout: float | None = None) -> Iterator[R]:
        """Call it for each item, at the same time; the results in order.

        Parameters
        ----------
        iterables
            As for the builtin `map`.
        timeout
            Seconds that all results together may take; None for no limit.
        """
        return map_calls(self.submit, iterables, timeout)


class RemoteAsyncFunction(_Remote[P, Coroutine[Any, Any, R]]):
    """An async function that runs on a node; calling it returns an awaitable."""

    async def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        value: R = await self._start_async(args, kwargs)
        return value

    def submit(self, /, *args: P.args, **kwargs: P.kwargs) -> RemoteJob[R]:
        """As `RemoteFunction.submit`."""
        return self._start(args, kwargs)

    def detach(self, /, *args: P.args, **kwargs: P.kwargs) -> DetachedJob[R]:
        """As `RemoteFunction.detach`; it waits for the gateway's disk."""
        return self._target.detach(self.__wrapped__, args, kwargs)

    async def aio(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """The same as the plain call."""
        return await self(*args, **kwargs)

    def map(self, *iterables: Iterable[Any], timeout: float | None = None) -> Iterator[R]:
        """As `RemoteFunction.map`."""
        return map_calls(self.submit, iterables, timeout)


class RemoteGenerator(_Remote[P, R], Generic[P, R, T]):
    """A generator that runs on a node; calling it returns its items as they are made.

    ``R`` is what the body returns (an iterator or an async iterator), ``T`` is an item.
    """

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> RemoteStream[T]:
        return cast(RemoteStream[T], self._start(args, kwargs))  # a stream was asked for

    def submit(self, /, *args: P.args, **kwargs: P.kwargs) -> RemoteStream[T]:
        """The same as the plain call, which does not wait either."""
        return self(*args, **kwargs)

    def detach(self, /, *args: P.args, **kwargs: P.kwargs) -> NoReturn:
        """Not possible: nobody would take the items."""
        raise UsageError(GENERATES.format(f"{self._target.name}()"))

    def aio(self, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        """The items, for ``async for``."""
        return aiter(self(*args, **kwargs))

    def map(self, *iterables: Iterable[Any]) -> Iterator[RemoteStream[T]]:
        """Start one call for each item, at the same time; returns their streams in order."""
        started = [self._start(args, {}) for args in zip(*iterables, strict=False)]
        return iter(cast(list[RemoteStream[T]], started))


def _unwrapped(function: Any) -> Any:
    return function


def _body(function: Callable[..., Any]) -> Any:
    """The function that a call runs: that of a partial, the ``__call__`` of an object."""
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, type) or inspect.isroutine(function):
        return function
    return getattr(type(function), "__call__", function)  # noqa: B004 - its name, not whether it has one


class _Decorator(Protocol):
    """What ``@remote(...)`` with options gives."""

    @overload
    def __call__(
        self, function: Callable[P, AsyncIterator[T]], /
    ) -> RemoteGenerator[P, AsyncIterator[T], T]: ...
    @overload
    def __call__(
        self, function: Callable[P, Iterator[T]], /
    ) -> RemoteGenerator[P, Iterator[T], T]: ...
    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, T]], /
    ) -> RemoteAsyncFunction[P, T]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> RemoteFunction[P, R]: ...


@overload
def remote(
    function: Callable[P, AsyncIterator[T]], /
) -> RemoteGenerator[P, AsyncIterator[T], T]: ...


@overload
def remote(function: Callable[P, Iterator[T]], /) -> RemoteGenerator[P, Iterator[T], T]: ...


@overload
def remote(function: Callable[P, Coroutine[Any, Any, T]], /) -> RemoteAsyncFunction[P, T]: ...


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
    load_balancing: bool | str | Mapping[str, str] | None = None,
    retry_policy: str | RetryPolicy | None = None,
    on_node_loss: str | None = None,
    notify: str | None = None,
    stream: bool | None = None,
    ship: bool | None = None,
    needs: Needs | None = None,
    priority: int | None = None,
    keep: float | str | None = None,
) -> _Decorator: ...


def remote(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function run on a node, or the methods of a class.

    A stub calls what the node registered under its name; a function with a body is sent. In a class
    the methods that are stubs call what the node registered as ``Class.method``.

    Parameters
    ----------
    node_id
        The node; None for any node that has the function, or runs code.
    function_name
        The name under which the node registered it; None for the function's own name. With a name
        the registered function is called even if there is a body: that one runs by ``local``.
    timeout
        Seconds after which a call that is not over is stopped; None for no limit.
    api_key, gateway
        None for what is configured.
    load_balancing
        How the node is chosen where several have the function: ``"least_loaded"`` (as True),
        ``"round_robin"``, ``"latency"`` or ``"weighted"``, also as ``{"strategy": ...}``. None and
        False: as its nodes say.
    retry_policy
        When a call that failed is tried again: ``"exponential_backoff"``, ``"fixed"``,
        ``"none"`` or a `RetryPolicy`. None: as its node says. A generator is never restarted.
    on_node_loss
        What becomes of a call whose node is gone. ``"wait"``, as None: it waits a minute for the
        node to come back with it. ``"fail"``: it ends at once, and one that waits for that node,
        too. ``"retry"``: it is tried again at once, on another node where it may, so it may run
        twice.
    notify
        Who is told, in one line, when a call is over, also after this program has ended: an address
        as ``ntfys://ntfy.sh/my-topic``, or the name of one (``"me"``: ``easyremote notify me``
        saves it). The gateway sends it. With a retry policy each attempt is told of.
    stream
        Whether the registered function is a generator; None: it is one if the body is.
    ship
        Whether to send the body; None: send it unless it is that of a stub, or `function_name` is
        given.
    needs
        What each call needs of the machine, and holds while it runs: the words of ``%%remote
        --needs``, as ``"gpu_memory=16GB,cpu=2"`` or ``{"gpu_memory": "16GB", "cpu": 2}``. None: as
        the node registered it.
    priority
        Calls of a higher one go first, whoever's they are; above 0 only for keys that may
        (``easyremote key create --may-prioritise``).
    keep
        How long the outcome of a detached call is kept after its end: seconds, or ``"7d"``. None:
        a day.

    Raises
    ------
    UsageError
        It was not put on a function, or there is no such option or value.

    Examples
    --------
    >>> @remote(node_id="gpu-node")
    ... def train(data):
    ...     pass                    # a stub: gpu-node has registered train()
    >>> train
    <remote function train on gpu-node>
    """
    checked = RemoteOptions.read(options)

    def decorate(function: Callable[..., Any]) -> Any:
        if not callable(function):
            raise UsageError(
                f"@remote goes on a function, not on {function!r}. Name a node with "
                "@remote(node_id=...)."
            )
        stubs = _stubs_of(function) if not checked.ship else {}
        name = checked.function_name or str(getattr(_body(function), "__name__", ""))
        for method, stub in stubs.items():
            setattr(function, method, _remote(stub, f"{name}.{method}", checked))
        return function if stubs else _remote(function, name, checked)

    return decorate if function is None else decorate(function)


def _stubs_of(function: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """The public methods of a class that are stubs; none of anything else."""
    if not isinstance(function, type):
        return {}
    methods = {name: each for name, each in vars(function).items() if inspect.isfunction(each)}
    return {name: each for name, each in methods.items() if name[0] != "_" and is_stub(each)}


def _remote(function: Callable[..., Any], name: str, options: RemoteOptions) -> _Remote[..., Any]:
    body = _body(function)
    generates = inspect.isgeneratorfunction(body) or inspect.isasyncgenfunction(body)
    is_shipped = options.ship
    if is_shipped is None:
        is_shipped = not options.function_name and not is_stub(function)
    streams = generates if options.stream is None else options.stream
    target = Target(options.node_id, name, options, is_shipped, streams)
    is_async = inspect.iscoroutinefunction(body)
    if is_async and options.async_func is False:
        raise UsageError(f"{name}() is an async function, but has async_func=False.")
    if target.streams:
        return RemoteGenerator(function, target)
    if is_async or options.async_func:
        return RemoteAsyncFunction(function, target)
    return RemoteFunction(function, target)
