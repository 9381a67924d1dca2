"""What a gateway tells of its nodes, their functions and a key's own calls.

``$nodes`` answers with a `GatewaySnapshot`, ``$watch`` shows one a second, and ``$changes`` shows a
`NodeInfo` for each node that changes. ``tests/gateway/test_feed.py`` and
``tests/client/test_client.py`` prove it.
"""

from __future__ import annotations

import msgspec


class GpuInfo(msgspec.Struct, frozen=True):
    """A GPU of a node. ``use`` is a fraction of its time; memory is in bytes."""

    name: str
    use: float = 0.0
    memory_used: int = 0
    memory_total: int = 0


class NodeInfo(msgspec.Struct, frozen=True):
    """A node, as the gateway sees it.

    ``since``: seconds since it came or went. ``cpu`` (a fraction of all cores), ``memory_used``,
    ``received`` and ``sent`` (bytes a second) are known only while somebody watches the nodes.
    Memory is in bytes. What the node's owner allows: ``runs_code``; ``installs`` (sessions may
    install packages); ``slots`` (registered functions at a time); ``processes`` (functions that
    were sent, at a time and for one key); ``session_idle`` (seconds after which an unused session
    is ended). ``withheld``: the functions that it has and does not offer, and why. ``closed``: why
    nothing new starts there now, for people; empty where something may. ``lent``: what its owner
    has asked the gateway for: ``yes``, ``paused`` or ``drained``. ``asked``, by session: what the
    caller is asked where an idle session of theirs holds GPU memory that somebody waits for.
    """

    node_id: str
    state: str
    since: float = 0.0
    python: str = ""
    version: str = ""
    functions: tuple[str, ...] = ()
    runs_code: bool = False
    running: int = 0
    slots: int = 0
    installs: bool = False
    session_idle: float | None = None
    processes: int | None = None
    cpu: float | None = None
    cores: int | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    gpus: tuple[GpuInfo, ...] = ()
    received: float | None = None
    sent: float | None = None
    labels: tuple[str, ...] = ()
    withheld: dict[str, str] = {}
    closed: str = ""
    lent: str = "yes"
    asked: dict[str, str] = {}


class FunctionInfo(msgspec.Struct, frozen=True):
    """A function that a node offers.

    ``timeout`` in seconds, 0 for none. ``parameters``: JSON Schema of the object of its arguments,
    empty where it can't be called with names alone. ``needs``: what a call needs of the machine,
    for people. ``balancing``: as in REGISTER.
    """

    node_id: str
    name: str
    doc: str = ""
    signature: str = ""
    timeout: float = 0.0
    is_async: bool = False
    streams: bool = False
    max_concurrency: int = 0
    public: bool = False
    auth_required: bool = False
    tags: tuple[str, ...] = ()
    parameters: str = ""
    balancing: str = ""
    needs: str = ""


class JobInfo(msgspec.Struct, frozen=True):
    """A call that waits or runs.

    ``function``: its name; ``cell`` and the like for what EasyRemote itself is asked. ``seconds``
    since it was sent or began. ``origin``: the place that it came from. ``place``: in its queue,
    from 1. ``why``: why it waits, or stands still, in one sentence; empty where it goes on.
    """

    call_id: str
    function: str
    node_id: str | None
    state: str
    seconds: float
    origin: str = ""
    place: int | None = None
    why: str = ""


class EndedJobInfo(msgspec.Struct, frozen=True):
    """A call that is over.

    ``code`` of its error, empty where there was none. ``seconds`` that it ran, ``ago`` in seconds
    since it ended. ``notified``: what became of its notification, for people; empty where it has
    none, or that is on its way.
    """

    call_id: str
    function: str
    node_id: str | None
    code: str
    seconds: float
    ago: float
    origin: str = ""
    notified: str = ""


class GatewayInfo(msgspec.Struct, frozen=True):
    """The gateway itself."""

    version: str = ""


class GatewaySnapshot(msgspec.Struct, frozen=True):
    """Everything at one moment.

    ``jobs`` and ``ended`` are the caller's own; ``more`` says how many jobs there are beside these.
    ``functions`` is told to those who ask once.
    """

    nodes: tuple[NodeInfo, ...]
    gateway: GatewayInfo = GatewayInfo()
    jobs: tuple[JobInfo, ...] = ()
    more: int = 0
    ended: tuple[EndedJobInfo, ...] = ()
    functions: tuple[FunctionInfo, ...] = ()
