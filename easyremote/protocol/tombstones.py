"""`Tombstones`: the ids of calls that are over, so that a late repetition of one never runs again.

An id is kept for a day, or until a million others have come after it, whichever is first; it may
be kept up to twice as long. There are two generations: when the new one is full, or a day old, it
becomes the old one, and the one before is dropped at once. A million ids take 25 MB: they lie side
by side in buckets of bytes, since an object for each would take 165 MB. Pure.
``tests/protocol/test_tombstones.py`` proves it.
"""

from __future__ import annotations

__all__ = ["KEPT", "TOMBSTONES", "Tombstones"]

#: So many calls that are over are remembered,
TOMBSTONES = 1_000_000
#: for so many seconds.
KEPT = 24 * 3600.0
#: With a million ids there are about 60 in a bucket: a look at one takes less than a microsecond.
BUCKETS = 1 << 14
#: The bytes of an id.
ID = 16


class Tombstones:
    """The calls that are over."""

    def __init__(self) -> None:
        #: The ids by their hash. There is no old generation at first.
        self._new, self._old = [b""] * BUCKETS, list[bytes]()
        self._count = 0
        #: When the new generation is a day old; None until the next look at the time.
        self._due: float | None = None

    def add(self, call_id: bytes) -> None:
        """Remember a call."""
        self._new[hash(call_id) % BUCKETS] += call_id
        self._count += 1
        if self._count >= TOMBSTONES:
            self._turn()

    def __contains__(self, call_id: bytes) -> bool:
        number = hash(call_id) % BUCKETS
        new = self._new[number]
        if call_id in new and _holds(new, call_id):
            return True
        return bool(self._old) and _holds(self._old[number], call_id)

    @property
    def ids(self) -> bytes:
        """All ids side by side, the older generation first; another process hashes them anew."""
        return b"".join([*self._old, *self._new])

    def take_over(self, ids: bytes) -> None:
        """Remember the calls of another process."""
        for at in range(0, len(ids), ID):
            self.add(ids[at : at + ID])

    def handle_timeout(self, now: float) -> None:
        """Forget calls by their age. Where it is never called, only their number counts."""
        if self._due is None:
            self._due = now + KEPT
        elif now >= self._due:
            self._turn()

    def _turn(self) -> None:
        self._old, self._new = self._new, [b""] * BUCKETS
        self._count, self._due = 0, None


def _holds(bucket: bytes, call_id: bytes) -> bool:
    at = bucket.find(call_id)
    while at >= 0 and at % ID:  # it is part of two ids
        at = bucket.find(call_id, at + 1)
    return at >= 0
