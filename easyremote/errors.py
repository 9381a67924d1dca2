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
    ├── StorageFailed              a disk can't be written or read
    │   ├── StorageFull            the disk is full
    │   └── StorageDamaged         what was stored is no longer what it was
    ├── CallError                  a call that was accepted ended without a value
    │   ├── RemoteError            the function (or cell) raised
    │   ├── CannotReturn           it ran, but its result can't be sent
    │   ├── CallTimeout            it ran, or waited, longer than it was allowed to
    │   ├── CallCancelled          it was cancelled
    │   ├── CallLost               its node or the gateway went away
    │   ├── OutOfMemory            its process took more memory than it may, or than there was
    │   └── WorkerCrashed          the process that ran it died
    │       └── PoisonCall         attempt after attempt, so that it is not tried again
    └── InternalError              a mistake in EasyRemote itself

An error has a wire code (``code``), tells whether the call may have run (``may_have_run``), and
survives both pickling and the wire. Remote exceptions are never unpickled: `easyremote.raised`
makes them again of plain values. ``tests/test_errors.py`` proves both.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from concurrent.futures import CancelledError
from typing import Any, ClassVar

from easyremote import raised

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
    "OutOfMemory",
    "PoisonCall",
    "ProtocolError",
    "RemoteError",
    "StorageDamaged",
    "StorageFailed",
    "StorageFull",
    "UsageError",
    "VersionMismatch",
    "WorkerCrashed",
]


#: The details that classes below declare, which a peer may set, and what they may be.
_FIELDS: Mapping[str, tuple[type, ...]] = {
    "exception": (),  # of `easyremote.raised`: never an attribute
    "exit_code": (int, type(None)),
    "is_final": (bool,),
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
        self._take(details)

    def _take(self, details: dict[str, Any]) -> None:
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
        return from_wire, to_wire(self)


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


class StorageFailed(EasyRemoteError):
    """A disk can't be written or read: something was not stored.

    If ``is_final``, the process stores nothing more until it is started again.
    """

    code = "storage"
    is_final: bool = False


class StorageFull(StorageFailed):
    """The disk is full; try again after ``retry_after`` seconds, when there is room."""

    code = "storage-full"
    retry_after: float = 60.0


class StorageDamaged(StorageFailed):
    """What was stored is no longer what it was; it is not delivered."""

    code = "storage-damaged"


class CallError(EasyRemoteError):
    """A call that was accepted ended without a value.

    ``may_have_run`` tells whether it can have had effects.
    """

    code = "call"
    may_have_run = True


class RemoteError(CallError):
    """The function (or cell) raised on the node.

    The error is what was raised there as well: of a builtin class, or of a class that is loaded
    here by the same name, with its arguments, fields, notes and causes::

        try:
            read("a.csv")
        except FileNotFoundError as error:
            print(error.filename, error.remote_traceback)

    Its class is a subclass of that one. An argument that is no plain value is replaced by an object
    with the same repr.
    """

    code = "raised"
    type_name: str = "Exception"
    remote_traceback: str = ""
    #: The message: a class of the user's can have a ``message`` of its own.
    _text: str

    def __init_subclass__(cls) -> None:
        """Do nothing: a hook of the user's class is not for the class that is made of it."""

    def __init__(self, message: str, /, **details: Any) -> None:
        self._text = message
        super().__init__(message, **details)

    def __str__(self) -> str:
        return self._text

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


class PoisonCall(WorkerCrashed):
    """The process that ran the call died, attempt after attempt: it is not tried again."""

    code = "poison"


class OutOfMemory(CallError):
    """The process that ran the call took more memory than it may, or than there was."""

    code = "out-of-memory"


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


def to_wire(error: EasyRemoteError) -> tuple[str, str, dict[str, Any]]:
    """The code, message and details with which `from_wire` makes the same error again."""
    # A class of the user's can have a ``code`` and a ``message`` of its own.
    code = RemoteError.code if isinstance(error, RemoteError) else error.code
    return code, str(error), error.details


def from_wire(code: str, message: str, details: Mapping[str, Any]) -> EasyRemoteError:
    """Make the error that `to_wire` described; an unknown code (a newer peer's) is a plain one."""
    cls = _BY_CODE.get(code, EasyRemoteError)
    if cls is RemoteError:
        return _raised(message, dict(details))
    return cls(message, **details)


def _raised(message: str, details: dict[str, Any]) -> RemoteError:
    """What was raised on the node, made again."""
    type_name = str(details.get("type_name", "Exception"))
    module = "builtins" if hasattr(builtins, type_name) else __name__
    alone = {"class": [[module, type_name]], "args": [message]}
    for record in (details.get("exception", alone), alone):
        try:
            error = raised.rebuilt(RemoteError, record, _of_another)
        except Exception:  # a peer can send anything
            continue
        assert isinstance(error, RemoteError)
        error._text = raised.text_in(record) if raised.is_odd(record) else message
        vars(error).setdefault("message", message)
        error._take(details)
        return error
    return RemoteError(message, **details)


def _of_another(record: Mapping[str, Any]) -> RemoteError:
    """The cause of one that was raised, or a member of a group."""
    type_name = str(record["class"][0][1]).rpartition(".")[2]
    return _raised(raised.text_in(record), {"type_name": type_name, "exception": record})
