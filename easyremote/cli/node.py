"""``easyremote node``, which is also ``python -m easyremote.node``."""

from __future__ import annotations

import sys

import click

import easyremote
from easyremote.cli.options import duration, with_logging, with_rules
from easyremote.config import home
from easyremote.errors import EasyRemoteError


@click.command()
@click.argument("modules", nargs=-1)
@click.option("--node-id", help="The name of the node; without it, the machine's name.")
@click.option("--gateway", metavar="HOST:PORT", help="The gateway; without it, the configured one.")
@click.option("--api-key", help="A node key; without it, the configured one.")
@click.option("--label", "labels", multiple=True, help="A word by which people choose the node.")
@click.option(
    "--session-idle",
    type=float,
    callback=duration(3600.0),
    default=24.0,
    show_default=True,
    metavar="HOURS",
    help="Hours after which an unused session is ended.",
)
@click.option("--no-install", is_flag=True, help="Install no packages for sessions.")
@click.option(
    "--no-code",
    is_flag=True,
    help="Only registered functions run: no cells, no shipped code. Not a sandbox; see above.",
)
@with_rules
@click.option(
    "--rules",
    "rules_file",
    metavar="FILE",
    help="A TOML file with such rules (hours = '22-7'), which may be edited while the node runs.",
)
@click.option(
    "--handover",
    is_flag=True,
    help="Have the node that runs here go on with the code that is installed now; see above.",
)
@click.option("--take-over", type=int, hidden=True)
@with_logging
def node(
    modules: tuple[str, ...],
    node_id: str | None,
    gateway: str | None,
    api_key: str | None,
    labels: tuple[str, ...],
    session_idle: float,
    no_install: bool,
    no_code: bool,
    rules_file: str | None,
    handover: bool,
    take_over: int | None,
    rules: dict[str, str | bool],
) -> None:
    """Lend this machine until Ctrl-C.

    MODULES register functions: names of modules, or .py files, in which functions are registered
    on a ComputeNode. Cells and shipped functions of every client key run here, too, in processes
    of their own: that is a shell account on this machine. --no-code turns it off, and the node
    itself keeps to that, whatever the gateway sends. It is no sandbox all the same: arguments of
    registered functions are unpickled in the node's own process, and a pickle can run code. Lend
    the node only to those whom you would let run code on it.

    A session works in a folder of its own, below the system's temporary one ($TMPDIR chooses
    another), which goes with the session; so cells name files of this machine by their whole
    paths. Modules of the folder that the node is started in can be imported. Files that are sent
    here are kept in the user's data folder ($EASYREMOTE_HOME), and go when nobody has used them
    for 30 days.

    You stay the master of the machine: --max-cpu, --max-memory, --only-when-idle, --hours and
    --on-battery limit what is lent, and so do the same words in the file of --rules. Calls wait
    while nothing new starts, and people see why; what runs goes on. `easyremote pause` closes the
    node at once, and `easyremote rules` changes its rules while it runs.

    After an upgrade (pip install -U easyremote) --handover has the running node go on with the
    newer code, in the same process, as it was started: sessions keep their variables, and what runs
    in them goes on. If the newer code can't start, the node goes on as before.

    \b
    Examples:
      easyremote node --node-id gpu-node
      easyremote node --node-id gpu-node my_functions.py --no-code
      easyremote node --node-id gpu-node --label a100 --session-idle 2
      easyremote node --node-id desk --hours 22-7 --max-cpu 50% --max-memory 16GB
      easyremote node --gateway https://my-vps:8080 --api-key er_node_...
      easyremote node --handover --node-id gpu-node
    """
    from easyremote.node.compute_node import ComputeNode, serve_headless
    from easyremote.node.handover.control import FOLDER, ask
    from easyremote.node.handover.handover import READY
    from easyremote.node.handover.taken import take
    from easyremote.node.registered.programs import load_modules

    try:
        if handover:
            for line in ask(home() / FOLDER, node_id):
                click.echo(line)
            return
        before = take(take_over) if take_over is not None else None
        served = ComputeNode(
            gateway,
            node_id,
            api_key=api_key,
            labels=labels,
            session_idle=session_idle * 3600,
            allow_code=not no_code,
            allow_install=not no_install,
            rules=rules,
            rules_file=rules_file,
        )
        load_modules(modules, served)
        names = ", ".join(function.name for function in served.functions) or "none"
        code = "no code" if no_code else "cells and shipped code of every client key"
        click.echo(f"Node {served.node_id}: registered functions: {names}; runs {code}.")
        if before is not None and before.is_trial:
            click.echo(f"{READY}{easyremote.__version__}")
        else:
            serve_headless(served, before)
    except EasyRemoteError as error:
        click.secho(f"{type(error).__name__}: {error}", fg="red", err=True)
        sys.exit(1)
