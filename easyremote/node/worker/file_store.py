"""The files that came to a node, by their content: one owner's, for all sessions and later ones.

A file that has not come whole is a part. Its sender appends to the part, and goes on later where it
stopped; two senders of one file share the part. A whole file has been checked against its hash and
is on the disk; a session sees it through a link that has the file's name. A file that was written
to is not used again. Files that nobody used for long are removed.
``tests/node/worker/test_file_store.py`` proves it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from io import BufferedRandom
from pathlib import Path

from easyremote.config import home
from easyremote.errors import NotFound, UsageError
from easyremote.node.folders import own_folder
from easyremote.serialize.files import Content

__all__ = ["FileStore"]

#: Seconds after which a file that nobody used is removed.
KEPT = 30 * 24 * 3600.0
#: The mode of a whole file: nobody writes to it.
_READ_ONLY = 0o400

#: How many bytes of a file are there, and whether it is whole.
State = tuple[int, bool]


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

    def have(self, contents: Sequence[Content]) -> list[State]:
        """What is here of each.

        Raises
        ------
        UsageError
            There is no room for the rest.
        """
        found = [self._have(content) for content in contents]
        left = sum(
            content.size - there for content, (there, _) in zip(contents, found, strict=True)
        )
        if left and left > (free := self._free()):
            raise UsageError(
                f"The node has {free / 1e9:.1f} GB of disk free, and {left / 1e9:.1f} GB are to "
                "come. Nothing was sent."
            )
        return found

    def write(self, content: Content, offset: int, data: bytes) -> State:
        """Add a piece of a file; what is here of it now: nothing, if it isn't what was announced.

        Raises
        ------
        UsageError
            It can't be kept: the disk is full.
        """
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(self._part(content)) as part:
                return self._add(part, content, offset, data)
        except OSError as error:
            raise UsageError(
                f"The node can't keep the file: {error.strerror}. What came stays there for a "
                "while, and the next time the rest is sent."
            ) from None

    def link(self, name: str, content: Content) -> str:
        """The path under which this process sees a file.

        Raises
        ------
        NotFound
            It isn't here.
        """
        if not self._is_whole(content):
            raise NotFound(f"The file {name} is not on the node any more. Run the cell again.")
        folder = own_folder("files") / content.digest.hex()[:32]
        folder.mkdir(exist_ok=True)
        link = folder / os.path.basename(name)
        if not link.is_symlink():
            link.symlink_to(self._path(content))
        return str(link)

    def _have(self, content: Content) -> State:
        if self._is_whole(content):
            return content.size, True
        try:
            there = self._part(content).stat().st_size
        except FileNotFoundError:
            there = 0
        # The last piece has come: the file is checked now.
        return min(there, max(content.size - 1, 0)), False

    def _add(self, part: BufferedRandom, content: Content, offset: int, data: bytes) -> State:
        there = part.seek(0, os.SEEK_END)
        if self._is_whole(content):  # another sender was quicker
            os.unlink(self._part(content))
            return content.size, True
        if offset <= there:
            part.seek(offset)
            part.write(data)
            part.flush()
            there = max(there, offset + len(data))
        if there < content.size:
            return there, False
        part.seek(0)
        if hashlib.file_digest(part, "sha256").digest() != content.digest:
            os.unlink(self._part(content))
            return 0, False
        self._finish(part, content)
        return content.size, True

    def _finish(self, part: BufferedRandom, content: Content) -> None:
        os.fsync(part.fileno())  # a whole file must be whole after a loss of power
        os.fchmod(part.fileno(), _READ_ONLY)
        os.utime(part.fileno(), (time.time(), 0))  # a time that a write would change
        os.rename(self._part(content), self._path(content))
        self._tidy()

    def _is_whole(self, content: Content) -> bool:
        path = self._path(content)
        try:
            stat = path.stat()
            if stat.st_size == content.size and stat.st_mtime == 0:
                os.utime(path, (time.time(), 0))
                return True
            path.unlink()
        except FileNotFoundError:
            pass
        return False

    def _tidy(self) -> None:
        """Remove files that nobody used for long."""
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another session was quicker
                stat = path.stat()
                if time.time() - max(stat.st_atime, stat.st_mtime) > KEPT:
                    path.unlink()

    def _free(self) -> int:
        folder = next(each for each in (self._folder, *self._folder.parents) if each.exists())
        return shutil.disk_usage(folder).free

    def _path(self, content: Content) -> Path:
        return self._folder / content.digest.hex()

    def _part(self, content: Content) -> Path:
        return self._folder / f"{content.digest.hex()}.part"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[BufferedRandom]:
    """A part, made where there is none, for one writer at a time."""
    while True:
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX)
            # While this writer waited, another one may have finished the part, or thrown it away.
            try:
                is_there = os.path.samestat(os.fstat(opened.fileno()), path.stat())
            except FileNotFoundError:
                continue
            if is_there:
                yield opened
                return
