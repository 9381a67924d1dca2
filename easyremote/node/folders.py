"""The folders of a node's processes: each has one of its own, under one of the node's.

They are for what a session is given or makes as files (its modules, its files). A process's folder
goes when the process has ended, the node's when the node does, and what a node left behind that was
killed goes with the next. ``tests/node/test_folders.py`` proves it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import psutil

from easyremote.errors import UsageError

__all__ = ["own_folder", "remove_folders"]

_PREFIX = "easyremote-node-"


def own_folder(name: str) -> Path:
    """A folder of this process of a node; made where there is none.

    Raises
    ------
    UsageError
        Somebody else has made it before us.
    """
    folder = _folder(os.getppid())
    for each in (folder, folder / str(os.getpid()), folder / str(os.getpid()) / name):
        each.mkdir(mode=0o700, exist_ok=True)
        if each.is_symlink() or each.stat().st_uid != os.getuid():
            raise UsageError(f"{each} on the node belongs to somebody else; remove it there.")
    return each


def remove_folders(node: int, process: int | None = None) -> None:
    """Remove the folder of a process that has ended; without one, those of all, and left ones."""
    if process is not None:
        shutil.rmtree(_folder(node) / str(process), ignore_errors=True)
        return
    shutil.rmtree(_folder(node), ignore_errors=True)
    for folder in _folder(node).parent.glob(f"{_PREFIX}*"):
        number = folder.name.removeprefix(_PREFIX)
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _folder(node: int) -> Path:
    return Path(tempfile.gettempdir()) / f"{_PREFIX}{node}"
