"""Whether a node takes anything new: what its owner asked the gateway for, and what its rules say.

What runs there goes on, and so do questions about it. The gateway remembers a pause for as long as
it runs itself, also while the node is away. ``tests/gateway/scheduling/test_lending.py`` proves it.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from easyremote.errors import NodeOffline
from easyremote.protocol.builtins import starts_work

if TYPE_CHECKING:  # a record of a node has its `Lent`
    from easyremote.gateway.records import Node

__all__ = ["Lent", "refused", "refuses", "why_closed"]


class Lent(Enum):
    """What the owner of a node has asked the gateway for; the value says why nothing new starts."""

    YES = ""
    #: Calls wait for the node.
    PAUSED = "its owner has paused it"
    #: Calls that name the node are refused; others go to other nodes.
    DRAINED = "its owner takes it out of use"


def why_closed(node: Node) -> str:
    """Why nothing new may start on a node, in words; empty where it may."""
    return node.lent.value or node.said.closed


def refuses(node: Node, function: str) -> bool:
    """Whether a call of this function will not get there, however long it waits."""
    return node.is_refusing or (node.lent is Lent.DRAINED and starts_work(function))


def refused(node: Node) -> NodeOffline:
    """The error of a call that a node refuses."""
    if node.lent is Lent.DRAINED:
        what = f"takes nothing new: {node.closed}. Name another node"
    else:
        what = (
            "hands back whatever it is sent. Look at its log, and start it again, or name another "
            "node"
        )
    return NodeOffline(f"Node {node.node_id!r} {what}.", node_id=node.node_id)
