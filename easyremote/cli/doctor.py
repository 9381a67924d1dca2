"""``easyremote doctor``: every step between here and a node, and what to do where it breaks."""

from __future__ import annotations

import sys

import click

from easyremote.client.diagnosis import diagnose

_COLOURS = {"ok": "green", "note": "yellow", "wrong": "red"}


@click.command()
@click.argument("node_id", required=False)
def doctor(node_id: str | None) -> None:
    """Say what is wrong between here and a node, and what to do.

    Without NODE_ID it tries all nodes. The exit code is 1 if anything is wrong.

    \b
    Examples:
      easyremote doctor
      easyremote doctor gpu-node
    """
    failed = False
    for found in diagnose(node_id):
        failed |= found.verdict == "wrong"
        click.echo(click.style(found.verdict.ljust(6), fg=_COLOURS[found.verdict]) + found.text)
    sys.exit(1 if failed else 0)
