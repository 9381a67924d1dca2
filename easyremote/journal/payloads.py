"""`Payloads`: bytes that belong to a journal's rows, in the row or in a file, with a checksum.

What is stored is named by a *cell*: a few bytes, or with a small payload all of it. Whoever stores
something puts its cell into a row of the journal. The checksum includes the owner's id, so a cell
that is found in another's row is not taken for the owner's. ``tests/journal/test_payloads.py``
proves it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable

from easyremote.errors import StorageDamaged, StorageFailed
from easyremote.journal.database import os_failed
from easyremote.journal.journal import Journal
from easyremote.journal.place import sync, sync_folder

__all__ = ["INLINE", "Payloads", "cell_of"]

#: A larger payload is a file of its own.
INLINE = 64 * 1024
_DIGEST = 16
#: The first byte of a cell: the payload follows its digest, or the name of its file does.
_HERE, _FILE = b"h", b"f"
_NAME = re.compile(r"[0-9a-f]{32}")

Buffer = bytes | bytearray | memoryview


class Payloads:
    """The payloads of one journal.

    Every method waits for the disk: call it in a thread where a loop must go on. All may be called
    from any thread.

    Parameters
    ----------
    journal
        The journal that has the cells; its file's name is that of the folder, too.
    used
        All cells that are in the journal. Every other file was left behind by a process that was
        killed, and is removed.

    Raises
    ------
    StorageFailed
        The folder can't be written or read.

    Examples
    --------
    >>> payloads = Payloads(journal, (cell for (cell,) in journal.read("SELECT value FROM calls")))
    >>> cell = payloads.put(call_id, [b"a large result"])
    >>> journal.write("INSERT INTO calls VALUES (?, ?)", (call_id, cell), durable=True).result()
    >>> payloads.get(call_id, cell)
    b'a large result'
    """

    def __init__(self, journal: Journal, used: Iterable[bytes] = ()) -> None:
        self._journal = journal
        self.folder = journal.path.with_suffix(".payloads")
        names = {name for name in map(_file_of, used) if name is not None}
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(self.folder.parent)
            for file in self.folder.iterdir():
                if file.name not in names:
                    file.unlink()
        except OSError as error:
            raise self._failed(error) from error

    def put(self, owner: bytes, parts: Iterable[Buffer], size: int | None = None) -> bytes:
        """Store a payload, synced; the cell that names it.

        Parameters
        ----------
        owner
            The id of whom it belongs to; `get` must be given the same.
        parts
            The payload, in any number of pieces.
        size
            How many bytes there are in all, where that is known; None reads all parts first.

        Raises
        ------
        StorageFull
            The disk is full. Nothing was stored.
        StorageFailed
            The disk has failed. Nothing was stored.
        """
        self._journal.check()
        if size is None:
            parts = list(parts)
            size = sum(memoryview(part).nbytes for part in parts)
        if size <= INLINE:
            return cell_of(owner, b"".join(parts))
        digest = hashlib.blake2b(key=_key(owner), digest_size=_DIGEST)
        name = secrets.token_hex(16)
        try:
            self._write(name, parts, digest)
        except OSError as error:
            raise self._failed(error) from error
        return _FILE + digest.digest() + name.encode()

    def get(self, owner: bytes, cell: bytes) -> bytes:
        """Read a payload.

        Raises
        ------
        StorageDamaged
            It is not what was stored for this owner.
        StorageFailed
            It can't be read.
        """
        name = _file_of(cell)
        found = hashlib.blake2b(key=_key(owner), digest_size=_DIGEST)
        try:
            payload = cell[1 + _DIGEST :] if name is None else (self.folder / name).read_bytes()
        except FileNotFoundError:
            raise self._damaged(owner, "its file is missing") from None
        except OSError as error:
            raise self._failed(error) from error
        found.update(payload)
        is_known = cell[:1] == _HERE or name is not None
        if not is_known or not hmac.compare_digest(found.digest(), cell[1 : 1 + _DIGEST]):
            raise self._damaged(owner, "its checksum is wrong")
        return payload

    def remove(self, cell: bytes) -> None:
        """Remove the file of a payload, if it has one: when its row is durably removed."""
        name = _file_of(cell)
        if name is not None:
            # A file that can't be removed now is removed by the next process.
            with contextlib.suppress(OSError):
                (self.folder / name).unlink()

    def _write(self, name: str, parts: Iterable[Buffer], digest: hashlib.blake2b) -> None:
        """A file has its name only when all of it is on the disk."""
        temporary = self.folder / f".{name}"
        try:
            with open(temporary, "xb") as file:
                for part in parts:
                    file.write(part)
                    digest.update(part)
                file.flush()
                sync(file.fileno())
            temporary.rename(self.folder / name)
            sync_folder(self.folder)
        except BaseException:
            for left in (temporary, self.folder / name):
                with contextlib.suppress(OSError):
                    left.unlink(missing_ok=True)
            raise

    def _failed(self, error: OSError) -> StorageFailed:
        told = os_failed(error, self.folder)
        if told.is_final:
            self._journal.stop_acknowledging(told)
        return told

    def _damaged(self, owner: bytes, why: str) -> StorageDamaged:
        return StorageDamaged(
            f"What was stored for {owner.hex()} in {self.folder} is no longer what it was: {why}. "
            "It is not used. Look at the disk, and do the work again."
        )


def cell_of(owner: bytes, payload: Buffer) -> bytes:
    """The cell of a payload that is small enough to be stored in it: nothing waits for the disk."""
    digest = hashlib.blake2b(payload, key=_key(owner), digest_size=_DIGEST)
    return b"".join((_HERE, digest.digest(), payload))


def _key(owner: bytes) -> bytes:
    """A key of blake2b has 64 bytes at the most."""
    return owner if len(owner) <= 64 else hashlib.blake2b(owner).digest()


def _file_of(cell: bytes) -> str | None:
    """The name of the file that a cell names, if it is a cell of one."""
    if cell[:1] != _FILE:
        return None
    name = cell[1 + _DIGEST :].decode("ascii", errors="replace")
    return name if _NAME.fullmatch(name) else None
