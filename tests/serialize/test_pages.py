"""Writes to memory that was marked are noticed, whoever writes; nothing else counts as one."""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from easyremote.serialize.pages import Pages, pages

SIZE = 64_000_000


@pytest.fixture
def marks() -> Pages:
    found = pages()
    if found is None:
        pytest.skip("this kernel does not tell which pages were written to")
    return found


@pytest.fixture
def array() -> np.ndarray:
    return np.ones(SIZE // 8)


def where(array: np.ndarray) -> tuple[int, int]:
    return array.__array_interface__["data"][0], array.nbytes


def by_element(array: np.ndarray) -> None:
    array[array.size // 2] = 2


def by_whole(array: np.ndarray) -> None:
    array += 1


def with_what_was_there(array: np.ndarray) -> None:
    array[0] = array[0]


def by_a_view(array: np.ndarray) -> None:
    array[10:20][3:4] = 5


def by_a_system_call(array: np.ndarray) -> None:
    with open("/dev/zero", "rb") as file:
        file.readinto(memoryview(array)[1000:1001])


def by_a_thread(array: np.ndarray) -> None:
    thread = threading.Thread(target=by_element, args=(array,))
    thread.start()
    thread.join()


def by_c(array: np.ndarray) -> None:
    ctypes.memset(where(array)[0] + array.nbytes - 1, 1, 1)


def after_a_fork(array: np.ndarray) -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    by_element(array)


def by_giving_it_back(array: np.ndarray) -> None:
    start = where(array)[0] + mmap.PAGESIZE
    start -= start % mmap.PAGESIZE
    advise = ctypes.CDLL(None).madvise
    assert advise(ctypes.c_void_p(start), ctypes.c_size_t(mmap.PAGESIZE), 4) == 0


def by_giving_it_back_and_reading(array: np.ndarray) -> None:
    by_giving_it_back(array)
    assert array.sum() < array.size


@pytest.mark.parametrize(
    "write",
    [
        by_element,
        by_whole,
        with_what_was_there,
        by_a_view,
        by_a_system_call,
        by_a_thread,
        by_c,
        after_a_fork,
        by_giving_it_back,
        by_giving_it_back_and_reading,
    ],
)
def test_a_write_is_noticed(
    marks: Pages, array: np.ndarray, write: Callable[[np.ndarray], None]
) -> None:
    assert marks.mark(*where(array))
    assert marks.is_unwritten(*where(array))
    write(array)
    assert not marks.is_unwritten(*where(array))
    assert marks.mark(*where(array))
    assert marks.is_unwritten(*where(array))


def test_reading_is_no_write(marks: Pages, array: np.ndarray) -> None:
    assert marks.mark(*where(array))
    assert array.sum() == array.size
    assert bytes(memoryview(array)[:10])
    assert marks.is_unwritten(*where(array))


def test_a_write_beside_it_is_none(marks: Pages, array: np.ndarray) -> None:
    address, size = where(array)
    assert marks.mark(address, size // 2)
    array[-1] = 0
    assert marks.is_unwritten(address, size // 2)


def test_a_child_writes_to_its_own_copy(marks: Pages, array: np.ndarray) -> None:
    assert marks.mark(*where(array))
    child = os.fork()
    if not child:
        array[:] = 7
        os._exit(0)
    os.waitpid(child, 0)
    assert marks.is_unwritten(*where(array))


def test_a_child_trusts_none_of_its_parents_marks(marks: Pages, array: np.ndarray) -> None:
    assert marks.mark(*where(array))
    child = os.fork()
    if not child:
        os._exit(marks.is_unwritten(*where(array)) or marks.mark(*where(array)))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_memory_that_others_can_change_is_never_unwritten(marks: Pages, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    for array in (np.memmap(path, mode="r"), np.memmap(path, mode="r+"), np.memmap(path, mode="c")):
        assert array.sum() == 0
        assert not (marks.mark(*where(array)) and marks.is_unwritten(*where(array)))
    shared = np.frombuffer(mmap.mmap(-1, SIZE), np.uint8)
    assert shared.sum() == 0
    assert not (marks.mark(*where(shared)) and marks.is_unwritten(*where(shared)))


def test_other_memory_at_the_same_place_is_not_unwritten(marks: Pages) -> None:
    first = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    address = ctypes.addressof(ctypes.c_char.from_buffer(first))
    first[:] = bytes(SIZE)
    assert marks.mark(address, SIZE)
    assert marks.is_unwritten(address, SIZE)
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x10  # in the same place
    libc.mmap(ctypes.c_void_p(address), ctypes.c_size_t(SIZE), 3, flags, -1, ctypes.c_long(0))
    assert first[0] == 0
    assert not marks.is_unwritten(address, SIZE)
