"""`Store`: the detached calls of a gateway on its disk, as rows of a journal.

Each write gives a future that is done when the disk has it. Large payloads are files, which are
written and read in a thread. ``tests/gateway/durable/test_keeper.py`` proves it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from easyremote.gateway.durable.records import Detached, Ending
from easyremote.journal.awaited import AwaitedJournal
from easyremote.journal.journal import Journal, Statement
from easyremote.journal.payloads import INLINE, Payloads, cell_of
from easyremote.protocol.answers import OutstandingCall
from easyremote.protocol.detached import DetachedState
from easyremote.protocol.messages import Payload, Submit, decode, encode
from easyremote.protocol.streams import Buffer
from easyremote.protocol.tombstones import KEPT, TOMBSTONES

#: The name of the journal's file, in its folder.
JOURNAL = "detached.db"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    call_id BLOB PRIMARY KEY, owner TEXT NOT NULL, accepted REAL NOT NULL, deadline REAL NOT NULL,
    submit BLOB NOT NULL, encoding TEXT NOT NULL, size INTEGER NOT NULL, arguments BLOB,
    attempt BLOB NOT NULL, attempts INTEGER NOT NULL, crashes INTEGER NOT NULL,
    may_have_run INTEGER NOT NULL, given INTEGER NOT NULL, node TEXT NOT NULL,
    keep_until REAL, code TEXT, outcome_encoding TEXT, outcome_size INTEGER, outcome BLOB
);
CREATE TABLE IF NOT EXISTS tombstones (
    number INTEGER PRIMARY KEY, call_id BLOB NOT NULL, until REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS beat (
    one INTEGER PRIMARY KEY CHECK (one = 1), moment REAL NOT NULL
);
"""

_LARGE = """
SELECT call_id, coalesce(outcome, arguments) FROM calls
WHERE CASE WHEN outcome IS NULL THEN size > ? ELSE outcome_size > ? END
"""


#: With each new tombstone the oldest two go, if their time is over or a million came after them:
#: so there are not more and more of them, and no write takes long.
_DROP_TOMBSTONES = """
DELETE FROM tombstones WHERE number IN (
    SELECT number FROM (SELECT number, until FROM tombstones ORDER BY number LIMIT 2)
    WHERE until <= ? OR number <= (SELECT max(number) FROM tombstones) - ?
)
"""
#: So many tombstones are read at once.
_PAGE = 10_000


@dataclass(slots=True, frozen=True)
class Attempts:
    """Which attempt of a call is the present one, and what became of those before."""

    call_id: bytes
    count: int = 1
    crashes: int = 0
    may_have_run: bool = False

    @classmethod
    def of(cls, call: OutstandingCall) -> Attempts:
        return cls(call.call_id, call.attempts, call.crashes, call.may_have_run)


class Store:
    """The journal of a gateway's detached calls.

    Parameters
    ----------
    folder
        Where its files are.

    Raises
    ------
    UsageError, StorageFailed
        As of `Journal.open`.
    """

    def __init__(self, folder: Path) -> None:
        self._journal = Journal.open(folder, Path(JOURNAL).stem, _SCHEMA)
        self._write = AwaitedJournal(self._journal).write
        #: By call: what names the file of its arguments, or of its outcome, where that is large.
        self._files: dict[bytes, bytes] = dict(self._journal.read(_LARGE, (INLINE, INLINE)))
        self._payloads = Payloads(self._journal, self._files.values())

    def close(self) -> None:
        """Write what waits, and close the file."""
        self._journal.close()

    # -- reading -----------------------------------------------------------------------------------

    def calls(self) -> Iterator[tuple[Detached, Attempts]]:
        """All calls that are kept, the oldest first."""
        for row in self._journal.read(
            "SELECT owner, accepted, deadline, submit, encoding, size, attempt, attempts, crashes, "
            "may_have_run, given, node, keep_until, code, outcome_encoding, outcome_size "
            "FROM calls ORDER BY rowid"
        ):
            owner, accepted, deadline, submit, encoding, size = row[:6]
            attempt, attempts, crashes, may_have_run, given = row[6:11]
            node, keep_until, code, outcome_encoding, outcome_size = row[11:]
            header = decode(submit)
            assert isinstance(header, Submit), "the journal has what was sent"
            call = Detached(header, owner, encoding, size, accepted, deadline, node_id=node)
            call.is_given = bool(given)
            call.state = DetachedState.ACCEPTED
            if keep_until is not None:
                call.state = DetachedState.KEPT
                call.ending = Ending(code, outcome_encoding, outcome_size, keep_until)
            yield call, Attempts(attempt, attempts, crashes, bool(may_have_run))

    def last_beat(self) -> float:
        """The moment of the last `beat`, in seconds since 1970; 0 if there was none."""
        rows = self._journal.read("SELECT moment FROM beat")
        return float(rows[0][0]) if rows else 0.0

    def released(self, now: float) -> Iterator[bytes]:
        """Yield the calls that were forgotten not long ago, the oldest first."""
        asked = (
            "SELECT number, call_id FROM tombstones WHERE number > ? AND until > ? "
            "ORDER BY number LIMIT ?"
        )
        last = 0
        while rows := self._journal.read(asked, (last, now, _PAGE)):
            yield from (call_id for _, call_id in rows)
            last = rows[-1][0]

    async def arguments(self, call: Detached) -> bytes:
        """The arguments of a call that is not over.

        Raises
        ------
        StorageFailed
            They can't be read, or are not what was written.
        """
        return await self._payload("arguments", call.call_id, call.size)

    async def outcome(self, call: Detached) -> bytes:
        """The outcome of a call; raises as `arguments`."""
        size = call.ending.size if call.ending is not None else 0
        return await self._payload("outcome", call.call_id, size)

    async def _payload(self, column: str, call_id: bytes, size: int) -> bytes:
        if size <= INLINE:
            return self._read(column, call_id)
        return await asyncio.to_thread(self._read, column, call_id)

    def _read(self, column: str, call_id: bytes) -> bytes:
        rows = self._journal.read(f"SELECT {column} FROM calls WHERE call_id = ?", (call_id,))
        return self._payloads.get(call_id, rows[0][0])

    # -- writing -----------------------------------------------------------------------------------

    def add(self, call: Detached, arguments: Buffer) -> Awaitable[None]:
        """Write a new call; after this it is not lost.

        Raises
        ------
        StorageFull, StorageFailed
            It was not written.
        """
        if call.size > INLINE:
            return self._add_large(call, arguments)
        return self._add(call, cell_of(call.call_id, arguments))

    async def _add_large(self, call: Detached, arguments: Buffer) -> None:
        cell = await self._put(call.call_id, arguments)
        self._files[call.call_id] = cell
        await self._add(call, cell)

    def _add(self, call: Detached, cell: bytes) -> Awaitable[None]:
        header = msgspec.structs.replace(call.submit, call=0, payload=Payload())
        return self._write(
            "INSERT INTO calls (call_id, owner, accepted, deadline, submit, encoding, size, "
            "arguments, attempt, attempts, crashes, may_have_run, given, node) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, 0, 0, '')",
            (
                *(call.call_id, call.owner, call.accepted, call.deadline, encode(header)),
                *(call.encoding, call.size, cell, call.call_id),
            ),
            durable=True,
        )

    async def attempt(self, call: Detached, attempt: Attempts) -> None:
        """Write that another attempt begins; raises as `add`."""
        await self._write(
            "UPDATE calls SET attempt = ?, attempts = ?, crashes = ?, may_have_run = ?, "
            "given = 0 WHERE call_id = ?",
            (attempt.call_id, attempt.count, attempt.crashes, attempt.may_have_run, call.call_id),
            durable=True,
        )

    async def beat(self, now: float, given: Iterable[bytes]) -> None:
        """Write that every other call was on no node up to now; raises as `add`.

        Parameters
        ----------
        now
            In seconds since 1970.
        given
            The calls that a node may have, and that this was not written of before.
        """
        statements: list[Statement] = [
            ("UPDATE calls SET given = 1 WHERE call_id = ?", (call_id,)) for call_id in given
        ]
        statements.append(("INSERT OR REPLACE INTO beat VALUES (1, ?)", (now,)))
        await self._write(statements)

    async def end(self, call: Detached, ending: Ending) -> None:
        """Write the outcome; raises as `add`."""
        cell = await self._put(call.call_id, ending.body)
        # Whom to tell of its end is a secret, and is not needed any more.
        header = msgspec.structs.replace(call.submit, call=0, payload=Payload(), notify="")
        await self._write(
            "UPDATE calls SET submit = ?, arguments = NULL, node = ?, keep_until = ?, code = ?, "
            "outcome_encoding = ?, outcome_size = ?, outcome = ? WHERE call_id = ?",
            (
                *(encode(header), call.node_id, ending.keep_until, ending.code),
                *(ending.encoding, ending.size, cell, call.call_id),
            ),
            durable=True,
        )
        self._remove_file(call.call_id)
        if ending.size > INLINE:
            self._files[call.call_id] = cell

    async def release(self, call_id: bytes, now: float) -> None:
        """Forget a call; its id is remembered for a while. Raises as `add`."""
        await self._write(
            [
                ("DELETE FROM calls WHERE call_id = ?", (call_id,)),
                ("INSERT INTO tombstones (call_id, until) VALUES (?, ?)", (call_id, now + KEPT)),
                (_DROP_TOMBSTONES, (now, TOMBSTONES)),
            ]
        )
        self._remove_file(call_id)

    def _remove_file(self, call_id: bytes) -> None:
        cell = self._files.pop(call_id, None)
        if cell is not None:
            self._payloads.remove(cell)

    async def _put(self, call_id: bytes, payload: Buffer) -> bytes:
        size = memoryview(payload).nbytes
        if size <= INLINE:
            return cell_of(call_id, payload)
        return await asyncio.to_thread(self._payloads.put, call_id, [payload], size)
