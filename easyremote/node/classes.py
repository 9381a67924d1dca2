"""Classes that are registered: made once, when their first call comes; their methods are functions.

``tests/node/test_classes.py`` proves it.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from typing import Any

from easyremote.errors import UsageError

__all__ = ["MadeOnce", "public_methods"]


class MadeOnce:
    """The one instance of a class on this node.

    It is made by the thread of the first call that needs it. Where that fails, the call fails with
    the error, and the next call tries again.
    """

    def __init__(self, cls: type) -> None:
        self.made_of = cls
        self._lock = threading.Lock()
        self._made: Any = None

    @property
    def is_made(self) -> bool:
        """Whether it is there, so that nobody has to wait for it."""
        return self._made is not None

    def get(self) -> Any:
        """The instance; it is made where there is none. Others wait meanwhile."""
        if self._made is None:
            with self._lock:
                if self._made is None:
                    self._made = self._make()
        return self._made

    def _make(self) -> Any:
        try:
            return self.made_of()
        except Exception as error:
            name = self.made_of.__name__
            error.add_note(f"{name}() could not be made on its node. The next call tries again.")
            raise


def public_methods(cls: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The methods of a class that others may call: names without ``_``, inherited ones too.

    Yields
    ------
    str, callable
        The name, and the function with its ``self``; a static or class method without one.

    Raises
    ------
    UsageError
        There is none, or the class can't be made without arguments.
    """
    found = [
        (name, member)
        for name, member in inspect.getmembers_static(cls)
        if not name.startswith("_") and _is_method(member)
    ]
    if not found:
        raise UsageError(
            f"The class {cls.__name__} has no public method: there is nothing to call."
        )
    _check_maker(cls)
    for name, member in found:
        is_plain = inspect.isfunction(member)
        yield name, member if is_plain else getattr(cls, name)


def _is_method(member: object) -> bool:
    return inspect.isfunction(member) or isinstance(member, staticmethod | classmethod)


def _check_maker(cls: type) -> None:
    if inspect.isabstract(cls):
        raise UsageError(f"The class {cls.__name__} is abstract: it can't be made.")
    try:
        inspect.signature(cls).bind()
    except TypeError as error:
        raise UsageError(
            f"The class {cls.__name__} is made without arguments on its node: {cls.__name__}() "
            f"has to work ({error})."
        ) from None
    except ValueError:
        pass  # a class of C code does not tell its signature
