"""Plain values as msgpack, whatever text they hold.

UTF-8 has no form for half a surrogate, and Python makes such text: the name of a file that is not
UTF-8, ``'\\udce9'`` written out. Jupyter shows such a character as U+FFFD, and so does what is
packed here. ``tests/test_packing.py`` proves it.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

__all__ = ["UNREADABLE", "pack", "sendable"]

#: What a decoder raises; msgspec has no error of its own for text that is not UTF-8.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)

_encode = msgspec.msgpack.Encoder().encode
_HALF = re.compile("[\ud800-\udfff]")


def pack(value: object) -> bytes:
    """Encode a value as msgpack; text that has no form in UTF-8 is made sendable."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return _encode(sendable(msgspec.to_builtins(value, builtin_types=(bytes, memoryview))))


def sendable(value: Any) -> Any:
    """The same value, with U+FFFD in the place of each half of a surrogate."""
    match value:
        case str():
            return _HALF.sub("\ufffd", value)
        case dict():
            return {sendable(key): sendable(each) for key, each in value.items()}
        case list() | tuple():
            return [sendable(each) for each in value]
    return value
