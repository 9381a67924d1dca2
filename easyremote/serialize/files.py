"""`File`: a file of this machine that can travel; on the other side it is a local file as well.

What travels is its name, its size and the hash of its content. Whoever pickles one `collected` it,
and brings its bytes beforehand (``client/files/``) into the node's store
(``node/worker/file_store.py``), which sets `resolve`. One that comes back is the file that left.
The hash of a file is remembered for as long as the system says that nothing was written to it: by
its inode, size and times. What was written so recently that the next write could have the same
time is hashed again; what is written through a memory map counts when that is flushed.
``tests/serialize/test_files.py`` proves it.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from easyremote.errors import CannotShip, NotFound, UsageError

__all__ = ["Content", "File", "collected", "file", "named", "set_resolver"]

#: Seconds after which another write surely changes a file's time of change. Some file systems keep
#: it to two seconds only.
SETTLED = 2.0


class Content(NamedTuple):
    """What is in a file."""

    #: SHA-256.
    digest: bytes
    #: Bytes.
    size: int


#: Contents that were read, by path, each with the marks that differ after a change.
_known: dict[str, tuple[tuple[int, ...], Content]] = {}
#: Paths of the files that were sent from here, by their digests.
_left: dict[bytes, str] = {}
_collecting: ContextVar[dict[bytes, File] | None] = ContextVar("collecting", default=None)
_resolve: Callable[[str, Content], str] | None = None
#: On a node: paths of the files that came with ``--file``, by their names.
named: dict[str, str] = {}


class File(os.PathLike[str]):
    """A path that travels with its content.

    Parameters
    ----------
    path
        Of a file of this machine.

    Raises
    ------
    UsageError
        There is none.

    Examples
    --------
    >>> train = File("train.csv")               # doctest: +SKIP
    >>> frame = pandas.read_csv(train)          # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.path.abspath(os.path.expanduser(path))
        if os.path.isdir(self._path):
            raise UsageError(
                f"{os.fspath(path)!r} is a folder, and files travel one by one: pack it "
                "(shutil.make_archive), or name the files in it."
            )
        if not os.path.isfile(self._path):
            raise UsageError(f"There is no file {os.fspath(path)!r}.")

    @property
    def name(self) -> str:
        """The last part of the path."""
        return os.path.basename(self._path)

    @property
    def content(self) -> Content:
        """What is in the file now. It is remembered until somebody writes to the file.

        Raises
        ------
        CannotShip
            It can't be read, or is being written to.
        """
        try:
            with open(self._path, "rb") as opened:
                marks = _marks(opened.fileno())
                known = _known.get(self._path)
                if known is not None and known[0] == marks:
                    return known[1]
                digest = hashlib.file_digest(opened, "sha256").digest()
                if _marks(opened.fileno()) != marks:
                    raise CannotShip(f"{self.name} is being written to; wait until that is over")
                found = Content(digest, os.fstat(opened.fileno()).st_size)
        except OSError as error:
            raise CannotShip(f"{self.name} can't be read: {error.strerror}") from None
        _left[digest] = self._path
        if time.time() - marks[-1] / 1e9 > SETTLED:
            _known[self._path] = marks, found
        return found

    def read_again(self) -> Content:
        """Read the file again, and return its `content`."""
        _known.pop(self._path, None)
        return self.content

    def __fspath__(self) -> str:
        return self._path

    def __repr__(self) -> str:
        return f"<easyremote.file {self._path!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, File) and self._path == other._path

    def __hash__(self) -> int:
        return hash(self._path)

    def __reduce__(self) -> Any:
        found = _collecting.get()
        if found is None and _resolve is None:
            raise CannotShip(
                f"the file {self.name} goes along with cells, with easyremote.run and with "
                "functions that are sent to a named node; here, pass its path or its content"
            )
        content = self.content
        if found is not None:
            found[content.digest] = self
        return arrived, (self.name, content.digest, content.size)


def _marks(opened: int) -> tuple[int, ...]:
    """Numbers that differ after a file was replaced or written to; last the time of change."""
    stat = os.fstat(opened)
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def file(path: str | os.PathLike[str]) -> File:
    """A file that goes to the node with the cell that uses it, and is a local file there.

    In a cell on a node this is the file that was sent under this path, else a file of the node.

    Parameters
    ----------
    path
        Of a file of this machine.

    Raises
    ------
    UsageError
        There is none.

    Examples
    --------
    >>> train = file("train.csv")                                        # doctest: +SKIP
    >>> run("len(open(f).readlines())", on="gpu-node", f=train)          # doctest: +SKIP
    """
    return File(named.get(os.fspath(path), path))


def arrived(name: str, digest: bytes, size: int) -> File:
    """Make a `File` again. Payloads hold this function's name."""
    if _resolve is not None:
        return File(_resolve(name, Content(digest, size)))
    if digest in _left:
        return File(_left[digest])
    raise NotFound(f"the file {name} is on the node only: %remote_fetch brings those of outputs/.")


@contextmanager
def collected() -> Iterator[dict[bytes, File]]:
    """Collect the files that are pickled in this block, by their digests."""
    found: dict[bytes, File] = {}
    token = _collecting.set(found)
    try:
        yield found
    finally:
        _collecting.reset(token)


def set_resolver(resolve: Callable[[str, Content], str]) -> None:
    """On a node: set the function that finds the path of a file that was sent."""
    global _resolve
    _resolve = resolve
