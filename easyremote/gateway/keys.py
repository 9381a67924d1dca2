"""The gateway's keys, in SQLite: made, checked, listed, revoked.

A key is stored as the SHA-256 of its secret; the secret itself is shown once and kept nowhere.
The command line writes the same file, so a running gateway looks once a second whether it changed.
``tests/gateway/test_keys.py`` proves it.
"""

from __future__ import annotations

import hmac
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from easyremote.errors import NotAuthorized, UsageError
from easyremote.identity import Key, Kind

#: What a wrong secret is compared with where the id is unknown: same work, same answer.
_NOBODY = "0" * 64


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is known of a key."""

    key_id: str
    kind: Kind
    name: str
    digest: str
    created: float
    expires: float | None
    revoked: float | None

    def is_valid(self, now: float) -> bool:
        return self.revoked is None and (self.expires is None or now < self.expires)


class KeyStore:
    """All keys of one gateway.

    Parameters
    ----------
    path
        The SQLite file; it is made, readable by its owner only, where there is none.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        self._database = sqlite3.connect(path, check_same_thread=False, timeout=5.0)
        self._database.executescript(
            """
            PRAGMA journal_mode = WAL;
            CREATE TABLE IF NOT EXISTS keys (
                key_id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL,
                digest TEXT NOT NULL, created REAL NOT NULL, expires REAL, revoked REAL
            );
            """
        )
        self._records: dict[str, KeyRecord] = {}
        self._version = -1
        self.refresh()

    def close(self) -> None:
        self._database.close()

    def create(self, kind: Kind, name: str, *, expires: float | None = None) -> Key:
        """Make a key; ``expires`` in seconds since the epoch, None for never."""
        key = Key.generate(kind)
        with self._database:
            self._database.execute(
                "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, NULL)",
                (key.key_id, kind, name, key.digest(), time.time(), expires),
            )
        self._load()
        return key

    def revoke(self, key_id: str) -> None:
        """Refuse this key from now on; connections that use it are closed within a second.

        Raises
        ------
        UsageError
            There is no such key.
        """
        with self._database:
            cursor = self._database.execute(
                "UPDATE keys SET revoked = coalesce(revoked, ?) WHERE key_id = ?",
                (time.time(), key_id),
            )
        if cursor.rowcount == 0:
            raise UsageError(f"There is no key {key_id!r}. See: easyremote key list")
        self._load()

    def list(self) -> list[KeyRecord]:
        """All keys, the oldest first."""
        return sorted(self._records.values(), key=lambda record: record.created)

    def check(self, text: str, kind: Kind) -> KeyRecord:
        """The record of a key that somebody shows.

        Raises
        ------
        NotAuthorized
            It is not good, and the message doesn't say why, except to whom it belongs.
        """
        try:
            key = Key.parse(text)
        except UsageError as error:
            raise NotAuthorized(error.message if text else _NO_KEY) from None
        if key.key_id not in self._records:
            self.refresh()  # the command line may have made it a moment ago
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
        record = self._records.get(key_id)
        return record is not None and record.is_valid(time.time())

    def refresh(self) -> bool:
        """Read the file again if another process changed it; whether it did."""
        (version,) = self._database.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return False
        self._version = version
        self._load()
        return True

    def _load(self) -> None:
        rows = self._database.execute("SELECT * FROM keys").fetchall()
        self._records = {row[0]: KeyRecord(*row) for row in rows}


_NO_KEY = (
    "This gateway asks for a key, and none was given. Set EASYREMOTE_API_KEY, or: easyremote login"
)
