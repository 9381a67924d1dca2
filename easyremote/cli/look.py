"""``easyremote nodes``, ``functions``, ``jobs``, ``call``, ``login`` and ``notify``."""

from __future__ import annotations

import json
import time

import click

from easyremote import config
from easyremote.cli.options import duration
from easyremote.cli.tables import print_table
from easyremote.client.client import Client, connect
from easyremote.client.stream import RemoteStream
from easyremote.identity import Key
from easyremote.options.notify import ME, save_target
from easyremote.protocol.requests import DetachedCall
from easyremote.protocol.snapshot import JobInfo

_NEXT = {
    "client": "Try: easyremote nodes",
    "node": "Lend this machine: easyremote node --node-id NAME",
}


@click.command()
def nodes() -> None:
    """List the nodes.

    \b
    Example:
      easyremote nodes
    """
    known = connect().list_nodes()
    if not known:
        click.echo("No nodes yet. Start one: easyremote node --node-id gpu-node")
        return
    rows = []
    for node in known:
        offers = ["cells"] * node.runs_code + list(node.functions)
        load = f"{node.running}/{node.slots}" if node.state == "online" else ""
        state = f"{node.state}, closed: {node.closed}" if node.closed else node.state
        rows.append((node.node_id, state, load, node.python, ", ".join(offers) or "nothing"))
    print_table(("NODE", "STATE", "RUNNING", "PYTHON", "OFFERS"), rows)


@click.command()
def functions() -> None:
    """List the functions that can be called by name.

    \b
    Example:
      easyremote functions
    """
    known = connect().list_functions()
    if not known:
        click.echo("No functions are registered. A node registers those of its program:")
        click.echo("  easyremote node --node-id NAME my_functions.py")
        return
    rows = []
    for each in known:
        marks = ["public"] * each.public + ["generator"] * each.streams
        rows.append((each.node_id, each.name + each.signature, ", ".join(marks), each.needs))
    print_table(("NODE", "FUNCTION", "", "NEEDS"), rows)


@click.command()
def jobs() -> None:
    """List what runs and waits for your key, and what is kept.

    Kept are the outcomes of detached calls that are over.

    \b
    Example:
      easyremote jobs
    """
    client = connect()
    known = client.list_jobs()
    if known:
        print_table(JOB_HEADS, [job_row(job) for job in known])
    else:
        click.echo("Nothing runs or waits. What the last one has shown: easyremote logs")
    kept = [call for call in client.outstanding() if call.keep_until is not None]
    if kept:
        click.echo("\nDetached calls that are over; each result with client.attach(ID).result():")
        print_table(("ID", "WHAT", "NODE", "RESULT", "KEPT UNTIL"), [*map(_kept_row, kept)])


def _kept_row(call: DetachedCall) -> tuple[str, ...]:
    result = f"an error ({call.code})" if call.code else f"{call.size:,} bytes"
    until = time.strftime("%Y-%m-%d %H:%M", time.localtime(call.keep_until))
    return call.call_id, call.function, call.node_id or "", result, until


JOB_HEADS = ("JOB", "WHAT", "NODE", "STATE", "FOR", "WHY")


def job_row(job: JobInfo) -> tuple[str, ...]:
    """A job as a row below `JOB_HEADS`."""
    lasts = f"{job.seconds:.0f} s"
    state = "stands still" if job.state == "running" and job.why else job.state
    return job.call_id[:8], job.function, job.node_id or "any", state, lasts, job.why


@click.command()
@click.argument("function")
@click.argument("arguments", nargs=-1)
@click.option(
    "--node", "node_id", default="", help="The node; without it, any that has the function."
)
@click.option(
    "--timeout", type=float, callback=duration(), help="Seconds after which the call is ended."
)
def call(function: str, arguments: tuple[str, ...], node_id: str, timeout: float | None) -> None:
    """Call a registered function.

    ARGUMENTS are JSON values, or NAME=VALUE; a word that is no JSON is text. What a generator
    yields is printed item by item.

    \b
    Examples:
      easyremote call add 1 2
      easyremote call greet Ada greeting=Hello --node gpu-node
      easyremote call predict '[5.1, 3.5, 1.4, 0.2]' --timeout 10
    """
    args, kwargs = [], {}
    for text in arguments:
        name, equals, value = text.partition("=")
        if equals and name.isidentifier():
            kwargs[name] = _value(value)
        else:
            args.append(_value(text))
    client = connect()
    streams = any(
        each.streams
        for each in client.list_functions()
        if each.name == function and node_id in ("", each.node_id)
    )
    job = client.call(
        function, tuple(args), kwargs, node_id=node_id, timeout=timeout, stream=streams
    )
    for value in job if isinstance(job, RemoteStream) else [job.result()]:
        click.echo(repr(value))


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


@click.command()
@click.argument("address", metavar="HOST:PORT")
@click.option("--key", "text", metavar="KEY", help="The key; without it, the command asks for it.")
def login(address: str, text: str | None) -> None:
    """Remember a gateway and a key for it, for this user.

    A client key is tried at once. A client key and a node key of one gateway are kept side by side.

    \b
    Examples:
      easyremote login my-vps:8080
      easyremote login https://my-vps --key er_client_...
    """
    config.normalise(address)
    key = Key.parse(text or click.prompt("Key", hide_input=True))
    if key.kind == "client":
        Client(address, str(key)).connect().close()
    path = config.save_login(address, key)
    click.echo(f"Saved in {path}. This {key.kind} key is used from now on. {_NEXT[key.kind]}")


@click.command()
@click.argument("name", default=ME)
@click.option("--remove", is_flag=True, help="Forget the address of this name.")
def notify(name: str, remove: bool) -> None:
    """Remember where you are told that a call is over, for this user.

    The command asks for the address: a URL as the library apprise reads it. In a notebook, --notify
    NAME then means it. The gateway sends one line: the function, the node, the outcome, how long
    it took.

    \b
    Addresses look like this:
      ntfys://ntfy.sh/my-topic
      jsons://my-server/path
      mailtos://user:password@gmail.com

    \b
    Examples:
      easyremote notify                   for --notify me
      easyremote notify team
      easyremote notify team --remove
    """
    save_target(name, None if remove else click.prompt("Address", hide_input=True).strip())
    click.echo(f"Forgotten: {name}." if remove else f"Saved. Try: %%remote --notify {name}")
