"""``easyremote pause``, ``drain``, ``resume``, ``rules``: what the owner of a node says of it."""

from __future__ import annotations

import time

import click

from easyremote.cli.options import RULES, with_rules
from easyremote.client.client import connect
from easyremote.protocol.requests import RulesAnswer
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


@click.command()
@click.argument("node_id", metavar="NODE")
@with_rules
@click.option(
    "--lift", multiple=True, type=click.Choice([*RULES, "all"]), help="End a rule, or all of them."
)
def rules(node_id: str, rules: dict[str, str | bool], lift: tuple[str, ...]) -> None:
    """Show and change the rules of a node of yours, while it runs.

    They have the words of `easyremote node`, and are in force at once. A node that was started
    with a file of rules (--rules FILE) keeps them there; another one forgets them when it ends.
    See `easyremote pause` for whose a node is.

    \b
    Examples:
      easyremote rules desk
      easyremote rules desk --hours 22-7 --max-cpu 50%
      easyremote rules desk --lift hours
    """
    lifted = RULES if "all" in lift else lift
    changes = {**{name.replace("-", "_"): None for name in lifted}, **rules}
    answer = connect().set_rules(node_id, changes)
    for name, words in answer.rules.items():
        click.echo(f"{name.replace('_', '-'):16}{words}")
    if not answer.rules:
        click.echo(f"{node_id} is lent without a rule.")
    if changes or answer.rules:
        click.echo(_kept(answer))
    if answer.closed:
        click.echo(f"Nothing new starts there now: {answer.closed}.")


def _kept(answer: RulesAnswer) -> str:
    """Until when the rules hold."""
    if not answer.file:
        kept = "This holds until the node ends: it was started without a file of rules (--rules)."
    else:
        kept = f"This is kept in {answer.file}, on that machine."
    again = [
        f"--{name.replace('_', '-')} {words}"
        for name, words in answer.at_start.items()
        if answer.rules.get(name) != words
    ]
    if again:
        kept += f" Started the same way again, it has {', '.join(again)}."
    return kept


def _running(node: NodeInfo) -> str:
    if not node.running:
        return "Nothing runs there."
    return "1 call goes on." if node.running == 1 else f"{node.running} calls go on."
