"""What a gateway tells of its nodes and their functions, as plain values.

``tests/client/test_client.py`` proves it.
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
    is ended).
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


class FunctionInfo(msgspec.Struct, frozen=True):
    """A function that a node offers.

    ``timeout`` in seconds, 0 for none. ``parameters``: JSON Schema of the object of its arguments,
    empty where it can't be called with names alone.
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
