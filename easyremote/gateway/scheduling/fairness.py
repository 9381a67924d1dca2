"""Fair shares of one node's time among keys: start-time fair queueing. Pure.

The method is that of Goyal, Vin and Cheng, "Start-time Fair Queuing" (SIGCOMM 1996). Every call has
a start tag: the virtual time at which its key's turn comes. The call with the lowest tag is next,
and the virtual time becomes its tag. The key's next call then starts later by the run-seconds of
this one, divided by the weight of its key. So keys of equal weight that wait get equal run-seconds,
however many calls each of them has queued, and however long their calls are.

How long a call will run is not known when it is dispatched. The key is charged an estimate then,
and the difference when the call is over. ``tests/gateway/scheduling/test_fairness.py`` proves it.
"""

from __future__ import annotations

__all__ = ["HALF_LIFE", "FairShare"]

#: Seconds after which what a key used beyond the others counts half.
HALF_LIFE = 3600.0
#: How often that is looked after, in seconds.
AGED_EVERY = 60.0
#: So many lowered tags, and one for each key, are noted before all are read anew instead.
NOTED = 100


class FairShare:
    """How far each key is on one node, in virtual run-seconds."""

    __slots__ = ("_aged", "_next", "lowered", "present", "renewed")

    def __init__(self) -> None:
        #: The virtual time: the start tag of the call that was dispatched last. It never falls.
        self.present = 0.0
        #: By key: the start tag of its next call. A key that is not here starts at the present.
        self._next: dict[str, float] = {}
        self._aged = 0.0
        #: The keys whose tag was lowered since the last time that all tags changed at once; and how
        #: often they did. `Turns` reads it: a tag that rises is noticed when its turn comes.
        self.lowered: list[str] = []
        self.renewed = 0

    def start(self, key: str) -> float:
        """The start tag of the key's next call. A key that has slept starts at the present time."""
        start = self._next.get(key, 0.0)
        return start if start > self.present else self.present

    def charge(self, key: str, seconds: float) -> None:
        """A call of the key is dispatched, and will run for about so many seconds."""
        start = self._next.get(key, 0.0)
        if start > self.present:
            self.present = start
        else:
            start = self.present
        self._next[key] = start + seconds

    def correct(self, key: str, seconds: float) -> None:
        """A call of the key took so many seconds more than it was charged (fewer: below 0)."""
        self._next[key] = self._next.get(key, self.present) + seconds
        if seconds < 0.0:
            self.lowered.append(key)
            if len(self.lowered) > len(self._next) + NOTED:
                self._renew()

    def age(self, now: float) -> None:
        """Let what the keys used beyond the present time count less, the older it is."""
        passed = now - (self._aged or now)
        self._aged = self._aged or now
        if passed < AGED_EVERY:
            return
        self._aged = now
        kept = 0.5 ** (passed / HALF_LIFE)
        present = self.present
        self._next = {
            key: present + (start - present) * kept
            for key, start in self._next.items()
            if start > present
        }
        self._renew()

    def _renew(self) -> None:
        self.lowered.clear()
        self.renewed += 1
