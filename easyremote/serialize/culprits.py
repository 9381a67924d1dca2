"""Makes the error that names what can't travel: which argument, where in it, why, and what to do.

This runs only after a failure. It tries each suspect on its own, then the things that the suspect
holds (items, attributes, a function's globals and closure), down to the innermost one that fails.
``tests/serialize/test_culprits.py`` proves it.
"""

from __future__ import annotations

import inspect
import io
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from easyremote.errors import CannotShip, EasyRemoteError
from easyremote.guarded import attribute

#: A value with its label for messages and its name in a path.
Suspect = tuple[str, str, Any]

_DEPTH = 12
#: Items looked at in one container, so that a failure costs seconds at most.
_WIDTH = 1000

_HINTS: tuple[tuple[str, str], ...] = (
    ("_io.", "Open the file on the node instead, and pass its path or its contents."),
    ("tempfile.", "Open the file on the node instead, and pass its path or its contents."),
    ("socket.", "Open the connection on the node instead."),
    ("ssl.", "Open the connection on the node instead."),
    ("sqlite3.", "Connect to the database on the node instead."),
    ("psycopg", "Connect to the database on the node instead."),
    ("sqlalchemy.", "Connect to the database on the node instead."),
    ("builtins.generator", "Pass list(...) of it, or make it on the node."),
    ("builtins.coroutine", "Await it first, and pass the result."),
    ("builtins.async_generator", "Collect its items first, or make it on the node."),
    ("builtins.frame", "Take out of the frame what you need."),
    ("builtins.traceback", "Pass traceback.format_exc(), the text."),
    ("_thread.", "Make the lock on the node instead."),
    ("threading.", "Make it on the node instead."),
    ("multiprocessing.", "Make it on the node instead."),
    ("asyncio.", "Make it on the node instead."),
    ("concurrent.futures.", "Pass its result() instead."),
)


def arguments(
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    function: Callable[..., Any] | None,
    name: str | None,
) -> list[Suspect]:
    """The arguments of a call as suspects, by the names of their parameters where known."""
    name = name or getattr(function, "__name__", None)
    of = f" of {name}()" if name else ""
    positional = _parameter_names(function, len(args))
    found: list[Suspect] = []
    for index, value in enumerate(args):
        known = positional[index] if index < len(positional) else None
        label = f"argument {known!r}" if known else f"argument {index + 1}"
        found.append((label + of, known or f"args[{index}]", value))
    found += [(f"argument {key!r}{of}", key, value) for key, value in kwargs.items()]
    return found


def _parameter_names(function: Callable[..., Any] | None, count: int) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]  # None raises TypeError, as intended
    except (TypeError, ValueError):
        return []
    kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    names = [each.name for each in parameters if each.kind in kinds]
    rest = [each.name for each in parameters if each.kind is inspect.Parameter.VAR_POSITIONAL]
    return names + [f"{rest[0]}[{index}]" for index in range(count - len(names)) if rest]


def cannot_ship(
    suspects: list[Suspect], attempt: Callable[[Any], None], error: Exception
) -> CannotShip:
    """The error for a value that could not be dumped.

    Parameters
    ----------
    suspects
        What to try, each on its own.
    attempt
        Dumps a value, and raises if that fails.
    error
        What the dump of the whole raised; used where each suspect can be dumped by itself.
    """
    label, path = ("the arguments" if len(suspects) != 1 else suspects[0][0]), ""
    culprit: Any = None
    for each_label, each_path, value in suspects:
        if (reason := _failure(attempt, value)) is not None:
            label, path, culprit, error = each_label, each_path, value, reason
            break
    start = path
    for _ in range(0 if isinstance(error, RecursionError) else _DEPTH):
        inner = next(_failing_parts(culprit, path, attempt), None)
        if inner is None:
            break
        path, culprit, error = inner
    what = "" if culprit is None else _described(culprit)
    where = f"{path} is {what}" if path != start else what
    what = f"{where} ({_reason(error)})".lstrip()
    hint = _hint(culprit, error)
    message = f"{label} can't travel: {what}. {hint}".rstrip()
    # An error of ours has the whole message already.
    short = hint or _reason(error)
    return CannotShip(message, name=start, path=path, type=_kind(culprit), what=what, hint=short)


def _failure(attempt: Callable[[Any], None], value: Any) -> Exception | None:
    try:
        attempt(value)
    except Exception as error:
        return error
    return None


def _failing_parts(
    value: Any, path: str, attempt: Callable[[Any], None]
) -> Iterator[tuple[str, Any, Exception]]:
    for inner, part in islice(_parts(value, path), _WIDTH):
        if (error := _failure(attempt, part)) is not None:
            yield inner, part, error


def _parts(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The things that a value holds, each with its path in Python's notation."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"{path}[{_shown(key)}]", item
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield f"{path}[{index}]", item
    elif isinstance(value, set | frozenset):
        yield from ((f"an item of {path}", item) for item in value)
    elif isinstance(value, types.MethodType):
        yield f"{path}.__self__", value.__self__
        yield f"{path}.__func__", value.__func__
    elif isinstance(value, types.FunctionType):
        yield from _parts_of_function(value)
    elif not isinstance(value, type | types.ModuleType) and not _own_hint(value):
        yield from ((f"{path}.{name}", item) for name, item in _attributes(value).items())


def _parts_of_function(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    from easyremote.serialize.functions import globals_of
    from easyremote.serialize.modules import travels_by_reference

    if travels_by_reference(function):
        return
    name = function.__name__
    for key in globals_of(function):
        if function.__globals__[key] is not function:
            yield f"{key} (a global that {name}() uses)", function.__globals__[key]
    for key, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f"{key} (a variable around {name}())", cell.cell_contents
        except ValueError:
            continue  # an empty cell holds nothing
    for index, default in enumerate(function.__defaults__ or ()):
        yield f"default {index + 1} of {name}()", default


def _attributes(value: Any) -> dict[str, Any]:
    if hasattr(type(value), "__reduce__") and "__reduce__" in vars(type(value)):
        return {}  # its __reduce__ decides what travels, which may be none of its attributes
    return dict(attribute(value, "__dict__", {}))


def _shown(key: Any) -> str:
    text = repr(key) if isinstance(key, str | int | float | bytes | tuple | None) else _kind(key)
    return text if len(text) <= 40 else text[:37] + "..."


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def _described(value: Any) -> str:
    name = attribute(value, "__qualname__")
    if isinstance(name, str):
        return f"the {_kind(value)} {name}"
    file = getattr(value, "name", None) if isinstance(value, io.IOBase) else None
    return f"{_kind(value)} {file!r}" if isinstance(file, str) else _kind(value)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, EasyRemoteError):
        return str(error).rstrip(".")
    text = str(error) or type(error).__name__
    return text if isinstance(error, TypeError) else f"{type(error).__name__}: {text}"


def _own_hint(culprit: Any) -> str | None:
    full = f"{type(culprit).__module__}.{type(culprit).__qualname__}"
    return next((hint for start, hint in _HINTS if full.startswith(start)), None)


def _hint(culprit: Any, error: Exception) -> str:
    if isinstance(error, RecursionError):
        limit = sys.getrecursionlimit()
        return f"Flatten it, or raise sys.setrecursionlimit (now {limit}) on both sides."
    if isinstance(error, EasyRemoteError):
        return ""
    if found := _own_hint(culprit):
        return found
    for start, hint in _HINTS:
        if f"'{start}" in str(error):
            return hint
    return "Make it on the node instead, or pass the plain data that it is made from."
