"""`Notices`: who wants to be told that a call is over, and what they are told. Pure.

A listener of the call table. The text names the function, the node, the outcome and the seconds,
and nothing of what the call was given or has returned. An address is a secret: it stays with its
call, then here until the notice is sent or given up, and no log shows it.
``tests/gateway/notify/test_notices.py`` proves it.
"""

from __future__ import annotations

import importlib.util
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from easyremote.errors import UsageError
from easyremote.gateway.records import GatewayCall
from easyremote.logs import about
from easyremote.options.notify import check_address, service_of
from easyremote.protocol.builtins import CALL, CELL
from easyremote.protocol.call import CallEvent

_log = logging.getLogger("easyremote.gateway")

#: Seconds before each further attempt; after the last one the notice is given up.
WAITS = (2.0, 10.0, 60.0)
#: How many notices are sent together.
BATCH = 16
#: How many notices one key may have waiting.
MOST = 100

#: Hears what became of a notice: whose call, its id, and how it went.
Told = Callable[[str, bytes, str], None]

_OUTCOMES = {"": "done", "cancelled": "cancelled", "timeout": "out of time", "lost": "lost"}
_TITLES = {CELL: "a cell", CALL: "a shipped function", "": "a call"}


@dataclass(slots=True, eq=False)
class Notice:
    """One line that somebody is waiting for."""

    call_id: bytes
    owner: str
    address: str = field(repr=False)
    text: str
    is_good: bool
    attempts: int = 0
    due: float = 0.0


class Notices:
    """The notices that are to be sent.

    Parameters
    ----------
    told
        Is called when one was sent, or given up.
    """

    def __init__(self, told: Told) -> None:
        self._told = told
        self._waiting: list[Notice] = []
        #: How many notices of each key are not sent yet.
        self._of = Counter[str]()
        self.can_send = importlib.util.find_spec("apprise") is not None

    def refusal(self, address: str) -> UsageError | None:
        """Why nobody can be told at this address; None if that can be tried."""
        if not self.can_send:
            return UsageError(
                "This gateway can't notify anybody, so the call was not run. Its owner can change "
                "that: pip install 'easyremote[notify]' there, and start it again."
            )
        try:
            check_address(address, "notify")
        except UsageError as error:
            return error
        return None

    def note(self, call: GatewayCall, event: CallEvent, now: float) -> None:
        """Hear that a call is over; a listener of the call table."""
        if not call.notify:
            return
        address, call.notify = call.notify, ""  # it may end again: its node comes back and says so
        notice = Notice(
            *(call.call_id, call.owner, address, in_words(call, event), not call.code), due=now
        )
        if self._of[call.owner] >= MOST:
            self._give_up(notice, f"{MOST} others of this key wait to be sent")
            return
        self._of[call.owner] += 1
        self._waiting.append(notice)

    def take(self, now: float) -> list[Notice]:
        """The notices that are to be sent now; `sent` or `failed` is told of each."""
        due = [each for each in self._waiting if each.due <= now][:BATCH]
        self._waiting = [each for each in self._waiting if each not in due]
        return due

    def sent(self, notice: Notice) -> None:
        """A notice was sent."""
        self._settle(notice)
        self._told(notice.owner, notice.call_id, "sent")

    def failed(self, notice: Notice, why: str, now: float, *, for_good: bool) -> None:
        """A notice was not sent: try again later, or give it up."""
        if for_good or notice.attempts >= len(WAITS):
            self._settle(notice)
            self._give_up(notice, why)
            return
        notice.due = now + WAITS[notice.attempts]
        notice.attempts += 1
        self._waiting.append(notice)

    def close(self) -> None:
        """The gateway stops: say which notices are not sent."""
        for notice in self._waiting:
            self._give_up(notice, "the gateway stops")
        self._waiting.clear()
        self._of.clear()

    def _settle(self, notice: Notice) -> None:
        self._of[notice.owner] -= 1
        if not self._of[notice.owner]:
            del self._of[notice.owner]

    def _give_up(self, notice: Notice, why: str) -> None:
        service = service_of(notice.address)
        _log.warning(
            "A notification by %s was not sent: %s",
            *(service, why),
            extra=about(call=notice.call_id),
        )
        self._told(notice.owner, notice.call_id, f"not sent by {service}: {why}")


def in_words(call: GatewayCall, event: CallEvent) -> str:
    """How a call ended, in one line."""
    what = _TITLES.get(call.function, f"{call.function}()")
    where = call.node.node_id if call.node is not None else call.target[0]
    lasted = f" after {_in_words(call.seconds)}" if call.seconds else ""
    usual = "did not run" if event is CallEvent.REJECTED else "failed"
    outcome = _OUTCOMES.get(call.code, usual)
    return f"{what}{f' on {where}' if where else ''}: {outcome}{lasted}"


def _in_words(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
