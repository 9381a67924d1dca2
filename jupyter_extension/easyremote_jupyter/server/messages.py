"""What the server extension sends to the browser, as JSON.

The twin of this module is ``labextension/src/protocol.ts``; the samples in
``tests/jupyter_extension/server/samples`` hold the two together: the tests of both sides read
them. A snapshot is copied field by field, so whatever else the gateway sends (or will send)
never reaches a browser. ``tests/jupyter_extension/server/test_messages.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from easyremote.errors import (
    CallError,
    EasyRemoteError,
    GatewayUnreachable,
    NotAuthorized,
    UsageError,
    VersionMismatch,
)

Reason = Literal["not-configured", "not-authorized", "unreachable", "version-mismatch", "failed"]


#: Samples in percents, a second apart; None for what is not known.
Series = list[int | None]


class Gateway(msgspec.Struct):
    address: str
    version: str


class Gpu(msgspec.Struct):
    name: str
    use: float | None = None  # 0 to 1
    memory_used: int | None = None  # bytes
    memory_total: int | None = None


class Node(msgspec.Struct):
    node_id: str
    state: str  # online, suspect or offline; a newer gateway may know more
    since: float  # seconds in this state
    python: str
    version: str
    functions: list[str]
    running: int
    slots: int
    cores: int | None = None
    cpu: float | None = None  # 0 to 1, of all cores together
    memory_used: int | None = None  # bytes
    memory_total: int | None = None
    gpus: list[Gpu] = []
    labels: list[str] = []


class Job(msgspec.Struct):
    call_id: str
    function: str
    node_id: str | None
    state: str  # queued, dispatched, running or suspect; a newer gateway may know more
    seconds: float


class Connecting(msgspec.Struct, tag_field="kind", tag="connecting"):
    """Nothing is known yet."""


class Snapshot(msgspec.Struct, tag_field="kind", tag="snapshot"):
    """Everything that the panel shows, at one moment."""

    gateway: Gateway
    nodes: list[Node]
    jobs: list[Job]
    seq: int = 0  # of the messages to one browser
    sample: int = 0  # the number of the newest sample of the history
    history: dict[str, list[Series]] = {}  # see `history.meters`


class Delta(msgspec.Struct, tag_field="kind", tag="delta", omit_defaults=True):
    """What has changed since the message before. Who is not named is as before."""

    seq: int
    sample: int  # the meters have kept their values up to it
    nodes: list[Node] = []
    gone: list[str] = []
    jobs: list[Job] = []
    ended: list[str] = []  # call ids


class Unavailable(msgspec.Struct, tag_field="kind", tag="unavailable"):
    """Why there is nothing to show, in words for people, and when the next try is."""

    reason: Reason
    message: str
    retry_in: int  # seconds


#: What the feed knows; to a browser that has a snapshot already a delta goes instead.
Message = Connecting | Snapshot | Unavailable


class Retry(msgspec.Struct, tag_field="kind", tag="retry"):
    """From the browser: try again now."""


#: The first class that fits gives the reason.
_REASONS: tuple[tuple[type[EasyRemoteError], Reason], ...] = (
    (UsageError, "not-configured"),
    (NotAuthorized, "not-authorized"),
    (GatewayUnreachable, "unreachable"),
    (VersionMismatch, "version-mismatch"),
    (CallError, "unreachable"),  # the watch was a call; it ends like this when the gateway goes
)


def snapshot(raw: Mapping[str, Any], address: str) -> Snapshot:
    """Keep of a client's snapshot what the panel shows; raises `msgspec.ValidationError`.

    The address is the one that this machine uses: a gateway can't know under which names it is
    reached.
    """
    gateway = {**raw["gateway"], "address": address}
    return msgspec.convert({**raw, "gateway": gateway, "kind": "snapshot"}, Snapshot)


def unavailable(error: EasyRemoteError, retry_in: int) -> Unavailable:
    """Tell the browser about an error of the connection to the gateway."""
    reasons: list[Reason] = [reason for cls, reason in _REASONS if isinstance(error, cls)]
    reason: Reason = reasons[0] if reasons else "failed"
    return Unavailable(reason, str(error), retry_in)


def encode(message: Message | Delta) -> str:
    return msgspec.json.encode(message).decode()
