"""What a process has begun and done, in memory that its supervisor reads, also after its death.

A supervisor sends calls ahead to a process that still runs another one. The ledger tells for each
of them, at any moment, whether the process has begun it, and how it ended. So the supervisor can
take back what has not begun, knows which call an interrupt would meet, and loses no outcome and
starts no call twice when the process dies. Nobody waits for the other: each word has one writer.

Each call has a slot, by its number. A slot is used again `SLOTS` numbers later. By then the process
must have come upon the call that had it, also upon one that was withdrawn: the supervisor sees to
that (`Process.has_slot`). ``tests/node/test_ledger.py`` proves it.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
import threading

__all__ = ["SLOTS", "Ledger", "memory_file"]

#: Calls of one process that can be told apart.
SLOTS = 128
#: Bytes of a slot: five words, then the outcome. A larger outcome is not kept here.
SLOT_SIZE = 1024
_WORDS = SLOT_SIZE // 8
_BEGUN, _DONE, _WITHDRAWN, _INTERRUPTED, _SIZE, _OUTCOME = range(6)
_OUTCOME_MAX = SLOT_SIZE - 8 * _OUTCOME


class Ledger:
    """The ledger of one process. The process and its supervisor each have one of the same file.

    Parameters
    ----------
    file
        Descriptor of a file that `memory_file` made; it may be closed afterwards.
    """

    def __init__(self, file: int) -> None:
        self._memory = mmap.mmap(file, SLOTS * SLOT_SIZE)
        self._bytes = memoryview(self._memory)
        self._words = self._bytes.cast("Q")
        #: Taking a lock keeps the processor from reading a word before it has written another.
        self._fence = threading.Lock()

    def close(self) -> None:
        """Let go of the memory."""
        self._words.release()
        self._bytes.release()
        self._memory.close()

    # -- in the process ----------------------------------------------------------------------------

    def begin(self, number: int) -> bool:
        """A call is to begin; False where it was withdrawn: it must not run."""
        slot = self._slot(number)
        self._words[slot + _BEGUN] = number
        with self._fence:
            return self._words[slot + _WITHDRAWN] != number

    def holds(self, outcome: bytes) -> bool:
        """Whether an outcome is short enough to be kept here."""
        return len(outcome) <= _OUTCOME_MAX

    def end(self, number: int, outcome: bytes = b"") -> None:
        """A call has ended like this; with nothing, where its supervisor has heard of it."""
        slot = self._slot(number)
        start = 8 * (slot + _OUTCOME)
        self._bytes[start : start + len(outcome)] = outcome
        self._words[slot + _SIZE] = len(outcome)
        self._words[slot + _DONE] = number  # last: a death in between leaves no half outcome

    def is_interrupted(self, number: int) -> bool:
        """Whether the supervisor has interrupted this call."""
        return self._words[self._slot(number) + _INTERRUPTED] == number

    # -- in the supervisor -------------------------------------------------------------------------

    def withdraw(self, number: int) -> bool:
        """Take a call back; whether it has not begun, and never will."""
        slot = self._slot(number)
        self._words[slot + _WITHDRAWN] = number
        with self._fence:
            return self._words[slot + _BEGUN] != number

    def interrupt(self, number: int) -> None:
        """Note that the interrupt which comes is meant for this call."""
        self._words[self._slot(number) + _INTERRUPTED] = number

    def has_begun(self, number: int) -> bool:
        """Whether a call has begun; it may be over."""
        return self._words[self._slot(number) + _BEGUN] == number

    def outcome(self, number: int) -> bytes:
        """How a call ended; nothing where it has not, or where that is not kept here."""
        slot = self._slot(number)
        if self._words[slot + _DONE] != number:
            return b""
        start = 8 * (slot + _OUTCOME)
        return bytes(self._bytes[start : start + self._words[slot + _SIZE]])

    def runs(self, number: int) -> bool:
        """Whether a call has begun and is not over."""
        return self.has_begun(number) and self._words[self._slot(number) + _DONE] != number

    @staticmethod
    def _slot(number: int) -> int:
        return number % SLOTS * _WORDS


def memory_file() -> int:
    """The descriptor of a file for a ledger, which is in memory where the system has such files."""
    if sys.platform == "linux":
        file = os.memfd_create("easyremote-ledger")
    else:
        with tempfile.TemporaryFile() as opened:
            file = os.dup(opened.fileno())
    os.truncate(file, SLOTS * SLOT_SIZE)
    return file


def memory_file_of(data: bytes) -> int:
    """The descriptor of such a file with some data, for a process that is to read it."""
    file = memory_file()
    os.truncate(file, 0)
    with open(file, "wb", closefd=False) as opened:
        opened.write(data)
    os.lseek(file, 0, os.SEEK_SET)
    return file
