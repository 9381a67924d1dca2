"""``easyremote nodes``, ``functions``, ``call``, ``login`` and ``doctor``."""

from __future__ import annotations

import json
import sys
import time

import click

from easyremote import config
from easyremote.client.client import Client, connect
from easyremote.errors import EasyRemoteError, NotAuthorized, UsageError
from easyremote.identity import Key


@click.command()
def nodes() -> None:
    """List the nodes."""
    known = connect().list_nodes()
    if not known:
        click.echo("No nodes yet. Start one: python -m easyremote.node --node-id gpu-node")
    for node in known:
        what = "cells, " if node.runs_code else ""
        names = ", ".join(node.functions) or "no functions"
        click.echo(f"{node.node_id:<20} {node.state:<8} Python {node.python:<8} {what}{names}")


@click.command()
def functions() -> None:
    """List the functions that can be called by name."""
    known = connect().list_functions()
    if not known:
        click.echo("No functions are registered.")
    for function in known:
        mark = "  (public)" if function.public else ""
        click.echo(f"{function.node_id:<20} {function.name}{function.signature}{mark}")


@click.command()
@click.argument("function")
@click.argument("arguments", nargs=-1)
@click.option("--node", "node_id", default="", help="Where; else any node that has it.")
@click.option("--timeout", type=float, help="Seconds in which it has to be over.")
def call(function: str, arguments: tuple[str, ...], node_id: str, timeout: float | None) -> None:
    """Call a registered function: ARGUMENTS are JSON values, or NAME=VALUE.

    A word that is no JSON is text: easyremote call greet Ada greeting=Hello
    """
    args, kwargs = [], {}
    for text in arguments:
        name, equals, value = text.partition("=")
        if equals and name.isidentifier():
            kwargs[name] = _value(value)
        else:
            args.append(_value(text))
    job = connect().call(function, tuple(args), kwargs, node_id=node_id, timeout=timeout)
    click.echo(repr(job.result()))


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


@click.command()
@click.argument("address")
@click.option("--key", "text", help="The key; asked for if it is not given.")
def login(address: str, text: str | None) -> None:
    """Remember a gateway and a key for it, for this user."""
    key = Key.parse(text or click.prompt("Key", hide_input=True))
    if key.kind == "client":
        Client(address, str(key)).connect().close()
    path = config.save_login(address, key)
    click.echo(f"Saved in {path}. This {key.kind} key is used from now on.")


@click.command()
@click.argument("node_id", required=False)
def doctor(node_id: str | None) -> None:
    """Say what is wrong between here and a node, and what to do."""
    checks = _Checks()
    try:
        settings = config.find_settings()
        checks.good(f"gateway {settings.gateway}, from {settings.gateway_from}")
        settings.key("client")
        checks.good(f"a client key, from {settings.key_from}")
        client = Client()
        began = time.monotonic()
        known = client.list_nodes()
        checks.good(f"the gateway answers in {(time.monotonic() - began) * 1000:.0f} ms")
        _check_nodes(
            checks, client, [node.node_id for node in known if node.state == "online"], node_id
        )
    except NotAuthorized as error:
        checks.bad(f"the gateway is there, but refuses the key: {error}")
    except EasyRemoteError as error:
        checks.bad(str(error))
    sys.exit(1 if checks.failed else 0)


def _check_nodes(checks: _Checks, client: Client, online: list[str], node_id: str | None) -> None:
    if not online:
        raise UsageError("No node is online. Start one: python -m easyremote.node --node-id NAME")
    for name in [node_id] if node_id else online:
        began = time.monotonic()
        client.ship(_nothing, (), {}, node_id=name, timeout=30).result()
        checks.good(
            f"node {name} runs code; a call took {(time.monotonic() - began) * 1000:.0f} ms"
        )


def _nothing() -> None:
    return None


class _Checks:
    """Prints what was found."""

    def __init__(self) -> None:
        self.failed = False

    def good(self, text: str) -> None:
        click.echo(click.style("ok    ", fg="green") + text)

    def bad(self, text: str) -> None:
        self.failed = True
        click.echo(click.style("wrong ", fg="red") + text)
