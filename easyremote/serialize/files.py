"""`File`: a file of this machine that can travel; on the other side it is a local file as well.

What travels is its name and the hash of its content. Its bytes go beforehand (``client/files.py``)
into the node's store (``node/files.py``), which sets `resolve`. A file that comes back is the one
that left. ``tests/serialize/test_files.py`` proves it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from easyremote.errors import NotFound, UsageError

__all__ = ["File", "collected", "file", "named", "set_resolver"]

#: Hashes of files that were read, by path, time of change and size.
_hashes: dict[tuple[str, int, int], bytes] = {}
#: Files that left from here, by their content.
_left: dict[bytes, str] = {}
_collecting: ContextVar[dict[bytes, File] | None] = ContextVar("collecting", default=None)
_resolve: Callable[[str, bytes, int], str] | None = None
#: On a node: the files that came for the cell, by what they are called in it.
named: dict[str, File] = {}


class File(os.PathLike[str]):
    """A path that travels with its content.

    Parameters
    ----------
    path
        Of a file of this machine.

    Examples
    --------
    >>> train = File("train.csv")               # doctest: +SKIP
    >>> frame = pandas.read_csv(train)          # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.path.abspath(os.path.expanduser(path))
        if not os.path.isfile(self._path):
            raise UsageError(f"There is no file {os.fspath(path)!r} here.")

    @property
    def name(self) -> str:
        """The last part of its path."""
        return os.path.basename(self._path)

    @property
    def size(self) -> int:
        """Bytes."""
        return os.stat(self._path).st_size

    @property
    def digest(self) -> bytes:
        """The SHA-256 of its content."""
        stat = os.stat(self._path)
        key = self._path, stat.st_mtime_ns, stat.st_size
        if key not in _hashes:
            with open(self._path, "rb") as opened:
                _hashes[key] = hashlib.file_digest(opened, "sha256").digest()
        return _hashes[key]

    def __fspath__(self) -> str:
        return self._path

    def __repr__(self) -> str:
        return f"<easyremote.file {self._path!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, File) and self._path == other._path

    def __hash__(self) -> int:
        return hash(self._path)

    def __reduce__(self) -> Any:
        digest = self.digest
        _left[digest] = self._path
        if (found := _collecting.get()) is not None:
            found[digest] = self
        return arrived, (self.name, digest, self.size)


def file(path: str | os.PathLike[str]) -> File:
    """A file that goes to the node with the cell that uses it, and is a local file there.

    In a cell on a node it is the file that came under this path, else one of the node's own.

    Parameters
    ----------
    path
        Of a file of this machine.

    Raises
    ------
    UsageError
        There is none.
    """
    came = named.get(os.fspath(path))
    return came if came is not None else File(path)


def arrived(name: str, digest: bytes, size: int) -> File:
    """The loading side of a file; its name is part of the payload."""
    if _resolve is not None:
        return File(_resolve(name, digest, size))
    if digest in _left:
        return File(_left[digest])
    raise NotFound(f"The file {name!r} is on the node only.")


@contextmanager
def collected() -> Iterator[dict[bytes, File]]:
    """Collect the files that are pickled meanwhile, by their content."""
    found: dict[bytes, File] = {}
    token = _collecting.set(found)
    try:
        yield found
    finally:
        _collecting.reset(token)


def set_resolver(resolve: Callable[[str, bytes, int], str]) -> None:
    """On a node: how the path of a file that came is found, from name, digest and size."""
    global _resolve
    _resolve = resolve
