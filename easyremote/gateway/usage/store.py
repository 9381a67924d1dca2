"""`UsageStore`: what was used in each hour, in the gateway's SQLite file.

Every call here may wait for the file, so a gateway makes it in a thread; one at a time, so that
nothing is locked here. ``tests/gateway/usage/test_store.py`` proves it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from easyremote.errors import UsageError
from easyremote.gateway.usage.tally import COUNTED, OTHER, PARTS, Counted, add_to
from easyremote.protocol.usage import UsageRequest, UsageRow

#: Seconds to wait while another process writes the file.
PATIENCE = 5.0
HOUR = 3600.0
#: What was used more than so many hours ago is forgotten.
KEPT_HOURS = 400 * 24

#: In quotes, because ``values`` is a word of SQL.
_COLUMNS = tuple(f'"{name}"' for name in COUNTED)
_PLACE = ("key", "node", "function")


class UsageStore:
    """What was used, by hour.

    Parameters
    ----------
    path
        The SQLite file; there is one.

    Raises
    ------
    UsageError
        The file can't be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        #: What could not be written yet, by hour.
        self._unwritten: dict[int, Counted] = {}
        #: The hour in which old rows were last looked for.
        self._cleared = 0
        columns = ", ".join(f"{column} NUMERIC NOT NULL" for column in _COLUMNS)
        with self._explained():
            self._database = sqlite3.connect(path, check_same_thread=False, timeout=PATIENCE)
            # What the last second has counted may be lost with the machine; the file stays whole.
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS usage (hour INTEGER NOT NULL, key TEXT NOT NULL, "
                f"node TEXT NOT NULL, function TEXT NOT NULL, {columns}, "
                "PRIMARY KEY (hour, key, node, function)) WITHOUT ROWID"
            )

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def functions(self) -> set[str]:
        """The names of the functions that are in the file."""
        with self._explained():
            found = self._database.execute("SELECT DISTINCT function FROM usage")
            return {name for (name,) in found} - {OTHER}

    def write(self, counted: Counted, now: float) -> None:
        """Add what was counted to the present hour; what can't be written is kept for next time.

        Parameters
        ----------
        counted
            What was counted since the last time.
        now
            Seconds since 1970.

        Raises
        ------
        UsageError
            The file can't be written.
        """
        hour = int(now // HOUR)
        if counted:
            add_to(self._unwritten.setdefault(hour, {}), counted)
        if not self._unwritten:
            return
        rows = [
            (each, *place, *(getattr(counts, name) for name in COUNTED))
            for each, places in self._unwritten.items()
            for place, counts in places.items()
        ]
        with self._explained(), self._database as database:
            database.executemany(_ADD, rows)
            if self._cleared != hour:
                database.execute("DELETE FROM usage WHERE hour < ?", (hour - KEPT_HOURS,))
        self._cleared = hour
        self._unwritten.clear()

    def rows(self, request: UsageRequest, key: str | None, now: float) -> list[UsageRow]:
        """The sums of what was asked for, the most used first.

        Parameters
        ----------
        request
            What each row is for, since when, and where.
        key
            Whose calls; None for everybody's.
        now
            Seconds since 1970.

        Raises
        ------
        UsageError
            The file can't be read.
        """
        first = int((now - request.since) // HOUR) if request.since else 0
        part = _PLACE[PARTS[request.by]]
        sums = ", ".join(f"SUM({column})" for column in _COLUMNS)
        query = (
            f"SELECT {part}, {sums} FROM usage WHERE hour >= ? AND (? IS NULL OR key = ?) "
            f"AND (? = '' OR node = ?) GROUP BY {part} ORDER BY SUM(run_seconds) DESC, {part}"
        )
        wanted = first, key, key, request.node, request.node
        with self._explained():
            found = self._database.execute(query, wanted).fetchall()
        return [
            UsageRow(name, **dict(zip(COUNTED, counts, strict=True))) for name, *counts in found
        ]

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise UsageError(
                f"What was used can't be read or written in {self._path}: {error}. Does another "
                "process hold the file? Is the disk full?"
            ) from error


_ADD = (
    f"INSERT INTO usage VALUES (?, ?, ?, ?{', ?' * len(COUNTED)}) "
    "ON CONFLICT (hour, key, node, function) DO UPDATE SET "
    + ", ".join(f"{column} = {column} + excluded.{column}" for column in _COLUMNS)
)
