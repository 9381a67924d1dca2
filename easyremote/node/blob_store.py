"""The blobs that a node keeps for its processes: memory that every process of one owner can map.

A blob is a file named by its hash, in a folder of the owner in shared memory (``/dev/shm``). A
process maps it privately: nothing is copied until something is written to, and what is written is
its own. The least recently used go first, and what nobody has used for `UNUSED` seconds; a process
that has mapped one keeps it. What a node process leaves behind is cleared away by the next.
``tests/node/test_blob_store.py`` proves it.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import psutil

from easyremote.protocol.streams import Buffer

__all__ = ["BlobMissing", "BlobStore", "remove_blobs", "remove_left_blobs", "remove_unused_blobs"]

#: The share of the machine's memory that the blobs of one owner may take.
MEMORY_SHARE = 0.25
#: A blob that nobody used for so many seconds is removed.
UNUSED = 600.0
_SHARED_MEMORY = Path("/dev/shm")
_PREFIX = "easyremote-blobs-"


class BlobMissing(Exception):
    """A blob was left out on the way, but is not here (any more)."""


class BlobStore:
    """The blobs of one owner.

    Parameters
    ----------
    owner
        Whose.
    node
        The node's process: its sessions share the blobs.
    limit
        Bytes, of all blobs together; None for a share of the machine's memory.
    """

    def __init__(self, owner: str, node: int, limit: int | None = None) -> None:
        self._folder = _folder(node) / hashlib.sha256(owner.encode()).hexdigest()[:32]
        self._limit = limit

    def known(self, hashes: Iterable[bytes]) -> list[bytes]:
        """Those that are here; they are about to be used."""
        return [hash_ for hash_ in hashes if self._is_here(self._path(hash_))]

    def get(self, hash_: bytes, piece: Buffer | None) -> Buffer:
        """Memory with a blob's content, for one value alone.

        Parameters
        ----------
        piece
            Its content, where that was sent: it is kept. None where it should be here.

        Raises
        ------
        BlobMissing
            It isn't.
        """
        path = self._path(hash_)
        if piece is not None and not self.keep(hash_, piece):
            return piece  # too large to keep
        try:
            with path.open("rb") as file:
                os.utime(path)
                return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
        except OSError:
            if piece is None:
                raise BlobMissing from None
            return piece

    def keep(self, hash_: bytes, piece: Buffer) -> bool:
        """Keep a blob; False where it is too large for that."""
        path = self._path(hash_)
        if self._is_here(path):
            return True
        try:
            if not self._folder.parent.exists():
                remove_left_blobs()
            for folder in (self._folder.parent, self._folder):
                folder.mkdir(mode=0o700, exist_ok=True)
            if not self._is_ours() or not self._make_room(len(piece)):
                return False
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
                try:
                    file.write(piece)
                    file.flush()
                    os.replace(file.name, path)
                except BaseException:
                    os.unlink(file.name)
                    raise
        except OSError:  # full: a cache may fail
            return False
        return True

    @staticmethod
    def _is_here(path: Path) -> bool:
        try:
            os.utime(path)  # who asks for it is about to use it
        except OSError:
            return False
        return True

    def _is_ours(self) -> bool:
        """Whether nobody else made the folder before us: everybody can make one there."""
        return all(
            folder.lstat().st_uid == os.getuid() and not folder.is_symlink()
            for folder in (self._folder.parent, self._folder)
        )

    def _make_room(self, size: int) -> bool:
        kept = [(entry.stat(), entry.path) for entry in os.scandir(self._folder)]
        total = sum(stat.st_size for stat, _ in kept)
        limit = self._limit
        if limit is None:
            free = shutil.disk_usage(self._folder).free
            limit = min(int(psutil.virtual_memory().total * MEMORY_SHARE), total + free // 2)
        if size > limit:
            return False
        for stat, path in sorted(kept, key=lambda each: each[0].st_mtime_ns):
            if total + size <= limit:
                break
            with contextlib.suppress(FileNotFoundError):  # another session was quicker
                os.unlink(path)
            total -= stat.st_size
        return True

    def _path(self, hash_: bytes) -> Path:
        return self._folder / hash_.hex()


def remove_blobs(node: int) -> None:
    """Remove the blobs of a node process that ends."""
    shutil.rmtree(_folder(node), ignore_errors=True)


def remove_unused_blobs(node: int, now: float) -> None:
    """Remove the blobs of a node process that nobody has used for long.

    Who has mapped one keeps it.
    """
    for path in _folder(node).glob("*/*"):
        with contextlib.suppress(FileNotFoundError):  # it was removed in this moment
            if now - path.stat().st_mtime > UNUSED:
                path.unlink()


def remove_left_blobs() -> None:
    """Remove the blobs of node processes that were killed."""
    for folder in _home().glob(f"{_PREFIX}*"):
        number = folder.name.removeprefix(_PREFIX)
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def _home() -> Path:
    has_shared = sys.platform == "linux" and os.access(_SHARED_MEMORY, os.W_OK)
    return _SHARED_MEMORY if has_shared else Path(tempfile.gettempdir())


def _folder(node: int) -> Path:
    return _home() / f"{_PREFIX}{node}"
