"""Keys, how they look and where a user's own are kept; and what a node's id may be.

``er_<kind>_<id>_<secret>_<checksum>``: the checksum tells a typo from a key that was refused,
before anything is sent. ``tests/test_identity.py`` proves it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import secrets
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from easyremote.errors import UsageError

Kind = Literal["client", "node"]


@dataclass(frozen=True, slots=True)
class Key:
    """What admits a client or a node.

    Parameters
    ----------
    kind
        A key of one kind is never accepted as another kind.
    key_id
        Names the key in lists and logs. It is no secret.
    secret
        256 bits, shown once.
    """

    kind: Kind
    key_id: str
    secret: str

    @classmethod
    def generate(cls, kind: Kind) -> Key:
        return cls(kind, secrets.token_hex(6), secrets.token_hex(32))

    @classmethod
    def parse(cls, text: str) -> Key:
        """Read a key as people paste it.

        Raises
        ------
        UsageError
            It is no key, or one with a typo.
        """
        parts = text.strip().split("_")
        if len(parts) != 5 or parts[0] != "er" or parts[1] not in get_args(Kind):
            raise UsageError(
                "That is not an EasyRemote key. One looks like er_client_..., and is printed by "
                "'easyremote gateway' at its first start, or by 'easyremote key create'."
            )
        kind, key_id, secret, checksum = parts[1:]
        key = cls(kind, key_id, secret)  # type: ignore[arg-type]  # checked above
        if key._checksum() != checksum:
            raise UsageError(f"The key {key_id} has a typo: copy the whole of it once more.")
        return key

    def __str__(self) -> str:
        return f"er_{self.kind}_{self.key_id}_{self.secret}_{self._checksum()}"

    def __repr__(self) -> str:
        return f"<{self.kind} key {self.key_id}>"  # keys end up in logs by their repr

    def digest(self) -> str:
        """The hash of the secret; only the hash is stored."""
        return hashlib.sha256(self.secret.encode()).hexdigest()

    def _checksum(self) -> str:
        return f"{zlib.crc32(f'{self.kind}_{self.key_id}_{self.secret}'.encode()):08x}"


def write_private(path: Path, data: dict[str, Any]) -> None:
    """Write a small JSON file that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(data, file, indent=2)
    temporary.replace(path)


def read_private(path: Path) -> dict[str, Any]:
    """Read a file that `write_private` wrote; empty if there is none.

    Raises
    ------
    UsageError
        The file is damaged.
    """
    try:
        stamp = path.stat()
        return _read(path, stamp.st_ino, stamp.st_mtime_ns, stamp.st_size).copy()
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UsageError(f"{path} is damaged ({error}); delete it and log in again.") from None


@functools.lru_cache(maxsize=8)
def _read(path: Path, *stamp: int) -> dict[str, Any]:
    """Read the file, or take it from the cache: each cell asks for it, and it seldom changes."""
    data: dict[str, Any] = json.loads(path.read_text())
    return data


def is_node_id(name: str) -> bool:
    """Whether a name can be a node's id: typed after ``%%remote``, and part of a URL."""
    bad = any(character.isspace() or character in "/,\\" for character in name)
    return 0 < len(name) <= 200 and name.isprintable() and not bad
