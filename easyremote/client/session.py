"""A session on a node: a process there that keeps state between cells."""

from __future__ import annotations

import os
import secrets
from typing import Any

from easyremote.client.client import Client
from easyremote.client.job import RemoteJob
from easyremote.errors import CannotShip
from easyremote.serialize.values import dump, dump_names

_own_name = ""
_own_pid = 0


class Session:
    """A session of this client on a node.

    Parameters
    ----------
    client
        Through which gateway.
    node_id
        Where.
    name
        Which; None for this process's own.
    """

    def __init__(self, client: Client, node_id: str, name: str | None = None) -> None:
        self._client = client
        self.node_id = node_id
        self.name = name or _name_of_this_process()

    def submit_cell(
        self, request: dict[str, Any], *, timeout: float | None = None
    ) -> RemoteJob[dict[str, Any]]:
        """Run a cell there; ``request`` is what `easyremote.node.shell.Shell.run_cell` takes.

        Raises
        ------
        CannotShip
            A variable can't travel; the message names it.
        """
        python = self._client.python_of(self.node_id)
        try:
            dumped = dump(request, python=python)
        except CannotShip:
            dump_names(request["variables"], python=python)  # which of the variables it was
            raise
        return self._client.start(
            "$cell", dumped, node_id=self.node_id, session=self.name, timeout=timeout
        )


def _name_of_this_process() -> str:
    global _own_name, _own_pid
    if _own_pid != os.getpid():
        _own_name, _own_pid = secrets.token_hex(8), os.getpid()
    return _own_name
