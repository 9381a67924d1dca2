"""The nodes of a gateway as a table, for people: text in a terminal, HTML in a notebook.

``tests/jupyter_extension/magics/test_companions.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from IPython.display import display

from easyremote.client.client import Client
from easyremote.protocol.snapshot import NodeInfo
from easyremote_jupyter.output.tables import html_table, text_table

__all__ = ["NodeTable", "watch_nodes"]

_HEADINGS = ("Node", "State", "Python", "Running", "CPU", "Memory", "GPU", "Labels", "Functions")
_LINE_UP = "\x1b[A\x1b[2K"


class NodeTable(list[NodeInfo]):
    """A list of nodes that shows itself as a table; columns without an entry are left out."""

    def __repr__(self) -> str:
        return text_table(*self._columns())

    def _repr_html_(self) -> str:
        return html_table(*self._columns())

    def as_json(self) -> str:
        """The nodes as JSON, an object each."""
        return msgspec.json.format(msgspec.json.encode(list(self)), indent=2).decode()

    def _columns(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        columns = list(zip(_HEADINGS, *map(_cells, self), strict=True))
        head, *rows = zip(*(c for c in columns if not self or any(c[1:])), strict=True)
        return head, rows


def watch_nodes(client: Client, shell: Any) -> None:
    """Show the nodes again every second until the cell is interrupted."""
    stream = client.watch()
    handle, height = None, 0
    try:
        for snapshot in stream:
            table = NodeTable(msgspec.convert(snapshot["nodes"], list[NodeInfo]))
            if not hasattr(shell, "kernel"):
                text = repr(table)
                print(_LINE_UP * height + text, flush=True)  # noqa: T201 - a terminal has no displays
                height = text.count("\n") + 1
            elif handle is None:
                handle = display(table, display_id=True)  # type: ignore[no-untyped-call]
            else:
                handle.update(table)
    except KeyboardInterrupt:
        pass  # that is how one stops looking
    finally:
        stream.close()


def _cells(node: NodeInfo) -> tuple[str, ...]:
    running = f"{node.running}/{node.slots}" if node.slots else str(node.running)
    cores = f"{node.cores} cores" if node.cores else ""
    cpu = f"{node.cpu:.0%} of {cores}" if node.cpu is not None and cores else cores
    return (
        *(node.node_id, node.state, node.python, running, cpu, _memory(node)),
        *(_gpus(node.gpus), ", ".join(node.labels), ", ".join(node.functions)),
    )


def _memory(node: NodeInfo) -> str:
    if not node.memory_total:
        return ""
    total = f"{node.memory_total / 1e9:.1f} GB"
    return total if node.memory_used is None else f"{node.memory_used / 1e9:.1f} of {total}"


def _gpus(gpus: Iterable[Any]) -> str:
    return ", ".join(f"{gpu.name} ({gpu.memory_total / 1e9:.0f} GB)" for gpu in gpus)
