"""`Payloads`: what was stored comes back whole, or is said to be damaged."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from easyremote.errors import StorageDamaged, StorageFailed, StorageFull
from easyremote.journal import payloads as module
from easyremote.journal.journal import Journal
from easyremote.journal.payloads import INLINE, Payloads
from tests.processes import LIMIT

OWNER = b"a call"
SIZES = [0, 1, INLINE, INLINE + 1, 3_000_000]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(tmp_path, "calls", "CREATE TABLE IF NOT EXISTS t (x)")
    yield opened
    opened.close()


@pytest.fixture
def payloads(opened: Journal) -> Payloads:
    return Payloads(opened)


def files(payloads: Payloads) -> list[Path]:
    return sorted(payloads.folder.iterdir())


@pytest.mark.parametrize("size", SIZES)
def test_a_payload_comes_back_and_a_large_one_is_a_file(payloads: Payloads, size: int) -> None:
    data = os.urandom(size)
    cell = payloads.put(OWNER, [data[: size // 2], memoryview(data)[size // 2 :]])
    assert payloads.get(OWNER, cell) == data
    assert len(files(payloads)) == (size > INLINE)
    assert len(cell) < 100 or size <= INLINE
    payloads.remove(cell)
    assert files(payloads) == []


def test_parts_that_are_not_there_yet_are_written_as_they_come(payloads: Payloads) -> None:
    parts = (bytes([number]) * INLINE for number in range(4))
    cell = payloads.put(OWNER, parts, size=4 * INLINE)
    assert payloads.get(OWNER, cell)[-1] == 3


@pytest.mark.parametrize("size", SIZES)
def test_a_cell_of_somebody_else_is_not_taken(payloads: Payloads, size: int) -> None:
    cell = payloads.put(OWNER, [bytes(size)])
    with pytest.raises(StorageDamaged, match="checksum is wrong"):
        payloads.get(b"b call", cell)


@pytest.mark.parametrize("size", SIZES)
def test_any_flipped_bit_is_found(payloads: Payloads, size: int) -> None:
    cell = payloads.put(OWNER, [bytes(size)])
    for bit in range(min(len(cell), 60) * 8):
        flipped = bytearray(cell)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StorageDamaged):
            payloads.get(OWNER, bytes(flipped))
    for file in files(payloads):
        content = bytearray(file.read_bytes())
        content[size // 2] ^= 4
        file.write_bytes(content)
        with pytest.raises(StorageDamaged, match="checksum is wrong"):
            payloads.get(OWNER, cell)
        file.write_bytes(content[:-1])
        with pytest.raises(StorageDamaged, match="checksum is wrong"):
            payloads.get(OWNER, cell)
        file.unlink()
        with pytest.raises(StorageDamaged, match="its file is missing"):
            payloads.get(OWNER, cell)


def test_what_no_row_names_is_removed_when_it_is_opened(
    opened: Journal, payloads: Payloads
) -> None:
    kept = payloads.put(OWNER, [bytes(INLINE + 1)])
    payloads.put(OWNER, [bytes(INLINE + 2)])
    (payloads.folder / ".half").write_bytes(b"x")
    again = Payloads(opened, [kept, payloads.put(OWNER, [b"small"])])
    assert len(files(again)) == 1
    assert again.get(OWNER, kept) == bytes(INLINE + 1)


@pytest.mark.parametrize(
    ("number", "error", "is_final"),
    [(errno.ENOSPC, StorageFull, False), (errno.EDQUOT, StorageFull, False),
     (errno.EIO, StorageFailed, True), (errno.EACCES, StorageFailed, False)],
)  # fmt: skip
@pytest.mark.parametrize("where", ["sync", "sync_folder"])
def test_a_disk_that_fails_leaves_no_file_and_stops_the_journal_if_it_must(
    opened: Journal, payloads: Payloads, monkeypatch: pytest.MonkeyPatch,
    number: int, error: type[StorageFailed], is_final: bool, where: str,
) -> None:  # fmt: skip
    def fail(file: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(module, where, fail)
        with pytest.raises(error) as caught:
            payloads.put(OWNER, [bytes(INLINE + 1)])
    assert caught.value.is_final is is_final
    assert files(payloads) == []
    later = opened.write("INSERT INTO t VALUES (1)").exception(LIMIT)
    assert isinstance(later, StorageFailed) is is_final
    if is_final:
        with pytest.raises(StorageFailed, match="The disk failed"):
            payloads.put(OWNER, [b"small"])
