"""`Peaks`: the most GPU memory that the processes of each function were seen to hold.

They are kept in a file beside the keys, so that a node that starts again can say of a function
that it was promised too little. ``tests/node/gpus/test_peaks.py`` proves it.
"""

from __future__ import annotations

import logging
from typing import Any

from easyremote.config import home
from easyremote.errors import UsageError
from easyremote.identity import read_private, write_private

__all__ = ["Peaks"]

#: The file is not written again for less than so much more, as a share of what was known.
STEP = 0.05

_log = logging.getLogger("easyremote.node")


class Peaks:
    """The peaks of one node, by the name of the function or the class.

    Parameters
    ----------
    node_id
        Whose peaks these are: nodes of one user share the file.
    """

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self._file = home() / "gpu-peaks.json"
        found: Any = self._read().get(node_id)
        told = found if isinstance(found, dict) else {}
        self._peaks = {name: size for name, size in told.items() if isinstance(size, int)}

    def of(self, name: str) -> int:
        """So many bytes of one GPU; 0 where it was never seen."""
        return self._peaks.get(name, 0)

    def note(self, name: str, memory: int) -> None:
        """A process of this function holds so many bytes of one GPU."""
        known = self._peaks.get(name, 0)
        if memory <= known * (1 + STEP):
            return
        self._peaks[name] = memory
        try:
            write_private(self._file, {**self._read(), self._node_id: self._peaks})
        except OSError as error:
            _log.warning("What functions use of GPU memory can't be kept: %s", error)

    def _read(self) -> dict[str, Any]:
        try:
            return read_private(self._file)
        except (UsageError, OSError):
            return {}  # it is written anew
