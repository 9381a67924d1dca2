"""Every error that EasyRemote raises, in one tree::

    EasyRemoteError
    ├── UsageError                 what you asked for is not possible; nothing was sent
    │   ├── CannotShip             a value that can't be sent; the message names it
    │   └── Closed                 the Client was closed, or shut down
    ├── GatewayUnreachable         nothing answers at the gateway's address, or no gateway
    ├── NotAuthorized              the gateway refused the key
    ├── VersionMismatch            the two sides speak different versions
    ├── ProtocolError              the other side broke the wire protocol
    ├── NotFound                   no such node or function
    ├── NodeOffline                the node is known, but not connected
    ├── Busy                       a limit is reached; try again later
    ├── CallError                  a call that was accepted ended without a value
    │   ├── RemoteError            the function (or cell) raised
    │   ├── CannotReturn           it ran, but its result can't be sent
    │   ├── CallTimeout            it ran, or waited, longer than it was allowed to
    │   ├── CallCancelled          it was cancelled
    │   ├── CallLost               its node or the gateway went away
    │   └── WorkerCrashed          the process that ran it died
    └── InternalError              a mistake in EasyRemote itself

An error has a wire code (``code``), tells whether the call may have run (``may_have_run``), and
survives both pickling and the wire. Remote exceptions are never unpickled: a type's name, its
message and its traceback travel, and the class is rebuilt for builtins only.
``tests/test_errors.py`` proves both.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Mapping
from concurrent.futures import CancelledError
from typing import Any, ClassVar

__all__ = [
    "Busy",
    "CallCancelled",
    "CallError",
    "CallLost",
    "CallTimeout",
    "CannotReturn",
    "CannotShip",
    "Closed",
    "EasyRemoteError",
    "GatewayUnreachable",
    "InternalError",
    "NodeOffline",
    "NotAuthorized",
    "NotFound",
    "ProtocolError",
    "RemoteError",
    "UsageError",
    "VersionMismatch",
    "WorkerCrashed",
]


#: The details that classes below declare, which a peer may set, and what they may be.
_FIELDS: Mapping[str, tuple[type, ...]] = {
    "exit_code": (int, type(None)),
    "may_have_run": (bool,),
    "remote_traceback": (str,),
    "retry_after": (int, float),
    "type_name": (str,),
}


class EasyRemoteError(Exception):
    """The root of the tree: catch it to catch every error of EasyRemote.

    Parameters
    ----------
    message
        What happened, to what, and what to do next.
    **details
        Fields of this error (``node_id``, ``call_id``, ``retry_after`` in seconds, ...), readable
        as attributes. They must be plain values, because they travel. One that has the name of
        something else, as ``args`` or ``message``, is found in ``error.details`` only: a peer can
        send any name.
    """

    code: ClassVar[str] = "error"
    #: Whether the call may have started; False means that it surely did not.
    may_have_run: bool = False

    def __init__(self, message: str, /, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        for name, value in details.items():
            if name in _FIELDS:
                is_readable = isinstance(value, _FIELDS[name])
            else:
                is_readable = name.isidentifier() and name[0] != "_" and not hasattr(self, name)
            if is_readable:
                setattr(self, name, value)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> Any:
        return from_wire, (self.code, self.message, self.details)


class UsageError(EasyRemoteError):
    """What you asked for is not possible; nothing was sent."""

    code = "usage"


class CannotShip(UsageError):
    """A value can't be sent; the message names it, and nothing was sent."""

    code = "cannot-ship"


class Closed(UsageError, RuntimeError):
    """The Client was closed, or shut down as an executor; nothing was sent."""

    code = "closed"


class GatewayUnreachable(EasyRemoteError, ConnectionError):
    """Nothing answers at the gateway's address, or what answers is no gateway."""

    code = "unreachable"


class NotAuthorized(EasyRemoteError):
    """The gateway (or the node) refused the key."""

    code = "not-authorized"


class VersionMismatch(EasyRemoteError):
    """The two sides speak different versions; the message names both."""

    code = "version"


class ProtocolError(EasyRemoteError):
    """The other side broke the wire protocol; the connection was closed."""

    code = "protocol"


class NotFound(EasyRemoteError, LookupError):
    """No such node or function; the message lists those that are there."""

    code = "not-found"


class NodeOffline(EasyRemoteError):
    """The node is known, but not connected at the moment."""

    code = "offline"


class Busy(EasyRemoteError):
    """A limit is reached; try again after ``retry_after`` seconds."""

    code = "busy"
    retry_after: float = 1.0


class CallError(EasyRemoteError):
    """A call that was accepted ended without a value.

    ``may_have_run`` tells whether it can have had effects.
    """

    code = "call"
    may_have_run = True


class RemoteError(CallError):
    """The function (or cell) raised on the node.

    Where the remote exception is a builtin, the error is that builtin as well::

        try:
            divide(1, 0)
        except ZeroDivisionError as error:
            print(error.remote_traceback)
    """

    code = "raised"
    type_name: str = "Exception"
    remote_traceback: str = ""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of our own frames: the node's traceback."""
        where = self.details.get("node_id", "")
        banner = f"── on {where} " if where else "── on the node "
        return [
            banner.ljust(75, "─"),
            self.remote_traceback.rstrip() or f"{self.type_name}: {self}",
        ]


class CannotReturn(CallError):
    """The call ran, but its result can't be sent."""

    code = "cannot-return"


class CallTimeout(CallError, TimeoutError):
    """The call ran, or waited, longer than it was allowed to."""

    code = "timeout"


class CallCancelled(CallError, CancelledError):
    """The call was cancelled."""

    code = "cancelled"


class CallLost(CallError):
    """The node or the gateway went away before the result was here."""

    code = "lost"


class WorkerCrashed(CallError):
    """The process that ran the call died (``exit_code``, or ``-signal``)."""

    code = "crashed"
    exit_code: int | None = None


class InternalError(EasyRemoteError):
    """A mistake in EasyRemote itself. Please report it, with the message."""

    code = "internal"
    may_have_run = True


def _codes(cls: type[EasyRemoteError]) -> dict[str, type[EasyRemoteError]]:
    found = {cls.code: cls}
    for child in cls.__subclasses__():
        found |= _codes(child)
    return found


_BY_CODE = _codes(EasyRemoteError)
#: Characters of the name of a class that is rebuilt, and how many such classes are kept.
_NAME_LIMIT = 200
_CLASSES_KEPT = 1000


@functools.lru_cache(maxsize=_CLASSES_KEPT)
def _remote_error_class(type_name: str) -> type[RemoteError]:
    """The class for a remote exception: its name, and the builtin of that name as a base."""
    if not type_name.isidentifier() or len(type_name) > _NAME_LIMIT:
        return RemoteError
    builtin = getattr(builtins, type_name, None)
    is_builtin = isinstance(builtin, type) and issubclass(builtin, Exception)
    bases: tuple[type, ...] = (RemoteError,)
    if isinstance(builtin, type) and is_builtin and builtin is not Exception:
        bases = (RemoteError, builtin)
    members = {
        "__module__": "builtins" if is_builtin else __name__,
        "__doc__": RemoteError.__doc__,
        "__str__": EasyRemoteError.__str__,
    }
    try:
        return type(type_name, bases, members)
    except TypeError:  # a builtin whose memory layout can't be combined with ours
        return type(type_name, (RemoteError,), members)


def to_wire(error: EasyRemoteError) -> tuple[str, str, dict[str, Any]]:
    """The code, message and details with which `from_wire` makes the same error again."""
    return error.code, error.message, error.details


def from_wire(code: str, message: str, details: Mapping[str, Any]) -> EasyRemoteError:
    """Make the error that `to_wire` described; an unknown code (a newer peer's) is a plain one."""
    cls = _BY_CODE.get(code, EasyRemoteError)
    if cls is RemoteError:
        cls = _remote_error_class(str(details.get("type_name", "Exception")))
    try:
        return cls(message, **details)
    except (TypeError, ValueError, AttributeError):
        # A builtin base can refuse our arguments (UnicodeDecodeError wants five).
        return RemoteError(message, **details)
