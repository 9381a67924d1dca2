"""``easyremote gateway`` and ``up``."""

from __future__ import annotations

import gc
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import click

from easyremote import config
from easyremote.cli.options import duration, size, with_logging
from easyremote.gateway.scheduling.scheduler import ASK_IDLE_AFTER
from easyremote.gateway.server import Server
from easyremote.identity import read_private

#: The gateway looks for garbage after so many new objects. Python's 700 would look at the calls
#: that wait again and again: a third of what it costs to accept a detached call.
NEW_OBJECTS = 5_000


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=config.DEFAULT_PORT, show_default=True, help="Port; 0 for any.")
@click.option("--tls-cert", type=click.Path(exists=True), help="Certificate chain (PEM).")
@click.option(
    "--tls-key", type=click.Path(exists=True), help="The private key of the certificate (PEM)."
)
@click.option("--behind-proxy", is_flag=True, help="A proxy in front of it does TLS.")
@click.option("--allow-host", multiple=True, help="A host name by which it is reached.")
@click.option(
    "--ask-idle-after",
    type=float,
    callback=duration(),
    default=ASK_IDLE_AFTER,
    show_default=True,
    metavar="SECONDS",
    help="Whoever keeps GPU memory in a session that has been idle for so long is asked for it "
    "when somebody waits for it, in the panel and in the notebook.",
)
@click.option(
    "--notify-host",
    "notify_hosts",
    multiple=True,
    metavar="HOST",
    help="A host of a private network, or this machine, that notifications may go to: a name, an "
    "address, or a network as 10.0.0.0/8.",
)
@click.option(
    "--max-kept",
    callback=size,
    default="1GB",
    show_default=True,
    metavar="SIZE",
    help="How much is kept of one key's detached calls: their arguments and results.",
)
@with_logging
def gateway(
    host: str,
    port: int,
    tls_cert: str | None,
    tls_key: str | None,
    behind_proxy: bool,
    allow_host: tuple[str, ...],
    ask_idle_after: float,
    notify_hosts: tuple[str, ...],
    max_kept: float,
) -> None:
    """Run a gateway until Ctrl-C.

    Clients and nodes dial out to it. The first start makes a key for clients and one for nodes, and
    shows them.

    \b
    Examples:
      easyremote gateway
      easyremote gateway --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem --allow-host my-vps
      easyremote gateway --host 0.0.0.0 --behind-proxy --allow-host my-vps
    """
    if bool(tls_cert) != bool(tls_key):
        raise click.UsageError("--tls-cert and --tls-key go together.")
    tls = (tls_cert, tls_key) if tls_cert and tls_key else None
    is_first = not config.local_file().exists()
    server = Server(
        *(host, port),
        tls=tls,
        behind_proxy=behind_proxy,
        allow_hosts=allow_host,
        ask_idle_after=ask_idle_after,
        notify_hosts=notify_hosts,
        max_kept=max_kept,
    )
    with _until_ctrl_c(server):
        server.start_background()
        gc.freeze()  # what was imported stays; no pause to look at it
        gc.set_threshold(NEW_OBJECTS)
        _say_where(server, with_keys=is_first)
        while server.is_running:
            time.sleep(0.5)


@click.command()
@click.option("--port", default=config.DEFAULT_PORT, show_default=True, help="Port; 0 for any.")
@click.option("--node-id", default="gpu-node", show_default=True, help="The name of the node.")
@with_logging
def up(port: int, node_id: str) -> None:
    """Run a gateway and a node here until Ctrl-C.

    For a first try. Notebooks and scripts of this user on this machine find both without settings.

    \b
    Example:
      easyremote up
    Then, in a notebook:
      %load_ext easyremote
      %%remote gpu-node
    """
    from easyremote.node.compute_node import ComputeNode

    is_first = not config.local_file().exists()
    server = Server(port=port)
    with _until_ctrl_c(server) as stack:
        server.start_background()
        key = read_private(config.local_file())["keys"]["node"]
        node = ComputeNode(server.address, node_id, api_key=key, allow_code=True)
        stack.enter_context(node)
        _say_where(server, with_keys=is_first)
        click.echo(f"Node {node_id} is online, and runs cells.")
        while server.is_running and node.is_running:
            time.sleep(0.5)
        if server.is_running:
            raise click.ClickException(f"Node {node_id} has ended. The log above says why.")


def _say_where(server: Server, *, with_keys: bool) -> None:
    click.echo(f"Gateway on {server.address}. Processes of this user on this machine find it.")
    if not (with_keys or sys.stdout.isatty()):  # keys have no place in a service's log
        click.echo("For another machine: easyremote key create --kind node (or client)")
        return
    keys = read_private(config.local_file())["keys"]
    click.echo("\nOn another machine, with its address as seen from there:")
    click.echo(f"  a node:    easyremote login HOST:PORT --key {keys['node']}")
    click.echo(f"  a client:  easyremote login HOST:PORT --key {keys['client']}\n")


@contextmanager
def _until_ctrl_c(server: Server) -> Iterator[ExitStack]:
    """Run the block until Ctrl-C or SIGTERM; the stack is left before the server stops."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        stack.callback(server.stop)  # it raises what had ended the server
        try:
            yield stack
        except KeyboardInterrupt:
            click.echo("Stopping.")
