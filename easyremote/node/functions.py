"""What a node has registered: each function with its options, checked when it is registered."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from easyremote.errors import UsageError
from easyremote.node.registered.parameters import parameters
from easyremote.protocol.builtins import is_builtin
from easyremote.protocol.messages import Function
from easyremote.times import check_seconds

F = TypeVar("F", bound=Callable[..., Any])

#: How much of a docstring travels to people who look at the list of functions.
DOC_LIMIT = 4000
#: The largest HTTP body that a function can ask for, in bytes; the gateway holds it in memory.
MAX_BODY = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RegisteredFunction:
    """A function and what is said of it."""

    call: Callable[..., Any]
    spec: Function

    @property
    def name(self) -> str:
        return self.spec.name


class Functions:
    """The functions of one node, by name."""

    def __init__(self) -> None:
        self._functions: dict[str, RegisteredFunction] = {}

    def __iter__(self) -> Iterator[RegisteredFunction]:
        return iter(self._functions.values())

    def __len__(self) -> int:
        return len(self._functions)

    def get(self, name: str) -> RegisteredFunction | None:
        return self._functions.get(name)

    def add(self, function: RegisteredFunction) -> None:
        """Take in a function that another node's object had registered."""
        self._functions[function.name] = function

    def register(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        timeout: float | None = None,
        async_func: bool | None = None,
        stream: bool | None = None,
        max_concurrency: int | None = None,
        public: bool = False,
        auth_required: bool | None = None,
        tags: Sequence[str] = (),
        max_body: int | None = None,
    ) -> RegisteredFunction:
        """Take a function in; the options are those of `ComputeNode.register`.

        Raises
        ------
        UsageError
            An option contradicts the function, or the name is taken or can't be one.
        """
        if not callable(function):
            raise UsageError(f"@node.register wants a function, not {function!r}.")
        name = name or getattr(function, "__name__", "")
        if not name or is_builtin(name) or "/" in name or not name.isprintable():
            raise UsageError(f"{name!r} can't be a function's name. Give one: register(name=...).")
        if name in self._functions and self._functions[name].call is not function:
            raise UsageError(
                f"This node has a function {name!r} already. Give one of them another name: "
                "register(name=...)."
            )
        is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        if async_func is not None and async_func != is_async:
            kind = "an async function" if is_async else "no async function"
            raise UsageError(f"{name}() is {kind}, but was registered with async_func={async_func}")
        if timeout is not None:
            check_seconds(timeout, f"{name}(): timeout")
        if max_body is not None and not 1 <= max_body <= MAX_BODY:
            raise UsageError(
                f"{name}(): max_body is in bytes, from 1 to {MAX_BODY} (64 MiB), not {max_body!r}."
            )
        if max_concurrency is not None and max_concurrency < 1:
            raise UsageError(f"{name}(): max_concurrency is at least 1, not {max_concurrency}.")
        generates = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        if stream is False and generates:
            raise UsageError(f"{name}() is a generator: it can't be registered with stream=False.")
        spec = Function(
            name=name,
            doc=(inspect.getdoc(function) or "")[:DOC_LIMIT],
            signature=_signature(function),
            timeout=timeout or 0.0,
            is_async=is_async,
            streams=generates or bool(stream),
            max_concurrency=max_concurrency or 0,
            public=public,
            auth_required=bool(auth_required),
            tags=tuple(tags),
            parameters=parameters(function),
            max_body=max_body or 0,
        )
        registered = RegisteredFunction(function, spec)
        self._functions[name] = registered
        return registered


def _signature(function: Callable[..., Any]) -> str:
    try:
        return str(inspect.signature(function))
    except (TypeError, ValueError):
        return "(...)"  # some builtins don't tell theirs


class Registrar:
    """Takes registrations, also where there is no node yet; `ComputeNode` is one."""

    def __init__(self) -> None:
        self.functions = Functions()

    @overload
    def register(self, function: F, /) -> F: ...

    @overload
    def register(
        self,
        *,
        name: str | None = None,
        timeout: float | None = None,
        async_func: bool | None = None,
        stream: bool | None = None,
        max_concurrency: int | None = None,
        public: bool = False,
        auth_required: bool | None = None,
        tags: Sequence[str] = (),
        max_body: int | None = None,
    ) -> Callable[[F], F]: ...

    def register(self, function: Callable[..., Any] | None = None, **options: Any) -> Any:
        """Offer a function to clients.

        The function stays what it is; nothing is wrapped. What it returns must not change after it
        returned, because large arrays are sent from where they lie.

        Parameters
        ----------
        name
            Under which name; None for its own.
        timeout
            Seconds that it may run; the caller's wins if shorter. None for no limit.
        async_func
            Found out by itself; given and wrong is an error.
        stream
            Found out for generators; True on a plain function streams the iterable it returns.
        max_concurrency
            How many calls run at a time here; None for as many as there are slots.
        public
            Also an HTTP endpoint of the gateway: ``POST /api/<name>``.
        auth_required
            Whether that endpoint asks for a client key.
        tags
            Free words, shown to people.
        max_body
            The largest body of an HTTP request that calls it, in bytes; None for 1 MiB. The gateway
            holds a body in memory, and takes at most 64 MiB.

        Raises
        ------
        UsageError
            An option contradicts the function, or the name is taken.
        """

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            self.functions.register(function, **options)
            self._registered()
            return function

        return decorate if function is None else decorate(function)

    def register_function(self, name: str, function: Callable[..., Any]) -> None:
        """Offer a function under a name, as ``register(name=...)`` does."""
        self.register(name=name)(function)

    def _registered(self) -> None:
        """There is one more: a node that is online says so."""
