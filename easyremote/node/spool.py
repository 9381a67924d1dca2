"""`NodeSpool`: what a node keeps on its disk of durable calls, so that they survive its process.

A durable call is in the journal before it begins, and its outcome is there before the gateway hears
of it. Both are removed when the gateway says DELIVERED, or that it does not know the call; nothing
is removed because it is old, since a clock can be wrong. So a later process of the node knows each
call that this one has begun: it brings back the outcome, or says that the call is lost and may have
run. A call that is not in the journal has not begun. Attached calls cost no disk: the file is made
with the first durable call. ``tests/node/test_spool.py`` proves it with killed processes.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from easyremote.errors import CallLost, EasyRemoteError, StorageFailed, to_wire
from easyremote.journal.awaited import AwaitedJournal
from easyremote.journal.journal import Journal
from easyremote.journal.payloads import INLINE, Payloads
from easyremote.logs import about
from easyremote.protocol.call import HeldCall
from easyremote.protocol.held import Outcome, failure

__all__ = ["NodeSpool", "Spooled", "file_name"]

_log = logging.getLogger("easyremote.node")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS journal (id BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS calls (
    call_id BLOB PRIMARY KEY, at REAL NOT NULL, begun BLOB NOT NULL, ended BLOB, outcome BLOB
) WITHOUT ROWID;
"""
_BEGIN = "INSERT OR REPLACE INTO calls VALUES (?, ?, ?, NULL, NULL)"
_END = "UPDATE calls SET at = ?, ended = ?, outcome = ? WHERE call_id = ?"
_FORGET = "DELETE FROM calls WHERE call_id = ?"


class Begun(msgspec.Struct, array_like=True, frozen=True):
    """What is kept of a call that begins."""

    fence: int
    function: str
    session: str
    owner: str
    origin: str


class Ended(msgspec.Struct, array_like=True, frozen=True):
    """What is kept of an outcome, beside its payload."""

    encoding: str
    code: str
    may_have_run: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Spooled:
    """A call that a process before this one has begun, and how it ended."""

    call_id: bytes
    begun: Begun
    outcome: Outcome


class NodeSpool:
    """See the module.

    Parameters
    ----------
    folder
        Where the journals of this user's nodes are.
    node_id, key_id
        Name the journal: a node key belongs to one gateway.
    """

    def __init__(self, folder: Path, node_id: str, key_id: str) -> None:
        self._folder, self._node_id = folder, node_id
        self._name = file_name(node_id, key_id)
        #: The id of the journal; empty before there is one.
        self.identity = b""
        #: Called when there is a journal, with what a process before this one has left in it. It is
        #: called on any thread.
        self.found: Callable[[Sequence[Spooled]], object] = lambda spooled: None
        self._journal: Journal | None = None
        self._awaited: AwaitedJournal | None = None
        self._is_closed = False
        self._payloads: Payloads | None = None
        self._opening = threading.Lock()
        #: The calls of which the journal says that they begin.
        self._begun: set[bytes] = set()
        #: Those of which that is being written; and of these, those that nobody wants any more.
        self._beginning: set[bytes] = set()
        self._unwanted: set[bytes] = set()
        #: Held while these change: calls begin on any thread.
        self._changing = threading.Lock()
        #: The outcomes that are files, by call.
        self._files: dict[bytes, bytes] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # -- opening and closing -----------------------------------------------------------------------

    def look(self) -> None:
        """Find what a process before this one has left. Waits for the disk."""
        if (self._folder / f"{self._name}.db").exists():
            try:
                self._open()
            except EasyRemoteError as error:
                _log.error("What %s left behind can't be read: %s", self._node_id, error)

    async def settled(self) -> None:
        """Wait until the outcomes that are there are on the disk."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is being written."""
        return not self._tasks

    def close(self) -> None:
        """Close the file. What is in it is for the next process."""
        self._is_closed = True
        if self._journal is not None:
            self._journal.close()

    def reopen(self) -> None:
        """Go on if it was closed. Waits for the disk."""
        if self._is_closed:
            self._is_closed, self._journal = False, None
            self.look()

    def _open(self) -> None:
        """Open the journal, if it is not open."""
        with self._opening:
            if self._journal is not None:
                return
            journal = Journal.open(self._folder, self._name, _SCHEMA)
            try:
                spooled = self._read(journal)
            except BaseException:
                journal.close()
                raise
            self._journal, self._awaited = journal, AwaitedJournal(journal)
        self.found(spooled)

    def _read(self, journal: Journal) -> list[Spooled]:
        rows = journal.read("SELECT call_id, begun, ended, outcome FROM calls ORDER BY at")
        cells = [cell for *_, cell in rows if cell is not None]
        self._payloads = payloads = Payloads(journal, cells)
        spooled, damaged = [], []
        for call_id, begun, ended, outcome in rows:
            try:
                header = msgspec.msgpack.decode(payloads.get(call_id, begun), type=Begun)
            except StorageFailed as error:
                _log.error("%s", error)
                damaged.append((_FORGET, (call_id,)))
                continue
            self._files[call_id] = outcome or b""
            self._begun.add(call_id)
            spooled.append(Spooled(call_id, header, self._outcome(call_id, ended, outcome)))
        ids = [each for (each,) in journal.read("SELECT id FROM journal")]
        if len(ids) != 1 or damaged:
            # A call that is not found may have begun: what the gateway knows of this journal is
            # no longer true, so it becomes another one.
            ids = [secrets.token_bytes(16)]
            new = [("DELETE FROM journal", ()), ("INSERT INTO journal VALUES (?)", (ids[0],))]
            journal.write([*damaged, *new], durable=True).result()
        self.identity = ids[0]
        return spooled

    def _outcome(self, call_id: bytes, ended: bytes | None, outcome: bytes | None) -> Outcome:
        """How a call of a process before this one ended."""
        assert self._payloads is not None, "it is being read"
        if ended is None or outcome is None:
            return failure(
                CallLost.code,
                f"Node {self._node_id!r} was restarted while it ran. It may have had effects, and "
                "its result is lost. Call it again if that does no harm.",
            )
        try:
            how = msgspec.msgpack.decode(self._payloads.get(_END_OF + call_id, ended), type=Ended)
            body = self._payloads.get(_OUTCOME_OF + call_id, outcome)
        except StorageFailed as error:
            _log.error("%s", error)
            return refused(error, may_have_run=True)
        return Outcome(*((body,), len(body), how.encoding, how.code, how.may_have_run, how.seconds))

    # -- calls that begin --------------------------------------------------------------------------

    def begin(self, held: HeldCall) -> None:
        """Write that a call begins. Waits for the disk; called on any thread.

        Raises
        ------
        EasyRemoteError
            That can't be written: the call must not begin.
        """
        self._beginning.add(held.call_id)
        is_written = False
        try:
            self._write_begin(held)
            is_written = True
        finally:
            with self._changing:
                self._beginning.discard(held.call_id)
                is_unwanted = held.call_id in self._unwanted
                self._unwanted.discard(held.call_id)
                if is_written:
                    self._begun.add(held.call_id)
            if is_unwanted:
                self.forget(held)

    def _write_begin(self, held: HeldCall) -> None:
        self._open()
        journal, payloads = self._journal, self._payloads
        assert journal is not None and payloads is not None, "it was opened"
        begun = Begun(held.fence, held.function, held.session, held.owner, held.origin)
        cell = payloads.put(held.call_id, [msgspec.msgpack.encode(begun)])
        journal.write(_BEGIN, (held.call_id, time.time(), cell), durable=True).result()

    def has_begun(self, held: HeldCall, then: Callable[[Any, Outcome | None], None]) -> bool:
        """Whether a call may begin now. If not, ``then`` is called with it when it may.

        It is called with the call, and with its outcome where it must not begin.
        """
        if not held.is_durable or held.call_id in self._begun:
            return True
        if held.call_id not in self._beginning:
            self._beginning.add(held.call_id)
            self._do(self._begin(held, then))
        return False

    async def _begin(self, held: HeldCall, then: Callable[[Any, Outcome | None], None]) -> None:
        refusal = None
        try:
            await asyncio.to_thread(self.begin, held)
        except EasyRemoteError as error:
            refusal = refused(error, may_have_run=False)
        then(held, refusal)

    # -- calls that end ----------------------------------------------------------------------------

    def keep(self, held: HeldCall, outcome: Outcome, then: Callable[[], None]) -> None:
        """Keep an outcome; where the disk does not take it, it is said all the same."""
        if held.call_id in self._begun:
            self._do(self._keep(held, outcome, then))
        else:
            then()  # it has not begun: a later process need not know how it ended

    async def _keep(self, held: HeldCall, outcome: Outcome, then: Callable[[], None]) -> None:
        assert self._payloads is not None and self._awaited is not None, "it has begun"
        ended = Ended(outcome.encoding, outcome.code, outcome.may_have_run, outcome.seconds)
        put = self._payloads.put
        try:
            how = put(_END_OF + held.call_id, [msgspec.msgpack.encode(ended)])
            owner = _OUTCOME_OF + held.call_id
            if outcome.size <= INLINE:
                cell = put(owner, outcome.parts)
            else:
                cell = await asyncio.to_thread(put, owner, outcome.parts)
                if held.call_id not in self._begun:  # nobody wants it any more
                    self._payloads.remove(cell)
                    return
                self._files[held.call_id] = cell
            row = (time.time(), how, cell, held.call_id)
            await self._awaited.write(_END, row, durable=True)
        except EasyRemoteError as error:
            _log.error(
                "The outcome of %s() is in memory only, until the gateway has it: %s",
                *(held.function, error),
                extra=about(call=held.call_id),
            )
        then()

    def forget(self, held: HeldCall) -> None:
        """Forget all of a call."""
        with self._changing:
            if held.call_id in self._beginning:
                self._unwanted.add(held.call_id)
            if held.call_id not in self._begun or self._journal is None:
                return
            self._begun.discard(held.call_id)
        cell = self._files.pop(held.call_id, b"")
        # A row that names a file must not come back without it.
        done = self._journal.write(_FORGET, (held.call_id,), durable=bool(cell))
        if cell:
            done.add_done_callback(functools.partial(self._remove, cell))

    def _remove(self, cell: bytes, _: object) -> None:
        assert self._payloads is not None, "the cell is one of its own"
        self._payloads.remove(cell)

    def _do(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(functools.partial(_over, self._tasks))


_END_OF, _OUTCOME_OF = b"end of ", b"outcome of "


def refused(error: EasyRemoteError, *, may_have_run: bool) -> Outcome:
    """The outcome of a call that can't be kept."""
    code, message, details = to_wire(error)
    return failure(code, message, **{**details, "may_have_run": may_have_run})


def _over(tasks: set[asyncio.Task[None]], task: asyncio.Task[None]) -> None:
    tasks.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("A durable call can't be kept.", exc_info=error)


def file_name(node_id: str, key_id: str) -> str:
    """The name of a node's files: one for people, and one that no other node has."""
    shown = re.sub(r"[^\w-]", "_", node_id, flags=re.ASCII)[:40]
    named = hashlib.blake2b(f"{key_id} {node_id}".encode(), digest_size=6).hexdigest()
    return f"{shown}-{named}"
