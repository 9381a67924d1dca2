"""Tables in a terminal: columns as wide as their longest cell."""

from __future__ import annotations

from collections.abc import Sequence

import click


def table_lines(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The lines of a table: rows below their heads."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (heads, *rows)
    ]


def print_table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows below their heads."""
    for line in table_lines(heads, rows):
        click.echo(line)
