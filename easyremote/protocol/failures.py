"""An error as the payload of FINISHED.

``tests/protocol/test_caller.py`` proves it.
"""

from __future__ import annotations

import msgspec

from easyremote.packing import pack
from easyremote.protocol.streams import Buffer

__all__ = ["pack_error", "unpack_error"]


def pack_error(code: str, message: str, /, **details: object) -> bytes:
    """An error as the payload of FINISHED."""
    return pack((code, message, details))


def unpack_error(body: Buffer) -> tuple[str, str, dict[str, object]]:
    """What `pack_error` packed: an error's code, message and details."""
    return msgspec.msgpack.decode(body, type=tuple[str, str, dict[str, object]])
