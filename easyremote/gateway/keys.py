"""The gateway's keys, in SQLite: made, checked, listed, revoked; and what is kept of nodes.

A key is stored as the SHA-256 of its secret; the secret itself is shown once and kept nowhere. A
node id belongs to the node key that used it first. The file also names the nodes that may hold
calls, so that the next gateway waits for what they say. The command line writes the same file, so
a running gateway looks several times a second whether the file has changed (`KeyStore.sync`).

The event loop never waits for the file: keys and owners are in memory, `KeyStore.sync` runs in a
thread, and `KeyStore.check` looks for an unknown key without waiting for a lock.
``tests/gateway/test_keys.py`` proves it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from easyremote.errors import NotAuthorized, UsageError
from easyremote.identity import Key, Kind
from easyremote.times import is_time

_log = logging.getLogger("easyremote.gateway")

#: Seconds that a command, or the thread of a gateway, waits while another process writes.
PATIENCE = 5.0
#: Seconds that a node waits until the file says that it may hold calls.
SOON = 2.0

#: The weight of a key, at the most, and at the least one by so much.
HEAVIEST = 1000.0

#: Columns that keys had not in the first version.
_ADDED = {
    "weight": "REAL NOT NULL DEFAULT 1",
    "may_prioritise": "INTEGER NOT NULL DEFAULT 0",
}

#: An unknown id is compared with this, so that it takes as long as a wrong secret.
_NOBODY = "0" * 64


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What the gateway knows of a key."""

    key_id: str
    kind: Kind
    name: str
    digest: str
    created: float
    expires: float | None
    revoked: float | None
    weight: float = 1.0
    may_prioritise: bool = False

    def is_valid(self, now: float) -> bool:
        return self.revoked is None and (self.expires is None or now < self.expires)


class KeyStore:
    """All keys of one gateway, and the owners of its node ids.

    Parameters
    ----------
    path
        The SQLite file; it is made, readable by its owner only, where there is none.

    Raises
    ------
    UsageError
        The file can't be read.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        #: Whether no gateway has used this file before.
        self.is_new = not path.exists()
        path.touch(mode=0o600)
        self.path = path
        self._records: dict[str, KeyRecord] = {}
        self._seen: tuple[dict[str, KeyRecord], set[str]] = ({}, set())
        self._owners: dict[str, str] = {}
        #: Owners that are not in the file yet.
        self._claims: dict[str, str] = {}
        #: Of each connection: the state of the file that was read last.
        self._versions: dict[sqlite3.Connection, int] = {}
        #: Held by whoever uses `_database`.
        self._lock = threading.Lock()
        with self._explained():
            self._database = sqlite3.connect(path, check_same_thread=False, timeout=PATIENCE)
            self._database.executescript(
                """
                PRAGMA journal_mode = WAL;
                CREATE TABLE IF NOT EXISTS keys (
                    key_id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL,
                    digest TEXT NOT NULL, created REAL NOT NULL, expires REAL, revoked REAL
                );
                CREATE TABLE IF NOT EXISTS nodes (
                    node_id TEXT PRIMARY KEY, key_id TEXT NOT NULL
                );
                """
            )
            self._add_columns()
            self._written = self._read_holders(self._database)
            #: The nodes that may hold calls; what is changed here is written by the next `sync`.
            self.holders = set(self._written)
            #: For the event loop: it gives up at once where the file is locked.
            self._impatient = sqlite3.connect(path, check_same_thread=False, timeout=0.0)
            self._load(self._database)

    def close(self) -> None:
        """Write what is not written yet, and close the file."""
        if self._claims or self.holders != self._written:
            try:
                self.sync()
            except UsageError as error:
                _log.error("What is new of nodes is lost: %s", error)
        with self._lock:
            self._database.close()
            self._impatient.close()

    # -- keys --------------------------------------------------------------------------------------

    def create(
        self,
        kind: Kind,
        name: str,
        *,
        expires: float | None = None,
        weight: float = 1.0,
        may_prioritise: bool = False,
    ) -> Key:
        """Make a key.

        Parameters
        ----------
        expires
            In seconds since the epoch; None for never.
        weight
            How much of a busy node its calls get: with 2 twice as many run-seconds as with 1.
        may_prioritise
            Whether its calls may go before those of other keys.

        Raises
        ------
        UsageError
            ``expires`` is no moment, ``weight`` is none, or the file can't be written.
        """
        if not 1 / HEAVIEST <= weight <= HEAVIEST:
            raise UsageError(
                f"A key's weight is from {1 / HEAVIEST:g} to {HEAVIEST:g}, not {weight}."
            )
        if expires is not None and not is_time(expires):
            raise UsageError(f"A key can't expire at {expires!r}: that is no moment.")
        key = Key.generate(kind)
        with self._writing() as database:
            database.execute(
                "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, NULL, ?, ?)",
                (
                    *(key.key_id, kind, name, key.digest(), time.time(), expires),
                    *(weight, may_prioritise),
                ),
            )
        return key

    def revoke(self, key_id: str) -> None:
        """Refuse this key from now on; connections that use it are closed within a second.

        Raises
        ------
        UsageError
            There is no such key, or the file can't be written.
        """
        with self._writing() as database:
            cursor = database.execute(
                "UPDATE keys SET revoked = coalesce(revoked, ?) WHERE key_id = ?",
                (time.time(), key_id),
            )
        if cursor.rowcount == 0:
            raise UsageError(f"There is no key {key_id!r}. See: easyremote key list")

    def list(self) -> list[KeyRecord]:
        """All keys, the oldest first."""
        return sorted(self._records.values(), key=lambda record: record.created)

    def check(self, text: str, kind: Kind) -> KeyRecord:
        """The record of a key that somebody shows.

        Raises
        ------
        NotAuthorized
            The key is not accepted. The message names the key's id, and not the reason.
        """
        try:
            key = Key.parse(text)
        except UsageError as error:
            raise NotAuthorized(error.message if text else _NO_KEY) from None
        if key.key_id not in self._records:
            self._look()  # the command line may have made it a moment ago
        record = self._records.get(key.key_id)
        digest = record.digest if record is not None else _NOBODY
        matches = hmac.compare_digest(digest, key.digest())
        if record is None or not matches or not record.is_valid(time.time()):
            raise NotAuthorized(
                f"The gateway does not accept the key {key.key_id}. It may be revoked, expired, or "
                "for another gateway. Ask for a new one: easyremote key create"
            )
        if record.kind != kind:
            raise NotAuthorized(
                f"The key {key.key_id} is a {record.kind} key; a {kind} key is needed here."
            )
        return record

    def is_valid(self, key_id: str) -> bool:
        return key_id in self._records and self._records[key_id].is_valid(time.time())

    def record_of(self, key_id: str) -> KeyRecord | None:
        """The record of a key; None where it is not valid any more."""
        return self._records[key_id] if self.is_valid(key_id) else None

    def is_over(self, key_id: str) -> bool:
        """Whether it is a key that was good, and was revoked or has expired."""
        return key_id in self._records and not self.is_valid(key_id)

    def has_changed(self) -> bool:
        """Whether a key or an owner may be another one than at the last call, or a key expired."""
        now, before = time.time(), self._seen
        self._seen = self._records, {k for k, each in self._records.items() if each.is_valid(now)}
        return before[0] is not self._records or before[1] != self._seen[1]

    # -- node ids ----------------------------------------------------------------------------------

    def claim(self, node_id: str, key_id: str) -> None:
        """Give a node id to the first key that uses it; it is written by the next `sync`.

        Raises
        ------
        NotAuthorized
            The node id belongs to another key.
        """
        owner = self.owner_of(node_id)
        if owner is None:
            self._claims[node_id] = key_id
        elif owner != key_id:
            raise NotAuthorized(
                f"The node id {node_id!r} belongs to the key {owner}, and this node shows the key "
                f"{key_id}. Choose another --node-id, or let the gateway's owner move it: "
                f"easyremote key move-node {node_id} {key_id}"
            )

    def owner_of(self, node_id: str) -> str | None:
        """The id of the key that a node id belongs to."""
        return self._owners.get(node_id) or self._claims.get(node_id)

    def node_ids(self) -> set[str]:
        """The ids of all nodes that have ever been here."""
        return self._owners.keys() | self._claims.keys()

    def nodes_of(self, key_id: str) -> tuple[str, ...]:
        """The node ids that belong to a key, in order."""
        return tuple(sorted(name for name, owner in self._owners.items() if owner == key_id))

    def succeed(self, name: str, key_id: str) -> None:
        """Give a node key the node ids of all node keys of this name: it takes their place."""
        for node_id in self.node_ids():
            owner = self._records.get(self.owner_of(node_id) or "")
            if owner is not None and owner.kind == "node" and owner.name == name:
                self.move_node(node_id, key_id)

    def move_node(self, node_id: str, key_id: str) -> None:
        """Give a node id to another key; a node that uses the old key is closed within a second.

        Raises
        ------
        UsageError
            There is no such node key that is valid, or the file can't be written.
        """
        record = self._records.get(key_id)
        if record is None:
            raise UsageError(f"There is no key {key_id!r}. See: easyremote key list")
        if record.kind != "node" or not record.is_valid(time.time()):
            raise UsageError(
                f"The key {key_id} can't own a node id: it is revoked, expired, or no node key. "
                "Make one: easyremote key create --kind node"
            )
        with self._writing() as database:
            database.execute("INSERT OR REPLACE INTO nodes VALUES (?, ?)", (node_id, key_id))

    # -- the file ----------------------------------------------------------------------------------

    def is_noted(self, node_id: str) -> bool:
        """Whether the file says that this node may hold calls."""
        return node_id in self._written

    def sync(self) -> None:
        """Write new owners of node ids and who may hold calls; read what others have changed.

        It may wait for the file for some seconds, so a gateway runs it in a thread.

        Raises
        ------
        UsageError
            The file can't be read or written.
        """
        claims = self._claims.copy()
        if claims or self.holders != self._written:
            with self._writing() as database:
                database.executemany("INSERT OR IGNORE INTO nodes VALUES (?, ?)", claims.items())
                self._write_holders(database)
            for node_id in claims:
                self._claims.pop(node_id, None)
        else:
            with self._lock, self._explained():
                self._load(self._database)

    async def sync_soon(self) -> None:
        """`sync` in a thread, for `SOON` at the most; what can't be written is written later."""
        try:
            async with asyncio.timeout(SOON):
                await asyncio.to_thread(self.sync)
        except (UsageError, TimeoutError) as error:
            _log.error(
                "The file of keys can't be written now: %s. A node has joined meanwhile. If this "
                "gateway were killed before the file is written, a call for any node could run "
                "there, and once more elsewhere.",
                error or "another process holds it",
            )

    @staticmethod
    def _read_holders(database: sqlite3.Connection) -> frozenset[str]:
        """The nodes that may hold calls of an earlier gateway."""
        asked = "SELECT name FROM sqlite_master WHERE name = 'holders'"
        if database.execute(asked).fetchone() is None:  # an older version wrote the file
            with database:
                database.execute("CREATE TABLE holders (node_id TEXT PRIMARY KEY)")
                database.execute("INSERT INTO holders SELECT node_id FROM nodes")
        return frozenset(row[0] for row in database.execute("SELECT node_id FROM holders"))

    def _write_holders(self, database: sqlite3.Connection) -> None:
        holders = frozenset(self.holders)
        come, gone = holders - self._written, self._written - holders
        database.executemany("INSERT INTO holders VALUES (?)", [(each,) for each in come])
        database.executemany("DELETE FROM holders WHERE node_id = ?", [(each,) for each in gone])
        self._written = holders

    def _look(self) -> None:
        """Read what has changed, unless that would mean to wait."""
        try:
            self._load(self._impatient)
        except sqlite3.Error as error:
            _log.warning("%s can't be read at the moment: %s", self.path, error)

    def _load(self, database: sqlite3.Connection, *, always: bool = False) -> None:
        """Read the file, if another process has changed it since the last time."""
        (version,) = database.execute("PRAGMA data_version").fetchone()
        if version == self._versions.get(database) and not always:
            return
        keys = database.execute("SELECT * FROM keys").fetchall()
        nodes = database.execute("SELECT node_id, key_id FROM nodes").fetchall()
        self._records = {row[0]: KeyRecord(*row) for row in keys}
        self._owners = dict(nodes)
        self._versions[database] = version  # it changes with what other connections write

    def _add_columns(self) -> None:
        """Add what a new file, or one of an older version, does not have."""
        known = {row[1] for row in self._database.execute("PRAGMA table_info(keys)")}
        for name, what in _ADDED.items():
            if name not in known:
                self._database.execute(f"ALTER TABLE keys ADD COLUMN {name} {what}")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction; what it has changed is read at its end."""
        with self._lock, self._explained():
            with self._database:
                yield self._database
            self._load(self._database, always=True)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise UsageError(
                f"The keys in {self.path} can't be read or written: {error}. Does another process "
                "hold the file? Is the disk full?"
            ) from error


_NO_KEY = (
    "This gateway asks for a key, and none was given. Set EASYREMOTE_API_KEY, or: easyremote login"
)
