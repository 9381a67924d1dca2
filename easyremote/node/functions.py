"""What a node has registered: each function with its options, checked when it is registered."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from easyremote.errors import UsageError
from easyremote.node.classes import MadeOnce, public_methods
from easyremote.node.options import Options, is_function_name
from easyremote.node.registered.parameters import parameters
from easyremote.options.requirements import Requirements
from easyremote.options.retries import RetryPolicy
from easyremote.options.scaling import Scaling
from easyremote.protocol.messages import Function

F = TypeVar("F", bound=Callable[..., Any])

#: How much of a docstring travels to people who look at the list of functions.
DOC_LIMIT = 4000


@dataclass(frozen=True, slots=True)
class RegisteredFunction:
    """A function and what is said of it."""

    #: The function; of a method, the one in its class.
    call: Callable[..., Any]
    spec: Function
    #: For the method of a class that was registered: the instance, the method's own name, and
    #: whether it has a ``self``.
    instance: MadeOnce | None = None
    method: str = ""
    has_self: bool = False
    #: For one that runs in processes: how many there are.
    scaling: Scaling | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def pool(self) -> str:
        """Whose processes run it: its own, or those of its class."""
        return self.name if self.instance is None else self.name.rpartition(".")[0]

    @property
    def shown(self) -> Callable[..., Any]:
        """What has the signature that callers see: a method's ``self`` is not given by them."""
        return functools.partial(self.call, None) if self.has_self else self.call

    def ready(self) -> Callable[..., Any]:
        """What a call calls; the instance of a class is made where there is none."""
        if self.instance is None:
            return self.call
        bound: Callable[..., Any] = getattr(self.instance.get(), self.method)
        return bound


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

    def register(self, function: Callable[..., Any], **options: Any) -> None:
        """Take a function in; the options are those of `Registrar.register`."""
        self.take(function, Options.read(options))

    def take(self, function: Callable[..., Any], options: Options) -> None:
        """Take a function in, or the methods of a class.

        Raises
        ------
        UsageError
            An option contradicts the function, or the name is taken or can't be one.
        """
        if not callable(function):
            raise UsageError(f"@node.register wants a function, not {function!r}.")
        name = options.name or str(getattr(function, "__name__", ""))
        if not is_function_name(name):
            raise UsageError(f"{name!r} can't be a function's name. Give one: register(name=...).")
        if isinstance(function, type):
            made = list(_of_class(function, name, options))
        else:
            made = [_made(name, RegisteredFunction(function, _NOTHING), options)]
        for each in made:
            known = self._functions.get(each.name)
            if known is not None and known.call != each.call:
                raise UsageError(
                    f"This node has a function {each.name!r} already. Give one of them another "
                    "name: register(name=...)."
                )
        self._functions |= {each.name: each for each in made}


#: Stands for what is said of a function until that is known.
_NOTHING = Function("")


def _of_class(cls: type, name: str, options: Options) -> Iterator[RegisteredFunction]:
    instance = MadeOnce(cls)
    for method, function in public_methods(cls):
        has_self = inspect.isfunction(inspect.getattr_static(cls, method))
        bare = RegisteredFunction(function, _NOTHING, instance, method, has_self)
        yield _made(f"{name}.{method}", bare, options)


def _made(name: str, bare: RegisteredFunction, options: Options) -> RegisteredFunction:
    """A function with what is said of it."""
    spec = _spec(name, bare.call, bare.shown, options)
    return dataclasses.replace(bare, spec=spec, scaling=options.scaling)


def _spec(
    name: str, function: Callable[..., Any], shown: Callable[..., Any], options: Options
) -> Function:
    """What is said of a function; ``shown`` has the signature that its callers see."""
    is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    if options.async_func is not None and options.async_func != is_async:
        kind = "an async function" if is_async else "no async function"
        raise UsageError(
            f"{name}() is {kind}, but was registered with async_func={options.async_func}"
        )
    generates = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    if options.stream is False and generates:
        raise UsageError(f"{name}() is a generator: it can't be registered with stream=False.")
    described = options.description
    doc = inspect.getdoc(function) or "" if described is None else inspect.cleandoc(described)
    return Function(
        name=name,
        doc=doc[:DOC_LIMIT],
        signature=_signature(shown),
        timeout=options.timeout,
        is_async=is_async,
        streams=generates or bool(options.stream),
        max_concurrency=options.max_concurrency,
        public=options.public,
        auth_required=options.auth_required,
        tags=options.tags,
        parameters=parameters(shown),
        max_body=options.max_body,
        requirements=options.resource_requirements,
        retry=None if generates or options.stream else options.retry_policy,
        balancing=options.load_balancing,
    )


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
        description: str | None = None,
        tags: Iterable[str] | Mapping[str, object] = (),
        public: bool = False,
        auth_required: bool | None = None,
        async_func: bool | None = None,
        stream: bool | None = None,
        timeout: float | None = None,
        retry_policy: str | RetryPolicy | None = None,
        resource_requirements: Mapping[str, object] | Requirements | None = None,
        max_concurrency: int | None = None,
        scaling: str | Scaling | None = None,
        load_balancing: bool | str | Mapping[str, str] | None = None,
        max_body: int | None = None,
    ) -> Callable[[F], F]: ...

    def register(self, function: Callable[..., Any] | None = None, **options: Any) -> Any:
        """Offer a function to clients, or the public methods of a class.

        The function stays what it is; nothing is wrapped. What it returns must not change after it
        returned, because large arrays are sent from where they lie. A class is made once, without
        arguments, when the first call comes; its methods are functions ``Class.method``.

        Parameters
        ----------
        name
            Under which name; None for its own.
        description
            What people are told of it; None for its docstring.
        tags
            Free words, shown to people; a dict's become ``name=value``.
        public
            Also an HTTP endpoint of the gateway: ``POST /api/<name>``.
        auth_required
            Whether that endpoint asks for a client key.
        async_func
            Found out by itself; given and wrong is an error.
        stream
            Found out for generators; True on a plain function streams the iterable it returns.
        timeout
            Seconds that it may run; the caller's wins if shorter. None for no limit.
        retry_policy
            When a call that failed is tried again: ``"exponential_backoff"``, ``"fixed"``,
            ``"none"`` or a `RetryPolicy`. None: a call runs at most once, as a generator always
            does.
        resource_requirements
            What a call needs, as ``{"gpu": True, "gpu_memory": "8GB", "memory": "8GB", "cpu": 2,
            "labels": ["a100"]}``, or some of these. A node that can never give it does not offer
            the function, and says so.
        max_concurrency
            How many calls run at a time here; None for as many as there are slots.
        scaling
            ``"auto"`` or a `Scaling`: it runs in processes of its own, not in threads. There are
            more of them when calls wait, and fewer when they are idle; a crash of one fails one
            call. What the function uses of its program is copied to each process, and its calls
            share no variables.
        load_balancing
            Where calls go if several nodes have a function of this name: ``"least_loaded"`` (True
            and None mean the same), ``"round_robin"``, ``"latency"`` or ``"weighted"``. False: the
            name belongs to one node, and a second one can't offer it.
        max_body
            The largest body of an HTTP request that calls it, in bytes; None for 1 MiB. The gateway
            holds a body in memory, and takes at most 64 MiB.

        Raises
        ------
        UsageError
            There is no such option or value, an option contradicts the function, or the name is
            taken.

        Examples
        --------
        >>> @node.register(timeout=60, retry_policy="exponential_backoff")    # doctest: +SKIP
        ... def train(data): ...
        >>> @node.register                                                    # doctest: +SKIP
        ... class Model:
        ...     def predict(self, x): ...       # the function "Model.predict"
        """
        checked = Options.read(options)

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            self.functions.take(function, checked)
            self._registered()
            return function

        return decorate if function is None else decorate(function)

    def register_function(self, name: str, function: Callable[..., Any]) -> None:
        """Offer a function under a name, as ``register(name=...)`` does."""
        self.register(name=name)(function)

    def _registered(self) -> None:
        """There is one more: a node that is online says so."""
