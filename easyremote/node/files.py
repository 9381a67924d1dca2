"""The files that came to a node, by their content: one owner's, for all sessions and later ones.

A file that is on its way is appended to, and goes on where it stopped, whenever that is. One that
is whole has been checked; a session sees it under its own name, through a link. One that somebody
wrote to is not used again. Files that nobody used for long are removed.
``tests/node/test_files.py`` proves it.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from easyremote.config import home
from easyremote.errors import NotFound, UsageError
from easyremote.node.folders import own_folder

__all__ = ["FileStore"]

#: Seconds after which a file that nobody used is removed.
KEPT = 30 * 24 * 3600.0
#: Read and execute for the owner only, and nobody writes.
_READ_ONLY = 0o400


class FileStore:
    """The files of one owner.

    Parameters
    ----------
    owner
        Whose.
    folder
        Where the stores are; None for the node's own folder.
    """

    def __init__(self, owner: str, folder: Path | None = None) -> None:
        name = hashlib.sha256(owner.encode()).hexdigest()[:32]
        self._folder = (folder or home() / "files") / name

    def have(self, digest: bytes, size: int) -> int:
        """How many bytes of a file are here; all of them only if it is whole."""
        if self._is_whole(digest, size):
            return size
        part = self._part(digest)
        return min(part.stat().st_size, size - 1) if size and part.exists() else 0

    def write(self, digest: bytes, size: int, offset: int, data: bytes) -> int:
        """Add a piece of a file; how much of it is here now.

        Raises
        ------
        UsageError
            It isn't what was announced; what was here of it is removed.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._part(digest)
        with open(part, "r+b" if part.exists() else "w+b") as opened:
            there = opened.seek(0, os.SEEK_END)
            if offset <= there:
                opened.seek(offset)
                opened.write(data)
                there = max(there, offset + len(data))
        if there < size:
            return there
        self._finish(part, digest)
        return size

    def link(self, name: str, digest: bytes, size: int) -> str:
        """The path under which this process sees a file.

        Raises
        ------
        NotFound
            It isn't here.
        """
        if not self._is_whole(digest, size):
            raise NotFound(f"The file {name!r} has not come to the node. Run the cell again.")
        folder = own_folder("files") / digest.hex()[:16]
        folder.mkdir(exist_ok=True)
        link = folder / os.path.basename(name)
        if not link.is_symlink():
            link.symlink_to(self._path(digest))
        return str(link)

    def tidy(self) -> None:
        """Remove what nobody used for long."""
        for path in self._folder.glob("*"):
            if time.time() - path.stat().st_atime > KEPT:
                path.unlink(missing_ok=True)

    def _finish(self, part: Path, digest: bytes) -> None:
        with part.open("rb") as opened:
            if hashlib.file_digest(opened, "sha256").digest() != digest:
                part.unlink()
                raise UsageError("The file has changed while it was sent. Run the cell again.")
        part.chmod(_READ_ONLY)
        os.utime(part, (time.time(), 0))  # a time that a write would change
        part.rename(self._path(digest))

    def _is_whole(self, digest: bytes, size: int) -> bool:
        path = self._path(digest)
        if not path.exists():
            return False
        stat = path.stat()
        if stat.st_size != size or stat.st_mtime != 0:
            path.unlink()
            return False
        os.utime(path, (time.time(), 0))
        return True

    def _path(self, digest: bytes) -> Path:
        return self._folder / digest.hex()

    def _part(self, digest: bytes) -> Path:
        return self._folder / f"{digest.hex()}.part"
