"""Processes that hold GPU memory and are none of this node's: whose they are, and what they run.

``tests/node/gpus/test_foreign.py`` proves it.
"""

from __future__ import annotations

import os
from collections import OrderedDict

import psutil

__all__ = ["Foreign", "group_of"]

#: So many names are kept. A process id that is used again has another start time.
KNOWN = 1000


class Foreign:
    """Names processes for people."""

    def __init__(self) -> None:
        self._names: OrderedDict[tuple[int, float], str] = OrderedDict()

    def name(self, pid: int) -> str:
        """What a process runs, and whose it is: ``python of user eve``.

        In a container the driver's process ids may be those of the machine outside it, and mean
        nothing here.
        """
        try:
            process = psutil.Process(pid)
            key = pid, process.create_time()
            if key not in self._names:
                self._names[key] = f"{process.name()} of user {process.username()}"
        except psutil.Error:
            return f"process {pid}"
        if len(self._names) > KNOWN:
            self._names.popitem(last=False)
        return self._names[key]


def group_of(pid: int) -> tuple[int, ...]:
    """The ids of a process's session and group; none where it has ended."""
    try:
        return os.getsid(pid), os.getpgid(pid)
    except OSError:
        return ()
