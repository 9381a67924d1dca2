"""How a call's end is written for the wire: its value, or the exception that it raised.

The one place where an exception of the user's code is turned into an `Outcome`.
"""

from __future__ import annotations

import json
import secrets
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

from easyremote import raised
from easyremote.errors import (
    CannotReturn,
    CannotShip,
    EasyRemoteError,
    ProtocolError,
    RemoteError,
    to_wire,
)
from easyremote.protocol.held import Outcome, failure
from easyremote.protocol.streams import Buffer
from easyremote.serialize.plain import dump_plain
from easyremote.serialize.values import Dumped, dump, load_call

#: A traceback or a message of more characters is cut in the middle.
TEXT_LIMIT = 200_000


def load_arguments(encoding: str, body: Buffer) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call, as its encoding says.

    Raises
    ------
    ProtocolError
        The encoding is none of those that arguments come in; nothing was opened.
    """
    if encoding == "json":
        return (), json.loads(bytes(body))
    if encoding == "pickle5":
        return load_call(body)
    raise ProtocolError(
        f"A registered function takes no arguments in {encoding[:80]!r}, only in pickle5 or json; "
        "they were not opened."
    )


def value_outcome(value: object, encoding: str, function: str, seconds: float) -> Outcome:
    """The outcome of a call that returned; ``encoding`` is what its arguments came in.

    ``function`` is what ran, for messages.
    """
    try:
        if encoding == "json":
            body = dump_plain(value)
            return Outcome((body,), len(body), "json", seconds=seconds)
        dumped = dump(value)
    except CannotShip as error:
        return failure(*to_wire(cannot_return(error, f"{function} ran, but what it returned"))[:2])
    return Outcome(dumped.parts, dumped.size, "pickle5", seconds=seconds)


def dump_item(item: object, function: str, encoding: str) -> Dumped:
    """An item of a generator; ``encoding`` is what the arguments came in.

    Raises
    ------
    CannotReturn
        It can't travel.
    """
    if encoding == "json":
        body = dump_plain(item)
        return Dumped([body], len(body))
    try:
        return dump(item)
    except CannotShip as error:
        raise cannot_return(error, f"{function} runs, but what it yielded") from None


def cannot_return(error: CannotShip, what: str) -> CannotReturn:
    """What was to be sent back can't travel; the hints of `CannotShip` are for the way there."""
    if error.details.get("type") == "generator":
        hint = "Return list(...) of it, or yield its items."
    elif "what" in error.details:
        hint = "Return plain data that is made from it."
    else:
        hint = ""
    reason = f"{error.details['what']}. {hint}" if hint else error.message
    return CannotReturn(f"{what} can't travel: {reason}")


def error_outcome(error: BaseException, *, node_id: str = "", skip: int = 1) -> Outcome:
    """The outcome of a call that raised.

    ``skip`` is how many frames at the start of the traceback are ours.
    """
    if not isinstance(error, EasyRemoteError):
        trace = error.__traceback__
        for _ in range(skip):
            trace = trace.tb_next if trace is not None and trace.tb_next is not None else trace
        error = remote_error(error, _format(error, trace))
        error.details |= {"node_id": node_id, "error_id": secrets.token_hex(4)}
    code, message, details = to_wire(error)
    return failure(code, message, **{"may_have_run": error.may_have_run, **details})


def remote_error(error: BaseException, shown: str = "", message: str = "") -> RemoteError:
    """What an error of the user's code is on the other side.

    Parameters
    ----------
    shown
        Its traceback, as people read it.
    message
        Its message, where it isn't the error's own.
    """
    message = message or raised.text_of(error)
    return RemoteError(
        _shorten(message),
        type_name=type(error).__name__,
        remote_traceback=_shorten(shown or f"{type(error).__name__}: {message}"),
        exception=raised.described(error),
    )


def bad_arguments(error: TypeError, function: Callable[..., Any]) -> RemoteError:
    """The error of a call whose arguments don't fit the function's signature."""
    name = getattr(function, "__name__", "the function")
    return RemoteError(
        f"{name}(): {error}",
        may_have_run=False,
        type_name="TypeError",
        remote_traceback=f"TypeError: {name}(): {error}",
        bad_arguments=True,
    )


def _format(error: BaseException, trace: TracebackType | None) -> str:
    try:
        return "".join(traceback.format_exception(type(error), error, trace))
    except Exception:  # as above: a user's __str__ or __repr__
        lines = traceback.format_tb(trace)
        return "".join(["Traceback (most recent call last):\n", *lines, type(error).__name__])


def _shorten(text: str) -> str:
    if len(text) > TEXT_LIMIT:
        half = TEXT_LIMIT // 2
        left_out = len(text) - TEXT_LIMIT
        text = f"{text[:half]}\n... {left_out} characters left out ...\n{text[-half:]}"
    return text
