"""What is told of values that stay on their node.

``tests/jupyter_extension/magics/test_remote.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from easyremote.client.refs import size_text

__all__ = ["is_news", "stays"]


def is_news(name: str, what: dict[str, Any], blocks: Container[str]) -> bool:
    """Whether to say that a value stays there.

    A widget does, but it works here. A file that ``with`` has opened and closed is of no more use.
    """
    is_over = name in blocks and not what["size"]
    return bool(name) and "is_widget" not in what and not is_over


def stays(kept: dict[str, dict[str, Any]], node_id: str) -> str:
    """A line on the values that stayed on the node, and how to bring them."""
    large = [name for name, what in kept.items() if what["size"]]
    items = [
        f"{name} ({what['type']}{', ' + size_text(what['size']) if what['size'] else ''})"
        for name, what in kept.items()
    ]
    how = f"; {large[0]}.get() or -o {','.join(large)} brings it here" if large else ""
    return f"Stays on {node_id}: {', '.join(items)}{how}"
