"""What comes back from a call, opened: its value or its error, and what it shows on the way.

The one place in the client that unpickles. It does so only for what the user's own code on a node
has made: which functions those are stands in ``protocol/builtins.py``. What a gateway, or a node
itself, answers is msgpack, so neither can run code here.
``tests/client/test_outcome.py`` proves it with a gateway that lies.
"""

from __future__ import annotations

import functools
import sys
from typing import Any, TypeVar

import msgspec

from easyremote.errors import EasyRemoteError, ProtocolError, from_wire
from easyremote.events import Event, Stream
from easyremote.packing import UNREADABLE
from easyremote.protocol.builtins import BUILTINS, UserPickle, is_builtin
from easyremote.protocol.failures import unpack_error
from easyremote.protocol.streams import Buffer
from easyremote.serialize.values import load

__all__ = ["accepted_encodings", "answer_type", "check_encoding", "checked", "load_error"]
__all__ += ["load_outcome", "load_value", "print_shown"]

T = TypeVar("T")

_PLAIN = ("msgpack",)
_OF_REGISTERED = {"pickle5": ("pickle5",), "json": ("json",), "msgpack": _PLAIN}


@functools.lru_cache(1000)  # it is asked for each call
def accepted_encodings(function: str, asked_in: str) -> tuple[str, ...]:
    """The encodings in which a call may be answered.

    Parameters
    ----------
    function
        The name of what is called.
    asked_in
        The encoding of its arguments. A registered function answers in the same one, a builtin
        as its row says.
    """
    if is_builtin(function):
        row = BUILTINS.get(function)
        return _PLAIN if row is None else (row.encoding,)
    return _OF_REGISTERED[asked_in]


def answer_type(function: str) -> Any:
    """The type in which a call must be answered: that of a builtin's row, else any."""
    row = BUILTINS.get(function)
    return Any if row is None or row.answers is UserPickle else row.answers


def check_encoding(encoding: str, accepted: tuple[str, ...], what: str) -> None:
    """Refuse what came in an encoding in which it must not come.

    Raises
    ------
    ProtocolError
        It is another one than those that are accepted.
    """
    if encoding not in accepted:
        raise ProtocolError(
            f"{what} was answered in {encoding[:40]!r}, where {' or '.join(accepted)} was due. The "
            "answer was not opened: the gateway or the node is broken, or not to be trusted.",
            may_have_run=True,
        )


def load_value(encoding: str, body: Buffer, kind: Any = Any) -> Any:
    """Make a value of bytes whose encoding was checked; ``kind``: the type that plain ones have.

    Raises
    ------
    ProtocolError
        The bytes are no such value.
    CannotShip, ModuleNotFoundError
        As of `easyremote.serialize.values.load`.
    """
    if encoding == "pickle5":
        return load(body)
    try:
        if encoding == "json":
            return msgspec.json.decode(body)
        return msgspec.msgpack.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise ProtocolError(f"An answer is not what was asked for: {error}.") from None
    except UNREADABLE as error:
        raise ProtocolError(f"An answer in {encoding} can't be read: {error}.") from None


def load_error(body: Buffer) -> EasyRemoteError:
    """The error with which a call ended; a `ProtocolError` where the bytes are none."""
    try:
        return from_wire(*unpack_error(body))
    except UNREADABLE as error:
        return ProtocolError(f"The call failed, and its error can't be read: {error}.")


def checked(answer: object, kind: type[T]) -> T:
    """An answer of the gateway or a node in the types in which it must come.

    Raises
    ------
    ProtocolError
        It is something else.
    """
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        raise ProtocolError(f"An answer is not what was asked for: {error}.") from None


def load_outcome(
    code: str, encoding: str, body: Buffer, accepted: tuple[str, ...], what: str, kind: Any = Any
) -> tuple[Any, EasyRemoteError | None]:
    """The value of a call and None, or None and its error.

    Parameters
    ----------
    code
        The error's code, empty for a value.
    encoding, body
        How the value travelled, and its bytes; an error is always msgpack.
    accepted
        As of `accepted_encodings`.
    what
        The call, for messages.
    kind
        As of `load_value`.
    """
    if code:
        return None, load_error(body)
    try:
        check_encoding(encoding, accepted, what)
        return load_value(encoding, body, kind), None
    except EasyRemoteError as error:
        return None, error
    except ModuleNotFoundError as missing:
        return None, from_wire(
            "cannot-return",
            f"The result needs the module {missing.name!r}, which is not installed here. "
            f"Install it (pip install {missing.name}), or return plain values.",
            {},
        )


def print_shown(event: Event) -> None:
    """Print what a shipped function has printed; other events have no place in a program."""
    if isinstance(event, Stream):
        # T201 is about our own prints; these are the user's.
        print(event.text, end="", file=getattr(sys, event.name), flush=True)
