"""What a session's process has of this notebook: the objects that both share.

A variable is sent when the process does not have it, or when it means another object here; objects
that both have and that were changed here are changed there. Two remote cells that append to one
list append to one list, here and there.
``tests/jupyter_extension/places/test_held.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from easyremote.serialize.graph.graph import Graph

__all__ = ["Held"]


class Held:
    """The variables of one session, as this notebook knows them."""

    def __init__(self) -> None:
        #: The name of the process that has them; None before the first cell.
        self.process: str | None = None
        self.graph = Graph()

    def drop(self, names: Iterable[str]) -> None:
        """Note that the process does not have these."""
        self.graph.forget(names)

    def prune(self, namespace: Mapping[str, object]) -> None:
        """Let go of what the notebook has deleted, or has given another value."""
        self.graph.release(namespace)

    def forget(self) -> None:
        """Note that the process is gone, or may be gone."""
        self.graph = Graph()
        self.process = None
