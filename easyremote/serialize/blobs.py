"""Variables in pieces that are named by their hash: what the node has already is not sent again.

`pack` turns variables into a pickle and its big buffers. A piece of a megabyte or more is a blob
and has a hash. `wire` leaves out the blobs that the other side has, and `unpack` puts them back.
The hash of large memory is computed once, and again only after a write to that memory: the kernel
tells of writes (`pages`). The node keeps the blobs (``node/blob_store.py``).
``tests/serialize/test_blobs.py`` proves it.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from easyremote.serialize.files import File, collected
from easyremote.serialize.pages import pages
from easyremote.serialize.values import Buffer, Dumped, Version, joined, pickle_names, unpickle

__all__ = ["BESIDE_MIN", "BLOB_MIN", "Beside", "Packed", "Wire", "hash_of", "pack", "unpack"]

#: Smaller pieces are sent without a question whether they are there.
BLOB_MIN = 1_000_000
#: A call with a blob asks anyway, so it has blobs of this size and more. In a
#: sweep they are what is the same in many calls: the rows of a fold, the labels.
BESIDE_MIN = 65_536
#: Memory of this size and more is hashed again only after it was written to. Below, asking the
#: kernel gains little, and the first write to each page after that costs more.
WATCHED_MIN = 8_000_000
#: Hashes of memory that are remembered.
REMEMBERED = 512
_CHUNK = 4 << 20
_THREADS = min(4, os.cpu_count() or 1)

#: A hash (empty for a piece that is no blob) and the bytes (None where the other side has them).
#: The bytes are `Beside` on this side and a memoryview on the other.
Piece = tuple[bytes, Any]
#: What travels, in plain types, so that any pickler takes it. The first piece is the pickle.
Wire = list[Piece]


@dataclass
class Packed:
    """Variables, ready to travel."""

    #: The pickle, then its big buffers: views of the values' own memory.
    pieces: list[memoryview]
    #: The files that the other side needs before it unpacks.
    files: list[File] = field(default_factory=list)
    #: Buffers of this size and more are worth asking for; the pickle itself is from `BLOB_MIN` on.
    least: int = BLOB_MIN

    @property
    def size(self) -> int:
        return sum(piece.nbytes for piece in self.pieces)

    @cached_property
    def _hashes(self) -> list[bytes]:
        """The hash of each piece that is worth asking for, empty for the others."""
        return [
            hash_of(piece) if piece.nbytes >= (self.least if number else BLOB_MIN) else b""
            for number, piece in enumerate(self.pieces)
        ]

    @property
    def blobs(self) -> dict[bytes, int]:
        """The hash and size of each piece that is worth asking for."""
        return {hash_: piece.nbytes for hash_, piece in self.by_hash().items()}

    def by_hash(self) -> dict[bytes, memoryview]:
        """The pieces that are worth asking for."""
        return {hash_: p for hash_, p in zip(self._hashes, self.pieces, strict=True) if hash_}

    @cached_property
    def digest(self) -> bytes:
        """The same for the same content."""
        found = hashlib.blake2b(digest_size=16)
        for hash_, piece in zip(self._hashes, self.pieces, strict=True):
            found.update(hash_ or piece)
        return found.digest()

    def wire(self, known: Collection[bytes] = ()) -> Wire:
        """The pieces for a side that has the `known` blobs."""
        return [
            (hash_, None if hash_ in known else Beside(piece))
            for hash_, piece in zip(self._hashes, self.pieces, strict=True)
        ]

    def dumped(self) -> Dumped:
        """The pieces as one payload, of which nothing is left out."""
        data, *buffers = self.pieces
        return joined(data, buffers) if buffers else Dumped([data], data.nbytes)

    def plain_wire(self) -> Wire:
        """The pieces for a side that keeps no blobs: none has a hash."""
        return [(b"", Beside(piece)) for piece in self.pieces]


class Beside:
    """Memory that travels beside the pickle that names it.

    A PickleBuffer exists only while the pickle is made. CPython 3.11 crashes when the garbage
    collector finds a PickleBuffer together with the object that it is a view of.
    """

    __slots__ = ("piece",)

    def __init__(self, piece: memoryview) -> None:
        self.piece = piece

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return take, (pickle.PickleBuffer(self.piece),)


def take(buffer: Any) -> memoryview:
    """Make a piece again. Payloads hold this function's name."""
    return memoryview(buffer)


def pack(variables: Mapping[str, object], *, python: Version | None = None) -> Packed:
    """Turn variables into pieces.

    Raises
    ------
    CannotShip
        A variable can't travel; the message names it.
    """
    with collected() as files:
        data, buffers = pickle_names(variables, python=python)
    pieces = [memoryview(data), *(buffer.cast("B") for buffer in buffers)]
    return Packed(pieces, list(files.values()))


def unpack(wire: Wire, blob: Callable[[bytes, Buffer | None], Buffer] | None = None) -> Any:
    """Put variables together again; raises as `values.load` does.

    Parameters
    ----------
    blob
        Returns the memory of a blob, given its hash and the bytes that came (None: they were not
        sent, because this side has them). Needed only where pieces were left out.
    """
    first, *others = received(wire, blob)
    return unpickle(first, others)


def received(wire: Wire, blob: Callable[[bytes, Buffer | None], Buffer] | None) -> list[Buffer]:
    """The pieces of what came, each in memory of this side; ``blob`` as of `unpack`."""
    return [
        blob(hash_, piece) if hash_ and blob is not None else memoryview(piece)
        for hash_, piece in wire
    ]


_hashes: OrderedDict[tuple[int, int], bytes] = OrderedDict()


def hash_of(piece: memoryview) -> bytes:
    """The hash of some memory. It is remembered until somebody writes to that memory."""
    marks = pages() if piece.nbytes >= WATCHED_MIN else None
    if marks is None:
        return _hash(piece)
    where = address_of(piece), piece.nbytes
    known = _hashes.get(where)
    if known is not None and marks.is_unwritten(*where):
        _hashes.move_to_end(where)
        return known
    is_marked = marks.mark(*where)  # before it is read: later writes count
    found = _hash(piece)
    _hashes.pop(where, None)
    if is_marked:
        _hashes[where] = found
    if len(_hashes) > REMEMBERED:
        _hashes.popitem(last=False)
    return found


def _hash(piece: memoryview) -> bytes:
    """SHA-256 of the chunks' SHA-256, on several threads (hashlib releases the GIL)."""
    chunks = [piece[start : start + _CHUNK] for start in range(0, piece.nbytes, _CHUNK)]
    if len(chunks) < 2 * _THREADS:
        hashes = [hashlib.sha256(chunk).digest() for chunk in chunks]
    else:
        with ThreadPoolExecutor(_THREADS) as pool:
            hashes = list(pool.map(lambda chunk: hashlib.sha256(chunk).digest(), chunks))
    return hashlib.sha256(b"".join(hashes)).digest()


class _PyBuffer(ctypes.Structure):
    """``Py_buffer`` of Python's C API: ctypes itself gives the address of writable memory only."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


def address_of(piece: memoryview) -> int:
    """The address of a buffer in memory."""
    buffer = _PyBuffer()
    api = ctypes.pythonapi
    api.PyObject_GetBuffer(ctypes.py_object(piece), ctypes.byref(buffer), 0)
    address: int = buffer.buf or 0
    api.PyBuffer_Release(ctypes.byref(buffer))
    return address
