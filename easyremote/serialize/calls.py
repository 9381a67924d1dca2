"""Calls of shipped functions <-> a payload: the function by its content, then its arguments.

A function is packed once, and its bytes are used again for as long as nothing that it reaches has
changed (`reach`). A process opens them once, by their digest, or for each call where a call can
change what the function reaches. A function that can change unseen, or that may share something
with its arguments, is packed together with them, for each call.
Large pieces are blobs (`blobs`), which a node keeps.
``tests/serialize/test_calls.py`` proves it.
"""

from __future__ import annotations

import hashlib
import pickle
import threading
import types
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from easyremote.errors import CannotShip, ProtocolError
from easyremote.serialize.blobs import BESIDE_MIN, BLOB_MIN, Packed, received
from easyremote.serialize.files import collected
from easyremote.serialize.reach import Reach, reach
from easyremote.serialize.values import (
    Buffer,
    Version,
    dump,
    is_atom,
    pickle_call,
    split,
    unpickle,
)

__all__ = ["Functions", "pack_call"]

#: Functions that are remembered, on both sides.
REMEMBERED = 256
#: A function whose bytes are more is packed for each call: what is remembered takes memory.
KEPT_MAX = 8192
#: What the pickle of a function of the user's names.
_OF_FUNCTIONS = b"easyremote.serialize.functions"


class _Kept(NamedTuple):
    """A function that was packed. The digest is empty where it is to be opened for each call."""

    digest: bytes
    body: bytes
    reach: Reach


_kept: OrderedDict[tuple[types.FunctionType, Version | None], _Kept] = OrderedDict()
_keeping = threading.Lock()


def pack_call(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    python: Version | None,
) -> Packed:
    """Turn a function with its arguments into pieces, for `Functions.open`.

    Raises
    ------
    CannotShip
        The function or an argument can't travel; the message names it.
    """
    kept = _packed_before(function, python) if type(function) is types.FunctionType else None
    if kept is not None and is_atom(args) and all(map(is_atom, kwargs.values())):
        return _packed(kept.digest, kept.body, pickle.dumps((args, kwargs), 5), [], {})
    with collected() as files:
        if kept is not None and kept.reach.is_fixed:
            inner, buffers = pickle_call(args, kwargs, function=function, python=python)
            if _OF_FUNCTIONS not in inner:
                return _packed(kept.digest, kept.body, inner, buffers, files)
        files.clear()
        try:
            inner, buffers = pickle_call((function, args, kwargs), {}, python=python)
        except CannotShip:
            dump(function, python=python)  # which of the two it was, which argument
            pickle_call(args, kwargs, function=function, python=python)
            raise
        return _packed(b"", b"", inner, buffers, files)


def _packed(
    digest: bytes, body: bytes, inner: bytes, buffers: list[memoryview], files: dict[bytes, Any]
) -> Packed:
    fixed = tuple(number for number, buffer in enumerate(buffers) if buffer.readonly)
    envelope = pickle.dumps((digest, body, inner, fixed), 5)
    asks = any(buffer.nbytes >= BLOB_MIN for buffer in buffers)
    least = BESIDE_MIN if asks else BLOB_MIN
    return Packed([memoryview(envelope), *buffers], list(files.values()), least)


def _packed_before(function: types.FunctionType, python: Version | None) -> _Kept | None:
    """The bytes of a function, made now if they are not what it is any more; None if not kept."""
    key = function, python
    kept = _kept.get(key)
    if kept is not None and kept.reach.is_unchanged():
        return kept
    reached = reach(function)  # before it is packed: later changes count
    if reached is None:
        return None
    dumped = dump(function, python=python)
    if dumped.size > KEPT_MAX:
        return None
    body = b"".join(dumped.parts)
    kept = _Kept(hashlib.sha256(body).digest() if reached.is_fixed else b"", body, reached)
    with _keeping:
        _kept[key] = kept
        _kept.move_to_end(key)
        if len(_kept) > REMEMBERED:
            _kept.popitem(last=False)
    return kept


class Functions:
    """The functions that came to this process, by their content."""

    def __init__(self) -> None:
        self._made: OrderedDict[bytes, Callable[..., Any]] = OrderedDict()

    def open(
        self, data: Buffer, blob: Callable[[bytes, Buffer | None], Buffer]
    ) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        """The function of a payload, and its arguments; raises as `values.load` does.

        Parameters
        ----------
        blob
            As of `blobs.unpack`.
        """
        body, buffers = split(data)
        request = unpickle(body, buffers)
        if type(request) is list:
            first, *buffers = received(request, blob)
            request = unpickle(first, [])
        match request:
            case (bytes() as digest, bytes() as function, bytes() as inner, tuple() as fixed):
                for number in fixed:  # of a blob that is mapped, everybody could write
                    buffers[number] = memoryview(buffers[number]).toreadonly()
            case _:
                raise ProtocolError("A payload doesn't hold a call; the peer is broken.")
        args, kwargs = unpickle(inner, buffers)
        if not function:  # it is among the arguments
            made, args, kwargs = args
        elif digest:
            made = self._function(digest, function)
        else:
            made = unpickle(*split(function))
        return made, args, kwargs

    def _function(self, digest: bytes, body: bytes) -> Callable[..., Any]:
        made = self._made.get(digest)
        if made is None:
            made = self._made[digest] = unpickle(*split(body))
            if len(self._made) > REMEMBERED:
                self._made.popitem(last=False)
        return made
