"""SQLite as the journal uses it: how a file is opened, and what its errors mean.

The journal asks little of a database (`Database`), so that a test can put one in its place whose
disk fails. ``tests/journal/test_journal.py`` proves it.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from easyremote.errors import InternalError, StorageDamaged, StorageFailed, StorageFull

__all__ = ["Connect", "Database", "Value", "connect", "failed", "os_failed"]

#: What a column can hold.
Value = str | bytes | int | float | None

_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
#: The wal-index grows by a file operation of its own, which fails when the disk is full.
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE}
#: Of a statement or its parameters, not of the file; 0 is Python's own.
_MISTAKES = {
    0,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_MISUSE,
    sqlite3.SQLITE_RANGE,
}
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Database(Protocol):
    """One connection to a SQLite file, in autocommit mode. It raises `sqlite3.Error`."""

    @property
    def in_transaction(self) -> bool: ...

    def execute(
        self, statement: str, parameters: Sequence[Value] = ..., /
    ) -> Iterator[tuple[Any, ...]]: ...

    def executescript(self, statements: str, /) -> object: ...

    def close(self) -> None: ...


Connect = Callable[[Path], Database]


def connect(path: Path) -> Database:
    """Open a SQLite file; it is made where there is none."""
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def failed(error: sqlite3.Error, path: Path) -> StorageFailed | InternalError:
    """Say what an error of SQLite means for the file, and what to do."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code & 0xFF in _MISTAKES:
        return InternalError(f"{path} was asked for something wrong: {error}. Please report it.")
    if code in _FULL:
        return _full(path)
    if code & 0xFF in _DAMAGED:
        return StorageDamaged(
            f"{path} is damaged ({error}). Nothing in it was changed. Stop this process, copy the "
            "file, look at the disk, then move the file away; what is in it will be missing."
        )
    if code & 0xFF == sqlite3.SQLITE_IOERR:
        return _stopped(path, error)
    return StorageFailed(f"{path} can't be written or read: {error}.")


def os_failed(error: OSError, path: Path) -> StorageFailed:
    """Say what an error of a file operation means, and what to do."""
    if error.errno in _NO_ROOM:
        return _full(path)
    if error.errno == errno.EIO:
        return _stopped(path, error)
    return StorageFailed(f"{path} can't be written or read: {error}.")


def _full(path: Path) -> StorageFailed:
    return StorageFull(
        f"The disk of {path} is full, so this was not stored. Free some space and try again; this "
        "process need not be restarted."
    )


def _stopped(path: Path, error: Exception) -> StorageFailed:
    return StorageFailed(
        f"The disk failed at {path} ({error}). Nobody can know what of the latest data it kept, so "
        "nothing more is stored. Look at the disk, then start this process again.",
        is_final=True,
    )
