"""A gateway keeps the memory of its messages for the next ones."""

from __future__ import annotations

import mmap
import platform
from pathlib import Path

import numpy as np
import pytest

from easyremote.client.client import Client
from tests.processes import Gateway

ARRAY = np.arange(5_000_000.0)


def page_faults(pid: int) -> int:
    """How often the kernel has given a process a page that it had not."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[7])  # minflt


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that gives it back")
def test_the_memory_of_messages_is_not_asked_for_anew(client: Client, gateway: Gateway) -> None:
    client.execute("echo", ARRAY)
    before = page_faults(gateway.process.pid)
    for _ in range(5):
        client.execute("echo", ARRAY)
    pages = 5 * 2 * ARRAY.nbytes // mmap.PAGESIZE
    assert page_faults(gateway.process.pid) - before < pages / 100
