"""Asks the kernel which memory was not written to since it was marked.

Linux 6.7 and later can mark pages (userfaultfd in its asynchronous write-protect mode) and tell
which of them were written to since (``PAGEMAP_SCAN``), whoever wrote: Python, C, another thread, a
system call, or another process through ptrace. A page that was given back to the kernel, moved, or
is backed by a file or by shared memory counts as written to. So "unwritten" proves that the bytes
are the same. Where the kernel is older, or a container forbids the calls, no memory counts as
unwritten. One kind of write is not seen: that of a device which has the memory's address (a GPU or
a network card with pinned memory). ``tests/serialize/test_pages.py`` proves it.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from functools import cache

__all__ = ["Pages", "pages"]

_SYSCALL = {"x86_64": 323, "aarch64": 282}
#: Limits userfaultfd to faults in user space; so it needs no privilege.
_USER_MODE_ONLY = 1
_API = 0xAA
_WP_UNPOPULATED, _WP_ASYNC = 1 << 13, 1 << 15
_MODE_WP = 1 << 1

# PAGEMAP_SCAN: its flags, and the categories of pages.
_WP_MATCHING, _CHECK_WPASYNC = 1, 2
_WRITTEN, _FILE, _PRESENT, _SWAPPED = 2, 4, 8, 16
_SCAN_ARGUMENT = struct.Struct("<12Q")


def _request(direction: int, kind: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | kind << 8 | number


_UFFDIO_API = _request(3, _API, 0x3F, 24)
_UFFDIO_REGISTER = _request(3, _API, 0x00, 32)
_PAGEMAP_SCAN = _request(3, ord("f"), 16, _SCAN_ARGUMENT.size)


class Pages:
    """The kernel's marks on this process's memory.

    Raises
    ------
    OSError
        The kernel is too old, or the process may not ask it.
    """

    def __init__(self) -> None:
        if sys.platform != "linux" or platform.machine() not in _SYSCALL:
            raise OSError("the numbers of the system calls are not known for this system")
        self._pid = os.getpid()
        self._size = os.sysconf("SC_PAGESIZE")
        libc = ctypes.CDLL(None, use_errno=True)
        flags = os.O_CLOEXEC | os.O_NONBLOCK | _USER_MODE_ONLY
        self._faults = libc.syscall(_SYSCALL[platform.machine()], flags)
        if self._faults < 0:
            raise OSError(ctypes.get_errno(), "userfaultfd")
        self._map = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        _ioctl(self._faults, _UFFDIO_API, struct.pack("<3Q", _API, _WP_ASYNC | _WP_UNPOPULATED, 0))
        self._region = (ctypes.c_uint64 * 3)()

    def mark(self, address: int, size: int) -> bool:
        """Notice writes to this memory from now on; False where the kernel refuses."""
        if os.getpid() != self._pid:
            return (
                False  # a forked process has its parent's marks, but may not set marks of its own
            )
        start, end = self._span(address, size)
        try:
            _ioctl(
                self._faults, _UFFDIO_REGISTER, struct.pack("<4Q", start, end - start, _MODE_WP, 0)
            )
            self._scan(start, end, flags=_WP_MATCHING, mask=_WRITTEN)
        except OSError:
            return False
        return True

    def is_unwritten(self, address: int, size: int) -> bool:
        """Whether nothing was written to this memory since it was marked."""
        if os.getpid() != self._pid:
            return False
        start, end = self._span(address, size)
        gone = _PRESENT | _SWAPPED
        try:
            changed = self._scan(start, end, any_of=_WRITTEN | _FILE, find=True)
            # It was given back to the kernel, and reads as zeros now.
            return not changed and not self._scan(start, end, inverted=gone, mask=gone, find=True)
        except OSError:  # not marked: other memory lies at this address now
            return False

    def _span(self, address: int, size: int) -> tuple[int, int]:
        start = address - address % self._size
        end = address + size
        return start, end + -end % self._size

    def _scan(
        self,
        start: int,
        end: int,
        *,
        flags: int = 0,
        inverted: int = 0,
        mask: int = 0,
        any_of: int = 0,
        find: bool = False,
    ) -> int:
        """Scan a range of pages; with `find`, whether there is a region that matches (0 or 1)."""
        region = ctypes.addressof(self._region) if find else 0
        argument = _SCAN_ARGUMENT.pack(
            *(_SCAN_ARGUMENT.size, flags | _CHECK_WPASYNC, start, end, 0, region),
            *(int(find), int(find), inverted, mask, any_of, _WRITTEN if find else 0),
        )
        return _ioctl(self._map, _PAGEMAP_SCAN, argument)


def _ioctl(descriptor: int, request: int, argument: bytes) -> int:
    import fcntl  # not on every system

    return int(fcntl.ioctl(descriptor, request, bytearray(argument)))


@cache
def _pages_of(pid: int) -> Pages | None:
    try:
        return Pages()
    except OSError:
        return None


def pages() -> Pages | None:
    """The `Pages` of this process; None where the kernel does not offer this."""
    return _pages_of(os.getpid())
