"""Which outcomes have arrived here: DELIVERED says it, so that their nodes let go of them.

A DELIVERED can be lost with its connection, and so can the outcome of a call that has ended here
before, at its deadline. The next RESUME names both kinds once more: the gateway says the outcome
again, and it is confirmed again. Else its node would keep it for minutes. Pure.
``tests/protocol/test_caller.py`` proves it.
"""

from __future__ import annotations

from collections import deque

from easyremote.protocol.link import Link
from easyremote.protocol.messages import Delivered

#: DELIVERED is sent with the next call, or alone after so many seconds: in a row of calls this
#: spares a message at every hop. So many outcomes are confirmed at once.
DELIVER_AFTER = 0.1
DELIVER_AT_ONCE = 64
#: What was confirmed in so many seconds before the gateway was last heard is unsure. The last so
#: many are named, which is less than what the gateway takes beyond its limit.
UNSURE_SECONDS = 5.0
UNSURE = 200


class Confirmations:
    """The outcomes that arrived at one client."""

    def __init__(self) -> None:
        #: Those that are not confirmed yet: their calls' numbers and ids; when DELIVERED is due.
        self._waiting: dict[int, bytes] = {}
        self.due = 0.0
        #: Calls that have ended here, and whose outcome has not come.
        self._missing: dict[int, bytes] = {}
        #: Those that were confirmed last: when, and their calls' numbers and ids.
        self._sent: deque[tuple[float, int, bytes]] = deque(maxlen=UNSURE)

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, now: float) -> None:
        """An outcome comes: if it is the first one, say when DELIVERED is due."""
        if not self._waiting:
            self.due = now + DELIVER_AFTER

    def add(self, number: int, call_id: bytes) -> None:
        """The outcome of this call is here; an empty id for one that came before."""
        self._waiting[number] = call_id
        self._missing.pop(number, None)

    def withdraw(self, number: int) -> None:
        """Do not confirm this outcome yet: it is here, and not safe."""
        self._waiting.pop(number, None)

    def miss(self, number: int, call_id: bytes) -> None:
        """This call has ended here; its outcome still comes, and is to be confirmed then."""
        if number not in self._waiting:
            self._missing[number] = call_id
            if len(self._missing) > UNSURE:
                del self._missing[next(iter(self._missing))]

    def unknown(self, number: int) -> None:
        """The gateway does not know this call: no outcome will come."""
        self._missing.pop(number, None)

    def is_due(self, now: float) -> bool:
        """Whether to send DELIVERED now."""
        return bool(self._waiting) and (now >= self.due or len(self._waiting) >= DELIVER_AT_ONCE)

    def send(self, link: Link) -> None:
        """Confirm all that arrived."""
        if self._waiting:
            link.send(Delivered(tuple(self._waiting)))
            heard = link.last_received
            self._sent.extend((heard, *each) for each in self._waiting.items())
            self._waiting.clear()
            self.due = 0.0

    def unsure(self, heard: float) -> dict[int, bytes]:
        """What the gateway may not know, by number; ``heard`` is when it spoke last.

        The caller names it in RESUME.
        """
        unsure = {
            number: call_id for at, number, call_id in self._sent if at >= heard - UNSURE_SECONDS
        }
        unsure |= self._waiting | self._missing
        self._sent.clear()
        self._waiting.clear()
        self.due = 0.0
        last = [each for each in unsure.items() if each[1]][-UNSURE:]
        return dict(last)
