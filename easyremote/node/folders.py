"""The folders of a node's processes. Each process has its own, inside the folder of its node.

They are for what a session is given or makes as files (its modules, its files, IPython's). The
folder of a process is removed when the process has ended, and the folder of a node when the node
has ended, however they ended: what a killed node left behind is removed when the next node starts.
``tests/node/test_folders.py`` proves it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import stat
import tempfile
from pathlib import Path

import psutil

from easyremote.errors import UsageError

__all__ = ["NODE", "own_folder", "remove_folders", "remove_left_folders"]

#: In a process for code, the process id of its node. The fork server imports this module, and its
#: parent is the node; the processes that it forks have the fork server as their parent.
NODE = os.getppid()
_PREFIX = "easyremote-node-"


def own_folder(name: str) -> Path:
    """A folder of this process, by its name. It is made if it is not there yet.

    Raises
    ------
    UsageError
        Somebody else has made it before us.
    """
    folder = _folder_of(NODE)
    of_process = f"{folder}/{os.getpid()}"
    for each in (folder, of_process, f"{of_process}/{name}"):
        try:
            found = os.lstat(each)  # most often: every cell asks for its folder
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                os.mkdir(each, 0o700)
            found = os.lstat(each)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise UsageError(f"{each} on the node belongs to somebody else; remove it there.")
    return _path(each)


#: To make a Path takes longer than all the rest.
_path = functools.cache(Path)


def remove_folders(node: int, process: int | None = None) -> None:
    """Remove the folder of a process that has ended; without one, those of all."""
    folder = _folder_of(node) if process is None else f"{_folder_of(node)}/{process}"
    shutil.rmtree(folder, ignore_errors=True)


def remove_left_folders() -> None:
    """Remove the folders of nodes that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        number = folder.name.removeprefix(_PREFIX)
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _folder_of(node: int) -> str:
    return f"{tempfile.gettempdir()}/{_PREFIX}{node}"
