"""The seam for encryption: a payload is sealed before it is sent and opened when it is whole.

`Caller` and the node's side of a call both hold one `Seal`. Each side seals in the one place where
it offers a payload to a Link, and opens in the one place where it has collected one. The gateway
has no Seal: it passes on what it can't open. Today the only Seal is `CLEAR`, which changes nothing.
``tests/protocol/test_seal.py`` proves that nothing travels past the seam.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final, Protocol

from easyremote.protocol.streams import Buffer


class Part(Enum):
    """Which payload of a call it is. A payload of one part never opens as another."""

    ARGUMENTS = "arguments"
    EVENT = "event"
    OUTCOME = "outcome"


class Seal(Protocol):
    """Seals and opens the payloads of calls.

    ``call_id``, ``part`` and ``number`` (an event's ``seq``, else 0) name a payload; a Seal binds
    them to it, so that no payload can be taken for another one.
    """

    def seal(
        self, parts: Sequence[Buffer], size: int, call_id: bytes, part: Part, number: int
    ) -> tuple[Sequence[Buffer], int]:
        """The sealed bytes, and how many there are. A payload may be sealed again to be resent."""

    def open(self, body: Buffer, call_id: bytes, part: Part, number: int) -> Buffer:
        """The bytes that were sealed.

        Raises
        ------
        ProtocolError
            They were changed on the way, or belong elsewhere. That call ends.
        """


class Clear:
    """Changes nothing: who stands between the two ends can read."""

    __slots__ = ()

    def seal(
        self, parts: Sequence[Buffer], size: int, call_id: bytes, part: Part, number: int
    ) -> tuple[Sequence[Buffer], int]:
        return parts, size

    def open(self, body: Buffer, call_id: bytes, part: Part, number: int) -> Buffer:
        return body


CLEAR: Final = Clear()
