"""``easyremote gateway``, ``up`` and ``key``."""

from __future__ import annotations

import logging
import time

import click

from easyremote import config
from easyremote.gateway.keys import KeyStore
from easyremote.gateway.server import Server
from easyremote.identity import read_private


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=config.DEFAULT_PORT, show_default=True, help="Port; 0 for any.")
@click.option("--tls-cert", type=click.Path(exists=True), help="Certificate chain (PEM).")
@click.option("--tls-key", type=click.Path(exists=True), help="Its key (PEM).")
@click.option("--behind-proxy", is_flag=True, help="A proxy in front does TLS.")
@click.option("--allow-host", multiple=True, help="A name under which people reach it.")
def gateway(
    host: str,
    port: int,
    tls_cert: str | None,
    tls_key: str | None,
    behind_proxy: bool,
    allow_host: tuple[str, ...],
) -> None:
    """Run a gateway until Ctrl-C. Clients and nodes dial out to it."""
    if bool(tls_cert) != bool(tls_key):
        raise click.UsageError("--tls-cert and --tls-key go together.")
    tls = (tls_cert, tls_key) if tls_cert and tls_key else None
    server = Server(host, port, tls=tls, behind_proxy=behind_proxy, allow_hosts=allow_host)
    server.start_background()
    _say_where(server)
    _wait_for_ctrl_c(server)


@click.command()
@click.option("--port", default=config.DEFAULT_PORT, show_default=True, help="Port; 0 for any.")
@click.option("--node-id", default="gpu-node", show_default=True, help="What the node is called.")
def up(port: int, node_id: str) -> None:
    """Run a gateway and a node here until Ctrl-C, for a first try."""
    from easyremote.node.compute_node import ComputeNode

    server = Server(port=port).start_background()
    keys = read_private(config.local_file())["keys"]
    node = ComputeNode(server.address, node_id, api_key=keys["node"], allow_code=True).start()
    _say_where(server)
    click.echo(f"Node {node_id} is online, and runs cells.")
    try:
        _wait_for_ctrl_c(server)
    finally:
        node.stop()


def _say_where(server: Server) -> None:
    keys = read_private(config.local_file())["keys"]
    click.echo(f"Gateway on {server.address}. Processes of this user on this machine find it.")
    click.echo("\nOn another machine, with its address as seen from there:")
    click.echo(f"  a node:    easyremote login HOST:PORT --key {keys['node']}")
    click.echo(f"  a client:  easyremote login HOST:PORT --key {keys['client']}\n")


def _wait_for_ctrl_c(server: Server) -> None:
    import signal

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        while server.is_running:
            time.sleep(0.5)
    except KeyboardInterrupt:
        click.echo("Stopping.")
    finally:
        server.stop()


@click.group()
def key() -> None:
    """Make, list and revoke keys, on the gateway's machine."""


@key.command("create")
@click.option("--kind", type=click.Choice(["client", "node", "admin"]), default="client")
@click.option("--name", default="", help="Whose it is, for the list.")
@click.option("--expires", metavar="DAYS", type=float, help="Days that it is good for.")
def create(kind: str, name: str, expires: float | None) -> None:
    """Make a key. It is shown once."""
    until = time.time() + expires * 86400 if expires else None
    made = _store().create(kind, name, expires=until)  # type: ignore[arg-type]  # click checked it
    click.echo(str(made))


@key.command("list")
def list_keys() -> None:
    """List the keys; their secrets are not kept."""
    for record in _store().list():
        state = "revoked" if record.revoked else "valid" if record.is_valid(time.time()) else "over"
        made = time.strftime("%Y-%m-%d", time.localtime(record.created))
        click.echo(f"{record.key_id}  {record.kind:<6}  {state:<7}  {made}  {record.name}")


@key.command("revoke")
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Refuse a key from now on; its connections are closed within a second."""
    _store().revoke(key_id)
    click.echo(f"{key_id} is revoked.")


def _store() -> KeyStore:
    return KeyStore(config.home() / "gateway.sqlite3")
