"""Registered functions inside a process of their own, which ``packed.py`` has packed for it.

``tests/node/registered/test_packed.py`` proves it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from easyremote.node.classes import MadeOnce
from easyremote.node.outcomes import bad_arguments, load_arguments
from easyremote.protocol.streams import Buffer
from easyremote.serialize.values import load

__all__ = ["OpenedFunctions"]


class OpenedFunctions:
    """The functions of one process; they are opened at the first call.

    Parameters
    ----------
    body
        What was packed.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._target: Any = None
        #: By name: the method of a class, empty for a function; and whether its value is iterated.
        self._methods: Mapping[str, tuple[str, bool]] = {}

    def open(
        self, name: str, encoding: str, arguments: Buffer
    ) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        """The function of this name, and its arguments.

        Raises
        ------
        RemoteError
            The arguments don't fit the function.
        """
        if self._target is None:
            self._target, self._methods = load(self._body)
            if isinstance(self._target, type):
                self._target = MadeOnce(self._target)
        method, streams = self._methods[name]
        function = self._target
        if method:
            function = getattr(function.get(), method)
        args, kwargs = load_arguments(encoding, arguments)
        if encoding == "json":
            try:
                inspect.signature(function).bind(*args, **kwargs)
            except TypeError as error:
                raise bad_arguments(error, function) from None
        return (_iterated(function) if streams else function), args, kwargs


def _iterated(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function as a generator, where it returns what is to be iterated."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return function
    return lambda *args, **kwargs: (item for item in function(*args, **kwargs))
