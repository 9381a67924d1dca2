"""Rows as a table: text for a terminal, HTML for a notebook. Pure.

``tests/jupyter_extension/output/test_tables.py`` proves it.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

__all__ = ["html_table", "text_table"]

Row = TypeVar("Row", bound=Sequence[str])


def text_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lines whose columns are as wide as their longest entry."""
    lines = [headings, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def html_table(
    headings: Sequence[str], rows: Iterable[Row], *, stands_out: Callable[[Row], bool] | None = None
) -> str:
    """A table of escaped texts; rows that stand out are bold."""
    heads = "".join(_cell("th", heading) for heading in headings)
    body = ""
    for row in rows:
        is_bold = stands_out is not None and stands_out(row)
        body += f"<tr>{''.join(_cell('td', text, is_bold) for text in row)}</tr>"
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _cell(kind: str, text: str, is_bold: bool = False) -> str:
    style = "text-align:left" + (";font-weight:bold" if is_bold else "")
    return f"<{kind} style='{style}'>{html.escape(text)}</{kind}>"
