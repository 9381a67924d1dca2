"""The folder of a journal: private, on a local disk, used by one process at a time.

SQLite's WAL needs memory that all its users share, and locks that hold: network file systems have
neither. ``tests/journal/test_place.py`` proves it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil

from easyremote.errors import StorageFailed, UsageError

__all__ = ["Lock", "filesystem", "prepare", "sync", "sync_folder"]

#: File systems whose files live on another machine, or are shared with one.
NETWORK = {
    "9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "glusterfs", "gpfs", "lustre",
    "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "smb", "smb2", "smb3", "smbfs", "vboxsf",
    "webdav",
}  # fmt: skip
#: FUSE is how most of the others are mounted; these are local.
LOCAL_FUSE = {"fuse.fuse-overlayfs", "fuse.ntfs-3g", "fuse.unionfs"}

_held: set[Path] = set()
_guard = threading.Lock()


def filesystem(path: Path) -> str:
    """The type of the file system that a path is on, as the system names it; empty if unknown."""
    here = path.resolve()
    mounts: dict[str, str] = {
        part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)
    }
    for folder in (here, *here.parents):
        if str(folder) in mounts:
            return mounts[str(folder)]
    return ""


def prepare(folder: Path, kind_of: Callable[[Path], str] = filesystem) -> None:
    """Make a folder that only its owner can read.

    Parameters
    ----------
    folder
        The folder; those above it are made as well.
    kind_of
        Tells the type of the file system of a path.

    Raises
    ------
    UsageError
        The folder is on a network file system.
    StorageFailed
        It can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
    except OSError as error:
        raise StorageFailed(
            f"The folder {folder} can't be made or made private ({error}). Check whose it is."
        ) from None
    kind = kind_of(folder)
    if kind in NETWORK or (kind.startswith("fuse") and kind not in LOCAL_FUSE):
        raise UsageError(
            f"{folder} is on a network file system ({kind}), on which a journal is not safe. Set "
            "EASYREMOTE_HOME to a folder on a local disk."
        )


def sync(file: int) -> None:
    """Write a file to the disk; macOS's `os.fsync` leaves it in the memory of the disk."""
    if sys.platform == "darwin":
        fcntl.fcntl(file, fcntl.F_FULLFSYNC)
    else:
        os.fsync(file)


def sync_folder(folder: Path) -> None:
    """Write the names of a folder's files to the disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        sync(opened)
    finally:
        os.close(opened)


class Lock:
    """A lock on a file, held until `release` or the end of the process.

    The system's lock is one of `fcntl.lockf`: a process that user code has forked does not keep it.
    Such a lock does not hold within one process, so the paths that this process holds are listed.

    Parameters
    ----------
    path
        The file; it is made, and kept.

    Raises
    ------
    UsageError
        Somebody else holds it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        with _guard:
            if self._path in _held:
                raise self._taken(os.getpid())
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                holder = os.pread(self._file, 20, 0).decode(errors="replace")
                os.close(self._file)
                raise self._taken(holder) from None
            # On a full disk the lock holds without the number.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, 0)
                os.pwrite(self._file, str(os.getpid()).encode(), 0)
            _held.add(self._path)

    def release(self) -> None:
        """Let others have the lock."""
        with _guard:
            _held.discard(self._path)
            os.close(self._file)

    def _taken(self, holder: object) -> UsageError:
        return UsageError(
            f"{self._path} is held by another user of the same journal (process {holder}). Stop "
            "that one first, or choose another id or EASYREMOTE_HOME."
        )
