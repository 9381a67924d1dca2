"""``easyremote node`` whose first `execv` fails, and which hardly waits for functions."""

from __future__ import annotations

import errno
import os

from easyremote.cli.node import node
from easyremote.node.handover import handover

handover.DRAIN_LIMIT = 0.1
really_become = os.execv


def become(path: str, arguments: list[str]) -> None:
    os.execv = really_become
    raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))


os.execv = become
node()
