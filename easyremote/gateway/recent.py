"""The last calls of each key that are over: what people look back on. Pure.

It keeps what a list shows, never an outcome: what a cell has shown is its node's to tell. Calls of
registered functions come by the thousand, and only those that took their time are kept.
``tests/gateway/test_recent.py`` proves it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from easyremote.gateway.records import GatewayCall
from easyremote.protocol.builtins import CALL, CELL
from easyremote.protocol.call import CallEvent

#: How many calls are kept for each owner.
LENGTH = 50
#: Calls of registered functions are kept from so many seconds on; code always is.
WORTH_KEEPING = 1.0


@dataclass(slots=True, frozen=True)
class EndedCall:
    """One call that is over."""

    call_id: bytes
    function: str
    node_id: str | None
    origin: str
    #: The error's code; empty for a value.
    code: str
    #: How many seconds it ran, and when it ended on the gateway's clock.
    seconds: float
    ended: float
    #: What became of its notification; empty where it has none, or that is on its way.
    notified: str = ""


#: The events that end a call.
ENDINGS = (
    CallEvent.FINISHED,
    CallEvent.CANCELLED,
    CallEvent.EXPIRED,
    CallEvent.GIVEN_UP,
    CallEvent.REJECTED,
)


_CODE = frozenset({CELL, CALL})


class Recent:
    """The last calls that are over, by owner."""

    def __init__(self) -> None:
        self._ended: dict[str, OrderedDict[bytes, EndedCall]] = {}

    def note(self, call: GatewayCall, event: CallEvent, now: float) -> None:
        """Hear that a call is over; a listener of the call table."""
        seconds = call.seconds
        if seconds < WORTH_KEEPING and not call.is_code:
            return
        function = call.function
        if not call.owner or (call.is_code and function not in _CODE):
            return
        node_id = call.node.node_id if call.node is not None else call.target[0] or None
        ended = self._ended.setdefault(call.owner, OrderedDict())
        ended[call.call_id] = EndedCall(
            call.call_id, function, node_id, call.origin, call.code, seconds, now
        )
        if len(ended) > LENGTH:
            ended.popitem(last=False)

    def notified(self, owner: str, call_id: bytes, how: str) -> None:
        """Note what became of the notification of a call, if the call is kept."""
        ended = self._ended.get(owner, OrderedDict())
        if call_id in ended:
            ended[call_id] = replace(ended[call_id], notified=how)

    def of(self, owner: str) -> list[EndedCall]:
        """An owner's, the newest first."""
        return list(reversed(self._ended.get(owner, OrderedDict()).values()))
