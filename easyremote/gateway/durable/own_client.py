"""`OwnClient`: the gateway as the client of the detached calls of one key.

It is a client like any other, with a link of its own to the call table: so a detached call is
queued, dispatched, resumed and tried again by the same code as one that somebody waits for. Two
things are different: an outcome is confirmed when the disk has it, and each further attempt is
written before it begins. ``tests/gateway/durable/test_keeper.py`` proves it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from easyremote.errors import NodeOffline, NotFound
from easyremote.gateway.callers import Principal
from easyremote.gateway.records import ClientLink
from easyremote.options.retries import FAIL
from easyremote.protocol.answers import OutstandingCall
from easyremote.protocol.attempts import RetryingCaller
from easyremote.protocol.messages import Event, Finished, GoingAway, Message
from easyremote.protocol.streams import Buffer
from easyremote.transport.local import LocalPair

__all__ = ["OwnClient"]

#: The errors of a call whose node, or function, is not there.
ABSENT = frozenset({NodeOffline.code, NotFound.code})
#: Seconds after which it is looked for again.
LOOK_AGAIN = 2.0

#: Hears that a call will be tried again, and when.
TryAgain = Callable[[OutstandingCall, float], None]


class KeepingCaller(RetryingCaller):
    """The calls of one key, whose outcomes go to the disk.

    Parameters
    ----------
    try_again
        Writes that another attempt begins, then calls `go_on`.
    may_wait
        Whether a call may wait longer for a node that is not there.
    """

    def __init__(self, try_again: TryAgain, may_wait: Callable[[OutstandingCall], bool]) -> None:
        super().__init__(lambda: os.urandom(16), _chance)
        self._try_again, self._may_wait = try_again, may_wait

    def confirm(self, attempt: OutstandingCall) -> None:
        """The disk has the outcome of this call: its node may forget it."""
        self._arrived.add(attempt.call, attempt.call_id)

    def receive(self, message: Message, now: float) -> None:
        """As of `Caller`; but no event and no outcome waits for an event that came before it.

        Nobody watches here, and what an earlier gateway has seen is not told again by its node.
        """
        call = self._calls.get(getattr(message, "call", 0))
        if isinstance(message, Event) and call is not None:
            call.next_event = max(call.next_event, message.seq)
        elif isinstance(message, Finished):
            message.events = 0
        super().receive(message, now)

    def go_on(self, call: OutstandingCall, due: float) -> None:
        """The disk knows of the next attempt: begin it when it is due."""
        super()._wait_until(call, due)

    def _wait_until(self, call: OutstandingCall, due: float) -> None:
        self._try_again(call, due)

    def _fails(self, call: OutstandingCall, message: Finished, body: Buffer) -> None:
        if message.code in ABSENT and not message.may_have_run and self._waits(call):
            # Its node, or its function, is not there: it waits for it, and that is no attempt.
            call.attempts -= 1
            self._begin_again(call, time.monotonic() + LOOK_AGAIN)
        else:
            super()._fails(call, message, body)

    def _waits(self, call: OutstandingCall) -> bool:
        is_patient = call.submit.on_node_loss != FAIL and call.cancelling is None
        return is_patient and self._may_wait(call)

    def _finish(self, call: OutstandingCall, code: str, encoding: str, body: Buffer) -> None:
        self._arrived.withhold(call.call)
        super()._finish(call, code, encoding, body)


class OwnClient:
    """The gateway as a client.

    Parameters
    ----------
    receive
        Takes what this client says, as of `Hub.receive_from_client`.
    principal
        Whose calls they are.
    try_again, may_wait
        As of `KeepingCaller`.
    now
        On the monotonic clock.
    """

    def __init__(
        self,
        receive: Callable[[ClientLink, Message, float], None],
        principal: Principal,
        try_again: TryAgain,
        may_wait: Callable[[OutstandingCall], bool],
        now: float,
    ) -> None:
        self.core = KeepingCaller(try_again, may_wait)
        self._receive = receive
        self._pair = LocalPair(self.core.receive, self._said, self._flush, self.core.failed)
        # How many calls a key may detach is limited by what they take on the disk.
        self._client = ClientLink(
            self._pair.far, principal, max_calls=sys.maxsize, resumed=now, is_own=True
        )
        self.core.attach(self._pair.near, sys.maxsize, now)

    def pump(self) -> None:
        """Have the call table know now what was submitted."""
        self._pair.pump()

    def leave(self) -> None:
        """The gateway stops: what it hands back is not sent again."""
        self._pair.far.send(GoingAway("the gateway stops"))
        self._pair.pump()

    def close(self) -> None:
        self._pair.close()

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        due = self.core.next_timeout()
        if due is not None and due <= now:
            self.core.handle_timeout(now)

    def confirm(self, attempt: OutstandingCall) -> None:
        """As of `KeepingCaller`."""
        self.core.confirm(attempt)
        self.core.deliver()

    def _said(self, message: Message, now: float) -> None:
        self._receive(self._client, message, now)

    def _flush(self, now: float) -> None:
        self.core.flush(now)
        self.core.deliver()  # it costs no message here


def _chance() -> float:
    return int.from_bytes(os.urandom(4)) / 2**32
