"""`easyremote usage`: what was used, by key, node or function."""

from __future__ import annotations

from typing import get_args

import click

from easyremote.cli.tables import print_table
from easyremote.client.client import connect
from easyremote.options.requirements import show_size
from easyremote.protocol.usage import OUTCOMES, By, UsageRow

_HEADS = ("CALLS", "NOT ENDED WELL", "RUN", "GPU", "GPU MEMORY", "SENT", "CAME BACK")


@click.command()
@click.option(
    "--by",
    type=click.Choice(get_args(By)),
    default="key",
    show_default=True,
    help="What each line is for.",
)
@click.option("--since", metavar="TIME", help="How far back, as 7d, 12h or 30m; else all.")
@click.option("--node", "node_id", default="", help="What was used there only.")
def usage(by: By, since: str | None, node_id: str) -> None:
    """Show what was used: calls, seconds, GPUs and bytes.

    On the gateway's machine its owner sees what everybody has used, others what they have.

    \b
    Examples:
      easyremote usage
      easyremote usage --by function --since 7d
      easyremote usage --by key --node gpu-node
    """
    rows = connect().usage(by, since, node_id=node_id)
    if not rows:
        click.echo("Nothing was used.")
        return
    print_table((by.upper(), *_HEADS), [(_name(row), *_cells(row)) for row in rows])


def _name(row: UsageRow) -> str:
    return f"{row.name} {row.title}".strip() or "(none)"


def _cells(row: UsageRow) -> tuple[str, ...]:
    ends = {outcome.replace("_", " "): getattr(row, outcome) for outcome in OUTCOMES[1:]}
    return (
        str(row.calls),
        ", ".join(f"{count} {end}" for end, count in ends.items() if count),
        _lasts(row.run_seconds),
        _lasts(row.gpu_seconds),
        f"{row.gpu_gb_hours:.3g} GB h" if row.gpu_gb_hours else "",
        show_size(row.argument_bytes),
        show_size(row.result_bytes),
    )


def _lasts(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds:.1f} s" if seconds else ""
