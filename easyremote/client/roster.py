"""`Roster`: which nodes there are, known at any moment without asking.

The gateway tells of each node that comes or goes. These changes arrive in order with its other
answers, so this list is never older than an answer.
``tests/client/test_roster.py`` proves it with real processes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from easyremote.client.connection import CONNECT_LIMIT
from easyremote.client.job import RemoteJob
from easyremote.client.outcome import checked
from easyremote.client.stream import RemoteStream
from easyremote.errors import EasyRemoteError
from easyremote.protocol.builtins import CHANGES, NODES
from easyremote.protocol.snapshot import FunctionInfo, GatewaySnapshot, NodeInfo

if TYPE_CHECKING:
    from easyremote.client.executor import RemoteExecutor

__all__ = ["Roster"]


class Roster:
    """The nodes of a client's gateway, and their functions."""

    def __init__(self, executor: RemoteExecutor) -> None:
        self._executor = executor
        self._nodes: dict[str, NodeInfo] = {}
        self._changes: RemoteStream[dict[str, Any]] | None = None
        #: The connection on which the changes come. What happens between two connections is never
        #: told, so the gateway is asked anew.
        self._connection = 0
        self._lock = threading.Lock()
        #: Called on the I/O thread whenever the nodes may have changed; it has to return at once.
        self.changed: Callable[[], None] = lambda: None

    def nodes(self) -> list[NodeInfo]:
        """The nodes that the gateway knows; their loads as they were when they came."""
        with self._lock:
            changes = self._changes
            if changes is None or changes.done() or self._connection != self._executor.connection:
                changes = self._begin()
            try:
                for change in changes.arrived():
                    node = checked(change, NodeInfo)
                    self._nodes[node.node_id] = node
            except EasyRemoteError:
                self._changes = None  # a change is missing: ask anew next time
                changes.close()
                raise
            return list(self._nodes.values())

    def python_of(self, node_id: str) -> tuple[int, int] | None:
        """A node's Python version; None where it is not known.

        While the gateway is out of reach nobody is asked: a call waits for it, its caller does not.
        """
        if self._connection and not self._executor.connection:
            return None
        pythons = (node.python for node in self.nodes() if node.node_id == node_id)
        try:
            major, minor = next(pythons, "").split(".")[:2]
            return int(major), int(minor)
        except ValueError:
            return None

    def ask_for_nodes(self) -> list[NodeInfo]:
        """Ask the gateway for its nodes."""
        return list(self.ask().nodes)

    def ask_for_functions(self) -> list[FunctionInfo]:
        """Ask the gateway for the functions of all nodes online."""
        return list(self.ask().functions)

    def ask(self) -> GatewaySnapshot:
        """Ask the gateway for all that it tells of: nodes, functions, and the jobs of this key."""
        job: RemoteJob[GatewaySnapshot] = self._executor.ask(NODES, timeout=CONNECT_LIMIT)
        return job.result()

    def _begin(self) -> RemoteStream[dict[str, Any]]:
        self._changes = None
        # The stream comes first, then the nodes: between the two nothing is missed.
        started = self._executor.ask(CHANGES, stream=True)
        changes = cast(RemoteStream[dict[str, Any]], started)  # a stream was asked for
        changes.tell(lambda: self.changed())
        connection = self._executor.connection
        self._nodes = {node.node_id: node for node in self.ask_for_nodes()}
        self._changes, self._connection = changes, connection
        return changes
