"""The nodes of a gateway as a table, for people: text in a terminal, HTML in a notebook."""

from __future__ import annotations

import html

from easyremote.client.client import NodeInfo

__all__ = ["NodeTable"]

_HEADINGS = ("Node", "State", "Python", "Running", "Functions")


class NodeTable(list[NodeInfo]):
    """A list of nodes that shows itself as a table."""

    def __repr__(self) -> str:
        rows = [_HEADINGS, *map(_cells, self)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th style='text-align:left'>{name}</th>" for name in _HEADINGS)
        body = "".join(
            "<tr>"
            + "".join(f"<td style='text-align:left'>{html.escape(c)}</td>" for c in _cells(node))
            + "</tr>"
            for node in self
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(node: NodeInfo) -> tuple[str, ...]:
    running = f"{node.running}/{node.slots}" if node.slots else str(node.running)
    functions = ", ".join(node.functions) or "-"
    return node.node_id, node.state, node.python, running, functions
