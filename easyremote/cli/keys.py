"""``easyremote key``: the keys of the gateway on this machine, and the owners of its node ids."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from easyremote import config
from easyremote.cli.options import duration
from easyremote.cli.tables import print_table
from easyremote.gateway.keys import HEAVIEST, KeyRecord, KeyStore
from easyremote.times import LONGEST

DAY = 86400.0


@click.group()
def key() -> None:
    """Make, list and revoke keys, on the gateway's machine.

    \b
    Examples:
      easyremote key create --name alice
      easyremote key list
      easyremote key revoke 9e725aa884df
      easyremote key move-node gpu-node 9e725aa884df
    """


@key.command("create")
@click.option(
    "--kind",
    type=click.Choice(["client", "node"]),
    default="client",
    show_default=True,
    help="Who will use the key.",
)
@click.option("--name", default="", help="Whose key it is, for the list.")
@click.option(
    "--expires",
    metavar="DAYS",
    type=float,
    callback=duration(DAY),
    help="Days after which the key is refused; without it the key never expires.",
)
@click.option(
    "--weight",
    type=click.FloatRange(1 / HEAVIEST, HEAVIEST),
    default=1.0,
    show_default=True,
    help="Its share of a busy node: with 2 twice as many run-seconds as with 1.",
)
@click.option(
    "--may-prioritise",
    is_flag=True,
    help="Let its calls go before those of other keys, by client.on(priority=...).",
)
def create(
    kind: str, name: str, expires: float | None, weight: float, may_prioritise: bool
) -> None:
    """Make a key. It is shown once.

    \b
    Examples:
      easyremote key create --name alice --expires 30
      easyremote key create --kind node --name gpu-box
      easyremote key create --name nightly --weight 0.5
    """
    until = None if expires is None else time.time() + expires * DAY
    with _store() as store:
        made = store.create(
            kind,  # type: ignore[arg-type]  # click checked it
            name,
            expires=until,
            weight=weight,
            may_prioritise=may_prioritise,
        )
    click.echo(str(made))


@key.command("list")
def list_keys() -> None:
    """List the keys and the node ids that they own. Secrets are not kept.

    \b
    Example:
      easyremote key list
    """
    with _store() as store:
        rows = [_row(record, store.nodes_of(record.key_id)) for record in store.list()]
    if rows:
        titles = ("ID", "KIND", "STATE", "MADE", "EXPIRES", "WEIGHT", "NAME", "NODES")
        print_table(titles, rows)
    else:
        click.echo("No keys yet. A gateway makes its own at its first start.")


def _row(record: KeyRecord, nodes: tuple[str, ...]) -> tuple[str, ...]:
    is_valid = record.is_valid(time.time())
    state = "revoked" if record.revoked is not None else "valid" if is_valid else "expired"
    # Older versions took any number of days, also one that no calendar knows.
    never = record.expires is None or record.expires > LONGEST
    until = "never" if never else _day(record.expires)
    made = _day(record.created)
    weight = f"{record.weight:g}{' first' if record.may_prioritise else ''}"
    return record.key_id, record.kind, state, made, until, weight, record.name, ", ".join(nodes)


def _day(moment: float | None) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(moment))


@key.command("revoke")
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Refuse a key from now on.

    Its connections are closed within a second. KEY_ID is what ``easyremote key list`` shows. The
    node ids of a revoked key stay its own until they are moved.

    \b
    Example:
      easyremote key revoke 9e725aa884df
    """
    with _store() as store:
        store.revoke(key_id)
    click.echo(f"{key_id} is revoked.")


@key.command("move-node")
@click.argument("node_id")
@click.argument("key_id")
def move_node(node_id: str, key_id: str) -> None:
    """Give a node id to another node key.

    A node id belongs to the key that used it first, and every other key is refused. A node that
    uses NODE_ID with the old key is closed within a second. KEY_ID is what ``easyremote key list``
    shows.

    \b
    Example:
      easyremote key move-node gpu-node 9e725aa884df
    """
    with _store() as store:
        store.move_node(node_id, key_id)
    click.echo(f"The node id {node_id} belongs to the key {key_id} now.")


@contextmanager
def _store() -> Iterator[KeyStore]:
    store = KeyStore(config.home() / "gateway.sqlite3")
    try:
        yield store
    finally:
        store.close()
