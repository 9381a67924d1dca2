"""Functions that are sent with their bodies, and the files among their arguments.

``tests/client/test_remote.py`` and ``test_files.py`` prove it with real processes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from easyremote.client.files.sending import FilePeer, missing, send
from easyremote.client.terminal.bars import shown_bars
from easyremote.errors import CannotShip
from easyremote.serialize.files import File, collected
from easyremote.serialize.values import Dumped, dump, dump_call

if TYPE_CHECKING:
    from easyremote.client.executor import RemoteExecutor

__all__ = ["dump_shipped", "send_files"]


def dump_shipped(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    python: tuple[int, int] | None,
) -> tuple[Dumped, Collection[File]]:
    """A function with its arguments as a payload, and the files that its node must have before.

    Raises
    ------
    CannotShip
        The function or an argument can't travel; the message names it.
    """
    with collected() as files:
        try:
            dumped = dump((function, args, kwargs), python=python)
        except CannotShip:
            dump(function, python=python)  # which of the two it was, which argument
            dump_call(args, kwargs, function=function, python=python)
            raise
    return dumped, files.values()


def send_files(executor: RemoteExecutor, files: Collection[File], node_id: str) -> None:
    """Send those of the files that are not on the node.

    Raises
    ------
    CannotShip
        No node is named.
    """
    if not node_id:
        names = ", ".join(file.name for file in files)
        raise CannotShip(
            f"Files ({names}) go to a node that is named: @remote(node_id=...), or client.on("
            "NODE).submit(...)."
        )
    peer = FilePeer(executor, node_id, "")
    with shown_bars() as show:
        send(peer, missing(peer, files), show)
