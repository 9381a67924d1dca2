"""How fast a kernel may publish: Jupyter Server drops what comes faster than its limits. Pure.

Its limits are 1000 messages and 1 MB a second, over three seconds
(``iopub_msg_rate_limit``, ``iopub_data_rate_limit``); we stay below both, with room for what the
kernel says by itself. ``tests/jupyter_extension/output/test_pace.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["PIECE", "Pace", "pieces"]

MESSAGES_PER_SECOND = 600.0
BYTES_PER_SECOND = 700_000.0
#: How much may be sent at once after a quiet time, in seconds of the rates.
BURST = 1.0
#: Characters of one message of a stream.
PIECE = 50_000


class Pace:
    """Two allowances that fill with time: messages, and bytes."""

    def __init__(self) -> None:
        self._messages = MESSAGES_PER_SECOND * BURST
        self._bytes = BYTES_PER_SECOND * BURST
        self._last = 0.0

    def spend(self, size: int, now: float) -> float:
        """Count one message of so many bytes; the seconds to wait before it is sent."""
        passed = now - self._last
        self._last = now
        self._messages = min(self._messages + passed * MESSAGES_PER_SECOND, MESSAGES_PER_SECOND)
        self._bytes = min(self._bytes + passed * BYTES_PER_SECOND, BYTES_PER_SECOND * BURST)
        # A message that is larger than the allowance is sent as soon as the allowance is full.
        wait = max(
            (1 - self._messages) / MESSAGES_PER_SECOND,
            (min(size, BYTES_PER_SECOND * BURST) - self._bytes) / BYTES_PER_SECOND,
            0.0,
        )
        self._messages -= 1
        self._bytes -= size
        return wait


def pieces(text: str) -> Iterator[str]:
    """A text in parts that are small enough for one message each."""
    for start in range(0, len(text), PIECE):
        yield text[start : start + PIECE]
