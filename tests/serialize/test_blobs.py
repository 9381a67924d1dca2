"""Variables in pieces: a blob is known by its content, and hashed again only when it changed."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from easyremote.errors import CannotShip
from easyremote.serialize import blobs
from easyremote.serialize.blobs import Packed, Wire, hash_of, pack, unpack
from easyremote.serialize.pages import pages
from easyremote.serialize.values import Buffer, dump, load

#: Above 32 MiB malloc always takes memory of its own from the kernel: nothing else is on its pages.
LARGE = 40_000_000


def travelled(wire: Wire) -> Wire:
    """As it is on the other side."""
    arrived: Wire = load(b"".join(dump(wire).parts))
    return arrived


def test_variables_arrive_as_they_were() -> None:
    shared = [1]
    sent = {"a": np.arange(LARGE // 8), "b": shared, "c": [shared], "d": bytes(2_000_000)}
    got = unpack(travelled(pack(sent).wire()))
    assert (got["a"] == sent["a"]).all()
    assert got["c"][0] is got["b"]
    assert got["d"] == sent["d"]
    got["a"][0] = 5


def test_what_the_other_side_has_is_left_out() -> None:
    array = np.random.default_rng(1).random(LARGE // 8)
    packed = pack({"a": array, "small": np.zeros(1000)})
    (hash_,) = packed.blobs
    assert packed.blobs[hash_] == LARGE
    wire = packed.wire(known=packed.blobs)
    assert dump(wire).size < 20_000
    asked: list[tuple[bytes, Buffer | None]] = []

    def blob(hash_: bytes, piece: Buffer | None) -> Buffer:
        asked.append((hash_, piece))
        return bytearray(array)

    assert (unpack(travelled(wire), blob)["a"] == array).all()
    assert asked == [(hash_, None)]


def test_nothing_is_packed_too() -> None:
    nothing = Packed([])
    assert (nothing.size, nothing.wire(), nothing.blobs) == (0, [], {})
    assert nothing.digest == Packed([]).digest


def test_a_large_pickle_is_a_blob_itself() -> None:
    packed = pack({"words": [str(i) for i in range(300_000)]})
    assert list(packed.blobs.values()) == [packed.size]


@pytest.mark.parametrize("size", [1_000_000, LARGE])
def test_equal_content_has_one_hash_and_other_content_another(size: int) -> None:
    one, other = np.random.default_rng(2).bytes(size), bytearray(size)
    other[:] = one
    assert hash_of(memoryview(one)) == hash_of(memoryview(other))
    other[size // 2] ^= 1
    assert hash_of(memoryview(one)) != hash_of(memoryview(other))


@pytest.mark.parametrize("value", [np.ones(LARGE // 8), np.ones(1000), [1, 2], {"k": np.ones(9)}])
def test_a_change_in_place_changes_the_digest(value: object) -> None:
    before = pack({"v": value}).digest
    assert pack({"v": value}).digest == before
    inner = value["k"] if isinstance(value, dict) else value
    inner[-1] = 5  # type: ignore[index]
    assert pack({"v": value}).digest != before


def test_memory_that_was_not_written_to_is_not_hashed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if pages() is None:
        pytest.skip("this kernel does not tell which pages were written to")
    hashed: list[int] = []
    hash_piece = blobs._hash

    def noting(piece: memoryview) -> bytes:
        hashed.append(piece.nbytes)
        return hash_piece(piece)

    monkeypatch.setattr(blobs, "_hash", noting)
    for _ in range(10):  # the kernel may move pages at any moment; they count as written to then
        array = np.ones(LARGE // 8)
        found = hash_of(memoryview(array).cast("B"))
        hashed.clear()
        assert hash_of(memoryview(array).cast("B")) == found
        assert hash_of(memoryview(array[:]).cast("B")) == found  # another view of the same memory
        if not hashed:
            break
    assert not hashed
    array[7] = 8
    assert hash_of(memoryview(array).cast("B")) != found


def test_without_help_of_the_kernel_everything_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "pages", lambda: None)
    array = np.ones(LARGE // 8)
    found = hash_of(memoryview(array).cast("B"))
    array[7] = 8
    assert hash_of(memoryview(array).cast("B")) != found


def test_freed_memory_that_is_used_again_is_hashed_again() -> None:
    for value in range(5):
        array = np.full(LARGE // 8, value)
        assert hash_of(memoryview(array).cast("B")) == blobs._hash(memoryview(array).cast("B"))
        del array


def test_what_can_not_travel_is_named() -> None:
    with pytest.raises(CannotShip, match="variable 'f' can't travel"):
        pack({"a": 1, "f": open("/dev/null")})


def test_pieces_travel_without_a_copy() -> None:
    array = np.ones(LARGE // 8)
    largest = max(dump(pack({"a": array}).wire()).parts, key=len)
    assert np.shares_memory(np.frombuffer(largest), array)


CYCLES = """
import gc
import numpy as np
from easyremote.serialize.blobs import pack, unpack
from easyremote.serialize.values import dump, load

for i in range(500):
    array = np.arange(20_000.0)
    packed = pack({"a": array, "b": bytes(50_000)})
    request = load(bytearray().join(dump({"packed": packed.wire()}).parts))
    request["self"] = request
    got = unpack(request["packed"])
    cycle = [packed, packed.wire(), dump(packed.wire())]
    cycle.append(cycle)
    del packed, request, cycle
    gc.collect()
    assert got["a"].sum() == array.sum()
"""


def test_pieces_in_garbage_are_no_danger() -> None:
    """CPython can crash there; see `_plain_view`."""
    subprocess.run([sys.executable, "-c", CYCLES], check=True, timeout=60)
