"""A process that has a connection keeps the memory of its messages for the next ones."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from tests.processes import LIMIT

#: Messages of 6 MiB, as of a large payload that is under way, twice.
PROGRAM = """
import resource
from easyremote.protocol.link import Link
from easyremote.transport.connection import Connection

def pass_messages():
    messages = [b"x" * 65_536 for _ in range(96)]

if {connects}:
    Connection(Link(0.0), channel=None, receive=print)
pass_messages()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
pass_messages()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(*, connects: bool) -> int:
    """Pages that the kernel gives a process for its second lot of messages."""
    command = [sys.executable, "-c", PROGRAM.format(connects=connects)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that gives it back")
def test_the_memory_of_messages_is_not_asked_for_anew() -> None:
    assert page_faults(connects=True) * 10 < page_faults(connects=False)
