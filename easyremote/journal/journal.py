"""`Journal`: one SQLite file. What it acknowledges survives a crash and, if asked, a power cut.

One thread writes. It takes whatever waits as one batch and commits it at once, so writes that come
during a commit share the next one: nobody waits for a timer, and the batches grow with the load.

SQLite itself would write the log back into the file (a checkpoint) after a commit, and would not
tell if that fails. The journal does it by itself: if a disk has refused to sync once, a later sync
that succeeds means nothing, so nothing is acknowledged any more.
``tests/journal/`` proves it, with power cuts and failing disks.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from easyremote.errors import Closed, StorageFailed, StorageFull
from easyremote.journal.database import Connect, Database, Value, connect, failed
from easyremote.journal.place import Lock, filesystem, prepare, sync_folder

__all__ = ["Journal", "Statement", "Then"]

_log = logging.getLogger("easyremote.journal")

#: The statements of one batch, at the most, where no single write has more.
MOST = 256
#: The log is written back into the file after so many statements.
CHECKPOINT = 2000

Statement = tuple[str, Sequence[Value]]
#: Takes None when a write is committed, or why it is not.
Then = Callable[[Exception | None], object]


@dataclass(slots=True)
class _Write:
    statements: Sequence[Statement]
    is_durable: bool
    then: Then


class Journal:
    """One SQLite file with one writer. Make it with `open`.

    Every method may be called from any thread. Futures are done, and their callbacks run, on the
    writer's thread; an event loop writes through an `AwaitedJournal`.
    """

    def __init__(self, path: Path, lock: Lock, writer: Database, reader: Database) -> None:
        self.path = path
        self._lock = lock
        self._writer = writer
        self._reader = reader
        self._reading = threading.Lock()
        #: None is the end.
        self._queue: SimpleQueue[_Write | None] = SimpleQueue()
        #: What a broken disk means for every later write.
        self._broken: StorageFailed | None = None
        self._is_closed = False
        #: Held while the end, or a write before it, is put into the queue.
        self._gate = threading.Lock()
        self._synchronous = ""
        #: Statements since the log was written back last.
        self._since_checkpoint = 0
        self._thread = threading.Thread(target=self._run, name=f"journal-{path.stem}", daemon=True)

    @classmethod
    def open(
        cls,
        folder: Path,
        name: str,
        schema: str,
        *,
        connect: Connect = connect,
        filesystem: Callable[[Path], str] = filesystem,
    ) -> Journal:
        """Open a journal; it is made where there is none.

        Parameters
        ----------
        folder
            Where the files are. The folder is made readable by its owner only.
        name
            The name of the file, without its suffix.
        schema
            SQL that makes the tables where they are not there (``CREATE TABLE IF NOT EXISTS``).
        connect
            Opens a SQLite file.
        filesystem
            Tells the type of the file system of a path.

        Raises
        ------
        UsageError
            Another process, or this one, has the journal open; or it is on a network file system.
        StorageFailed
            The file can't be read or written; `StorageDamaged` if it is no longer whole.

        Examples
        --------
        >>> journal = Journal.open(folder, "calls", "CREATE TABLE IF NOT EXISTS calls (id, value)")
        >>> journal.write("INSERT INTO calls VALUES (?, ?)", (1, b"x"), durable=True).result()
        >>> journal.read("SELECT value FROM calls WHERE id = ?", (1,))
        [(b'x',)]
        """
        prepare(folder, filesystem)
        path = folder / f"{name}.db"
        with contextlib.ExitStack() as undo:
            lock = Lock(folder / f"{name}.lock")
            undo.callback(lock.release)
            try:
                path.touch(mode=0o600)
                writer = connect(path)
                undo.callback(writer.close)
                _set_up(writer, path, schema)
                # SQLite's own journal of the set-up must not come back: it would undo all since.
                sync_folder(folder)
                reader = connect(path)
            except sqlite3.Error as error:
                raise failed(error, path) from error
            except OSError as error:
                raise StorageFailed(
                    f"{path} can't be opened: {error}. Check whose it is."
                ) from None
            undo.pop_all()
        journal = cls(path, lock, writer, reader)
        journal._thread.start()
        return journal

    def write(
        self,
        statement: str | Sequence[Statement],
        parameters: Sequence[Value] = (),
        *,
        durable: bool = False,
    ) -> Future[None]:
        """Write; the future is done when it is committed.

        Parameters
        ----------
        statement
            One statement of SQL; or several, each with its parameters, which are committed together
            or not at all. Writes are committed in the order in which they were asked for.
        parameters
            The parameters of the one statement.
        durable
            Whether it must survive a power cut, too. The end of this process it survives anyway.

        Returns
        -------
        Future
            It ends with `StorageFull` if the disk is full: later writes may succeed. It ends with
            `StorageFailed` if the disk has failed; if ``error.is_final``, nothing is written any
            more until the journal is opened again.
        """
        statements = [(statement, parameters)] if isinstance(statement, str) else statement
        done: Future[None] = Future()
        # A write that was asked for is made: whoever waits for it can't cancel it.
        done.set_running_or_notify_cancel()
        self.put(statements, partial(_settle, done), durable=durable)
        return done

    def put(self, statements: Sequence[Statement], then: Then, *, durable: bool) -> None:
        """Write, as `write` does, and call ``then`` at the end: it must be quick, and not raise."""
        with self._gate:
            if not self._is_closed:
                self._queue.put(_Write(statements, durable, then))
                return
        then(Closed(f"{self.path} is closed; nothing was stored."))

    def read(self, statement: str, parameters: Sequence[Value] = ()) -> list[tuple[Any, ...]]:
        """Read what is committed: all rows of a SELECT.

        Raises
        ------
        StorageFailed
            The file can't be read; `StorageDamaged` if it is no longer whole.
        """
        try:
            with self._reading:
                return list(self._reader.execute(statement, parameters))
        except sqlite3.Error as error:
            told = failed(error, self.path)
            if isinstance(told, StorageFailed) and told.is_final:
                self.stop_acknowledging(told)
            raise told from error

    def check(self) -> None:
        """Raise what each write would end with, if the disk has failed for good."""
        if self._broken is not None:
            raise _again(self._broken)

    def stop_acknowledging(self, error: StorageFailed) -> None:
        """End every later write with this error: the disk has failed."""
        if self._broken is None:
            self._broken = error
            _log.error("%s", error)

    def close(self) -> None:
        """Write what still waits, and close the file."""
        with self._gate:
            if self._is_closed:
                return
            self._is_closed = True
            self._queue.put(None)
        self._thread.join()
        with self._reading, contextlib.suppress(sqlite3.Error):
            # What they would still write stands in the log already.
            self._reader.close()
            self._writer.close()
        self._lock.release()

    # -- the writer's thread -----------------------------------------------------------------------

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch, is_last = self._with_others(first)
            self._commit(batch)
            if is_last:
                break
            self._write_back()

    def _with_others(self, first: _Write) -> tuple[list[_Write], bool]:
        """What waits behind a write, for one batch; and whether the end was among it."""
        batch = [first]
        count = len(first.statements)
        while count < MOST:
            try:
                write = self._queue.get_nowait()
            except Empty:
                break
            if write is None:
                return batch, True
            batch.append(write)
            count += len(write.statements)
        return batch, False

    def _commit(self, batch: list[_Write]) -> None:
        """Commit some writes together; if that fails, each alone, so that one can't hurt others."""
        if self._broken is not None:
            for write in batch:
                write.then(_again(self._broken))
            return
        try:
            self._transact(batch)
        except Exception as error:  # a parameter can be anything; the thread must go on
            self._fail(batch, error)
        else:
            for write in batch:
                write.then(None)

    def _transact(self, batch: list[_Write]) -> None:
        execute = self._writer.execute
        self._synchronise("FULL" if any(write.is_durable for write in batch) else "NORMAL")
        execute("BEGIN IMMEDIATE")
        for write in batch:
            for statement, parameters in write.statements:
                execute(statement, parameters)
            self._since_checkpoint += len(write.statements)
        execute("COMMIT")

    def _synchronise(self, level: str) -> None:
        if self._synchronous != level:
            self._writer.execute(f"PRAGMA synchronous = {level}")
            self._synchronous = level

    def _fail(self, batch: list[_Write], error: Exception) -> None:
        told = self._told(error)
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except sqlite3.Error as worse:
            told = StorageFailed(f"{self.path} can't be written any more: {worse}.", is_final=True)
        if isinstance(told, StorageFull):
            self._since_checkpoint = CHECKPOINT  # it makes room in the log
        if isinstance(told, StorageFailed) and told.is_final:
            self.stop_acknowledging(told)
        elif len(batch) == 1:
            batch[0].then(told)
            return
        for write in batch:
            self._commit([write])

    def _told(self, error: Exception) -> Exception:
        return failed(error, self.path) if isinstance(error, sqlite3.Error) else error

    def _write_back(self) -> None:
        """Write the log back into the file, if it has grown; a disk that fails at it has failed."""
        if self._since_checkpoint < CHECKPOINT or self._broken is not None:
            return
        self._since_checkpoint = 0
        try:
            list(self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)"))
        except sqlite3.Error as error:
            told = failed(error, self.path)
            if isinstance(told, StorageFailed) and not isinstance(told, StorageFull):
                self.stop_acknowledging(told)
            else:  # the next one may succeed; until then the log grows
                _log.debug("The log of %s was not written back: %s", self.path, told)


def _set_up(database: Database, path: Path, schema: str) -> None:
    (mode,) = next(iter(database.execute("PRAGMA journal_mode = WAL")))
    if mode != "wal":
        raise StorageFailed(
            f"SQLite can't use a write-ahead log for {path} here; use another disk."
        )
    for pragma in ("wal_autocheckpoint = 0", "fullfsync = 1", "checkpoint_fullfsync = 1"):
        list(database.execute(f"PRAGMA {pragma}"))
    (found,) = next(iter(database.execute("PRAGMA quick_check(1)")))
    if found != "ok":
        raise failed(_damage(found), path)
    database.executescript(schema)
    list(database.execute("PRAGMA wal_checkpoint(TRUNCATE)"))


def _damage(found: str) -> sqlite3.Error:
    error = sqlite3.DatabaseError(found)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _settle(done: Future[None], error: Exception | None) -> None:
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


def _again(error: StorageFailed) -> StorageFailed:
    """The same error for another caller: each adds the traceback of its own."""
    return type(error)(error.message, **error.details)
