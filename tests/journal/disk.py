"""A disk below SQLite, for tests: it can fail, and it remembers what a power cut would leave.

`Disk.connect` opens a real SQLite file, through a VFS of apsw that passes each operation on to the
real file. The log holds all of them in order, with what a test adds to it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import apsw

#: What a disk writes whole or not at all.
SECTOR = 512


@dataclass(frozen=True)
class Entry:
    """What happened: ``write``, ``truncate``, ``sync`` or ``delete`` of a file, ``folder synced``.

    A test may add its own.
    """

    what: str
    name: str = ""
    offset: int = 0
    data: bytes = b""


@dataclass
class Disk:
    """A disk.

    ``breaks`` is called before each operation with what it is and the file's name; it raises what
    the operation then fails with (`full`, `broken`).
    """

    breaks: Callable[[str, str], None] = lambda what, name: None
    log: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._vfs = _Vfs(self, f"disk-{id(self):x}")

    def connect(self, path: Path) -> _Database:
        return _Database(apsw.Connection(str(path), vfs=self._vfs.name))

    def note(self, what: str, name: str = "", offset: int = 0, data: bytes = b"") -> None:
        with self._lock:
            self.log.append(Entry(what, name, offset, data))

    def after_power_cut(self, length: int, chance: Random) -> dict[str, bytearray]:
        """The files that can be there if the power goes after so many entries of the log.

        What was synced is there. Of what was not, any sector may be there or not.
        """
        synced: dict[str, bytearray] = {}
        loose: dict[str, list[Entry]] = {}
        for entry in self.log[:length]:
            if entry.what in ("write", "truncate", "delete"):
                loose.setdefault(entry.name, []).append(entry)
            for name in _now_synced(entry, loose):
                for each in loose.pop(name):
                    _do(synced, each)
        for each in (each for entries in loose.values() for each in entries):
            for part in _sectors(each):
                if chance.random() < 0.5:
                    _do(synced, part)
        return synced


def _now_synced(entry: Entry, loose: dict[str, list[Entry]]) -> list[str]:
    """The files of which all operations so far are on the disk after this one."""
    if entry.what == "sync":
        return [entry.name] if entry.name in loose else []
    if entry.what == "folder synced":
        return [name for name, entries in loose.items() if entries[-1].what == "delete"]
    return []


def full() -> apsw.Error:
    """What an operation fails with on a full disk."""
    return _error(apsw.SQLITE_FULL)


def broken(what: str) -> apsw.Error:
    """What an operation fails with on a disk that fails."""
    codes = {"sync": apsw.SQLITE_IOERR_FSYNC, "write": apsw.SQLITE_IOERR_WRITE}
    return _error(codes.get(what, apsw.SQLITE_IOERR_READ))


def _error(code: int) -> apsw.Error:
    error = apsw.exception_for(code)
    assert isinstance(error, apsw.Error)
    return error


class _Vfs(apsw.VFS):
    def __init__(self, disk: Disk, name: str) -> None:
        super().__init__(name, "")
        self.name, self._disk = name, disk

    def xOpen(self, name: Any, flags: list[int]) -> _File:
        return _File(self._disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self._disk.note("delete", Path(filename).name)
        super().xDelete(filename, syncdir)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._name = Path(path or "temporary").name
        self._disk = disk

    def xRead(self, amount: int, offset: int) -> bytes:
        self._disk.breaks("read", self._name)
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.breaks("write", self._name)
        self._disk.note("write", self._name, offset, bytes(data))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._disk.breaks("truncate", self._name)
        self._disk.note("truncate", self._name, newsize)
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        self._disk.breaks("sync", self._name)
        super().xSync(flags)
        self._disk.note("sync", self._name)


class _Database:
    """An apsw connection as the journal's `Database`: with the errors of `sqlite3`."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> Iterator[Any]:
        try:
            return iter(list(self._connection.execute(statement, tuple(parameters))))
        except apsw.Error as error:
            raise _of_sqlite3(error) from error

    def executescript(self, statements: str, /) -> None:
        self.execute(statements)

    def close(self) -> None:
        self._connection.close()


def _of_sqlite3(error: apsw.Error) -> sqlite3.Error:
    told = sqlite3.OperationalError(str(error))
    told.sqlite_errorcode = getattr(error, "extendedresult", 0) or getattr(error, "result", 0)
    return told


def _sectors(entry: Entry) -> Iterator[Entry]:
    """The parts of an operation of which each can be lost alone."""
    if entry.what != "write":
        yield entry
    for start in range(0, len(entry.data), SECTOR):
        piece = entry.data[start : start + SECTOR]
        yield Entry("write", entry.name, entry.offset + start, piece)


def _do(files: dict[str, bytearray], entry: Entry) -> None:
    if entry.what == "delete":
        files.pop(entry.name, None)
        return
    content = files.setdefault(entry.name, bytearray())
    if entry.what == "truncate":
        del content[entry.offset :]
    else:
        content.extend(bytes(max(0, entry.offset - len(content))))
        content[entry.offset : entry.offset + len(entry.data)] = entry.data
