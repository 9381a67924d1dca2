"""`RetryingCaller`: a caller that tries calls again which failed, if a policy says so.

The caller tries again, because only the caller has the arguments. Its own policy counts, else that
of the function, which STARTED and FINISHED carry. Each attempt is a call of its own for gateway and
node, with a number and an id of its own. Pure. ``tests/protocol/test_attempts.py`` proves it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

from easyremote.errors import PoisonCall
from easyremote.options.retries import CRASHES, MOST_CRASHES, Retry
from easyremote.packing import UNREADABLE
from easyremote.protocol.answers import OutstandingCall, Sink
from easyremote.protocol.caller import GRACE, Caller
from easyremote.protocol.failures import pack_error, unpack_error
from easyremote.protocol.messages import Finished, Started, Submit
from easyremote.protocol.seal import CLEAR, Seal
from easyremote.protocol.streams import Buffer

__all__ = ["RetryingCaller"]

#: What is left of its time for an attempt that comes too late: its node says that it is over.
MOMENT = 0.001


class RetryingCaller(Caller):
    """All outstanding calls of one client, over any number of connections and attempts.

    Parameters
    ----------
    new_id
        Makes the id of an attempt.
    chance
        Makes a random number from 0 to 1.
    seal
        As of `Caller`.
    """

    def __init__(
        self, new_id: Callable[[], bytes], chance: Callable[[], float], seal: Seal = CLEAR
    ) -> None:
        super().__init__(seal)
        self._new_id, self._chance = new_id, chance
        #: The calls that wait for their next attempt: when it is due, and the call's number.
        self._attempts: list[tuple[float, int]] = []

    def submit(
        self,
        submit: Submit,
        parts: Sequence[Buffer],
        size: int,
        encoding: str,
        sink: Sink,
        now: float,
        retry: Retry | None = None,
    ) -> OutstandingCall:
        """As of `Caller`; ``retry`` is the caller's own policy, None for the function's."""
        call = super().submit(submit, parts, size, encoding, sink, now)
        call.retry = retry
        return call

    def next_timeout(self) -> float | None:
        """As of `Caller`."""
        due = super().next_timeout()
        if not self._attempts:
            return due
        return self._attempts[0][0] if due is None else min(due, self._attempts[0][0])

    def handle_timeout(self, now: float) -> None:
        """As of `Caller`; also sends the attempts that are due."""
        while self._attempts and self._attempts[0][0] <= now:
            call = self._calls.get(heapq.heappop(self._attempts)[1])
            if call is not None:
                if call.deadline:
                    call.submit.timeout = max(call.deadline - GRACE - now, MOMENT)
                self._unsent.append(call)
        self._send_more(now)
        super().handle_timeout(now)

    def _begins(self, call: OutstandingCall, message: Started) -> None:
        call.retry = call.retry or message.retry  # first: it says whether the arguments are kept
        call.begin(message.node)

    def _fails(self, call: OutstandingCall, message: Finished, body: Buffer) -> None:
        call.retry = call.retry or message.retry
        wait = self._wait_before_next(call, body)
        call.may_have_run |= message.may_have_run
        if wait is not None:
            assert self._link is not None, "outcomes come from an attached link"
            self._begin_again(call, self._link.last_received + wait)
            return
        if call.attempts > 1:
            body = _of_all_attempts(call, body)
            if call.crashes >= MOST_CRASHES:
                message.code = PoisonCall.code
        super()._fails(call, message, body)

    def _wait_before_next(self, call: OutstandingCall, body: Buffer) -> float | None:
        """Seconds until the next attempt; None where this was the last one."""
        policy = call.retry
        if policy is None or call.attempts >= policy.max_attempts or call.cancelling is not None:
            return None
        try:
            code, _, details = unpack_error(body)
        except UNREADABLE:
            return None
        call.crashes += code in CRASHES
        if call.crashes >= MOST_CRASHES or not policy.covers(code, details):
            return None
        return policy.wait(call.attempts, self._chance())

    def _begin_again(self, call: OutstandingCall, due: float) -> None:
        del self._calls[call.call]
        self._sent -= 1
        self._last += 1
        call.begin_again(self._last, self._new_id())
        self._calls[call.call] = call
        if call.deadline:
            heapq.heappush(self._deadlines, (call.deadline, call.call))
        self._wait_until(call, due)

    def _wait_until(self, call: OutstandingCall, due: float) -> None:
        heapq.heappush(self._attempts, (due, call.call))


def _of_all_attempts(call: OutstandingCall, body: Buffer) -> Buffer:
    """The error of the last attempt, with what is true of all of them together."""
    try:
        code, text, details = unpack_error(body)
    except UNREADABLE:
        return body
    details |= {"attempts": call.attempts, "may_have_run": call.may_have_run}
    if call.crashes >= MOST_CRASHES:
        code = PoisonCall.code
        text = (
            f"{call.crashes} processes that ran {call.submit.function}() died, so it is not tried "
            f"again. Find out what it does to them before you call it once more. The last: {text}"
        )
    return pack_error(code, text, **details)
