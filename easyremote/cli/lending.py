"""``easyremote pause``, ``drain`` and ``resume``: what the owner of a node says of it."""

from __future__ import annotations

import time

import click

from easyremote.client.client import connect
from easyremote.protocol.snapshot import NodeInfo

#: Seconds between two looks at what still runs on a node.
LOOK = 0.5


@click.command()
@click.argument("node_id", metavar="NODE")
def pause(node_id: str) -> None:
    """Let nothing new start on a node of yours; calls wait.

    What runs there goes on. Calls wait, and people see why. A node is yours if its key has the
    same name as your client key, or if you started the gateway, on that machine. The gateway
    remembers the pause also while the node is away, but not over a restart of its own.

    \b
    Example:
      easyremote pause gpu-node
    """
    node = connect().pause(node_id)
    click.echo(
        f"{node_id} is paused: calls wait. {_running(node)} Lend it again: "
        f"easyremote resume {node_id}"
    )


@click.command()
@click.argument("node_id", metavar="NODE")
def drain(node_id: str) -> None:
    """Take a node of yours out of use; wait until nothing runs there.

    Nothing new starts. Calls for any node go to others; calls that name this node are refused.
    `easyremote resume` takes it back. See `easyremote pause` for whose a node is.

    \b
    Example:
      easyremote drain gpu-node && ssh gpu-node sudo reboot
    """
    client = connect()
    node = client.drain(node_id)
    click.echo(f"{node_id} takes nothing new. {_running(node)}")
    while node.running and node.state == "online":
        time.sleep(LOOK)
        (node,) = (each for each in client.list_nodes() if each.node_id == node_id)
    click.echo(f"{node_id} is drained: stop it, or lend it again: easyremote resume {node_id}")


@click.command()
@click.argument("node_id", metavar="NODE")
def resume(node_id: str) -> None:
    """Lend a node again that was paused or drained.

    \b
    Example:
      easyremote resume gpu-node
    """
    node = connect().resume(node_id)
    rest = f" Its own rules still say: {node.closed}." if node.closed else ""
    click.echo(f"{node_id} is lent again.{rest}")


def _running(node: NodeInfo) -> str:
    if not node.running:
        return "Nothing runs there."
    return "1 call goes on." if node.running == 1 else f"{node.running} calls go on."
