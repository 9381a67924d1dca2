"""`Roster`: which nodes there are, known at any moment without asking.

The gateway tells of each node that comes or goes, in order with its other answers; so who looks
here sees no less than who asks. ``tests/client/test_roster.py`` proves it with real processes.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import msgspec

from easyremote.client.info import NodeInfo
from easyremote.protocol.builtins import CHANGES

if TYPE_CHECKING:
    from easyremote.client.client import Client
    from easyremote.client.job import RemoteStream

__all__ = ["Roster"]


class Roster:
    """The nodes of a client's gateway."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._nodes: dict[str, NodeInfo] = {}
        self._changes: RemoteStream[dict[str, Any]] | None = None
        #: The connection on which the changes come: what was missed between two, nobody tells.
        self._connection = 0
        self._lock = threading.Lock()

    def nodes(self) -> list[NodeInfo]:
        """The nodes that the gateway knows; their loads as they were when they came."""
        with self._lock:
            changes = self._changes
            if changes is None or changes.done() or self._connection != self._client.connection:
                changes = self._ask()
            for change in changes.arrived():
                node = msgspec.convert(change, NodeInfo)
                self._nodes[node.node_id] = node
            return list(self._nodes.values())

    def _ask(self) -> RemoteStream[dict[str, Any]]:
        self._changes = None
        # Asked for before the nodes are: between the two nothing is missed.
        changes = self._client.start_stream(CHANGES)
        connection = self._client.connection
        self._nodes = {node.node_id: node for node in self._client.list_nodes()}
        self._changes, self._connection = changes, connection
        return changes
