"""Which process has, or had, a call: by that OUTPUT and INPUT find the call that they are about."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from easyremote.node.processes.process import Process

#: How many past calls can still be found.
KNOWN_CALLS = 1000


class KnownCalls:
    """The calls of one node, each with its process; the oldest are forgotten."""

    def __init__(self) -> None:
        #: By owner and call id, which is written in hexadecimal digits.
        self._processes: OrderedDict[tuple[str, str], Process] = OrderedDict()

    def __iter__(self) -> Iterator[tuple[str, str, Process]]:
        """Owner, call id and process, the oldest first."""
        for (owner, call_id), process in self._processes.items():
            yield owner, call_id, process

    def note(self, owner: str, call_id: str, process: Process) -> None:
        """A process has this call from now on."""
        self._processes[owner, call_id] = process
        if len(self._processes) > KNOWN_CALLS:
            self._processes.popitem(last=False)

    def find(self, owner: str, start: str) -> Process | None:
        """The living process of the newest call whose id starts like this; None for none."""
        for (of, call_id), process in reversed(self._processes.items()):
            if of == owner and start and call_id.startswith(start) and not process.is_dead:
                return process
        return None
