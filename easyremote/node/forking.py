"""What a node and its fork server say to each other, over a pair of sockets.

A fork server is a process that has imported what every process for code needs, and forks itself for
each of them: that takes a few milliseconds instead of half a second. All messages have one size.
What a new process has to know is in a file in memory, whose descriptor goes with the message
`Kind.START`, before the descriptors that the process gets.
``tests/node/processes/test_fork_server.py`` proves it with real processes.
"""

from __future__ import annotations

import enum
import signal
import struct
from typing import NamedTuple

import msgspec

__all__ = ["DESCRIPTORS_MAX", "INTERRUPT", "SIZE", "Kind", "Said", "Start"]

#: What a process for code gets where its supervisor interrupts a call. It raises SIGINT there if
#: that call still runs, and not if the next one has begun meanwhile.
INTERRUPT: int = getattr(signal, "SIGRTMIN", getattr(signal, "SIGUSR1", signal.SIGINT))

_LAYOUT = struct.Struct("!Bqq")
#: Bytes of a message.
SIZE = _LAYOUT.size
#: How many descriptors a process may get, with that of its `Start`.
DESCRIPTORS_MAX = 8


class Kind(enum.IntEnum):
    """Kinds of messages, with what their two numbers are."""

    #: To the fork server: start a process; how many descriptors go with the message.
    START = 1
    #: To the fork server: signal a process; its id, the number of the signal. `INTERRUPT` goes to
    #: the process alone, any other one to its group.
    SIGNAL = 2
    #: A process was started; its id.
    STARTED = 3
    #: No process could be started; the error number.
    NOT_STARTED = 4
    #: A process has ended; its id, its exit code (negative: the signal that ended it).
    ENDED = 5


class Said(NamedTuple):
    """One message."""

    kind: Kind
    first: int
    second: int = 0

    def packed(self) -> bytes:
        """The message as it is sent."""
        return _LAYOUT.pack(*self)

    @classmethod
    def unpacked(cls, data: bytes) -> Said:
        """The message that was received as these `SIZE` bytes."""
        kind, first, second = _LAYOUT.unpack(data)
        return cls(Kind(kind), first, second)


class Start(msgspec.Struct, frozen=True):
    """What a process is to be.

    Parameters
    ----------
    arguments
        What stands behind its descriptors on its command line.
    environment
        Its whole environment. It is in bytes, because it may hold what is no UTF-8.
    folder
        The working directory it starts in; empty for that of the fork server.
    """

    arguments: list[str]
    environment: list[tuple[bytes, bytes]]
    folder: bytes
