"""The side that asks: every call that a client has outstanding, over any number of connections.

A call lives here from `submit` until its outcome is handed to its sink, exactly once. When the
connection breaks, the calls stay, and RESUME names them on the next connection. A call that the
gateway does not know any more is submitted again if it surely did not start; else it is lost.
What comes in for a call is in ``answers.py``.

Pure: `now` is an argument, and the Link only queues. The gateway runs a Caller too, for the calls
that come in by HTTP. ``tests/protocol/test_caller.py`` and ``test_machine.py`` prove it.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack

from easyremote.errors import (
    CallCancelled,
    CallLost,
    CallTimeout,
    CannotReturn,
    EasyRemoteError,
    GatewayUnreachable,
    InternalError,
    ProtocolError,
    UsageError,
    to_wire,
)
from easyremote.protocol.answers import (
    Answers,
    Confirmations,
    OutstandingCall,
    Sink,
    addresses_of,
    told_of,
)
from easyremote.protocol.builtins import OF_GATEWAY
from easyremote.protocol.failures import pack_error
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    Cancel,
    Event,
    Finished,
    GoingAway,
    HandBack,
    Message,
    NodeAway,
    Payload,
    Resume,
    Resumed,
    Seen,
    Started,
    Submit,
    why_not_sent,
)
from easyremote.protocol.seal import CLEAR, Part, Seal
from easyremote.protocol.streams import Buffer

#: A call ends here at the latest so many seconds after its deadline.
GRACE = 5.0
#: Calls survive a broken connection for so many seconds; the gateway holds their results as long.
RECONNECT_LIMIT = 600.0
#: An outcome can come before the last events of its call, and its stream can break off with the
#: node's connection. After so many seconds nothing will come: the gateway gives it up after 60 s.
LATE_AFTER = 90.0


class Caller:
    """All outstanding calls of one client. Each is one attempt; see ``attempts.py``."""

    def __init__(self, seal: Seal = CLEAR) -> None:
        self._seal = seal
        self._answers = Answers(seal, self._finished, self.failed, self._wait_for_rest)
        self._calls: dict[int, OutstandingCall] = {}
        self._last = 0
        self._link: Link | None = None
        self._deadlines: list[tuple[float, int]] = []
        self._arrived = Confirmations()
        self._resuming: tuple[int, ...] = ()
        self._lost_link: float | None = None
        #: Calls that wait to be sent, in order: the gateway takes only so many at a time.
        self._unsent: deque[OutstandingCall] = deque()
        #: How many are sent and not over.
        self._sent = 0
        self._max_calls = 1
        #: Whether the gateway stops: unsent calls wait for the next connection.
        self._is_leaving = False

    def __len__(self) -> int:
        return len(self._calls)

    # -- what the client does --------------------------------------------------------------------

    def submit(
        self,
        submit: Submit,
        parts: Sequence[Buffer],
        size: int,
        encoding: str,
        sink: Sink,
        now: float,
    ) -> OutstandingCall:
        """Take a call on, and send it if there is a connection. ``submit`` gets its number here."""
        self._last += 1
        submit.call = self._last
        call = OutstandingCall(self._last, submit.call_id, sink, submit, parts, size, encoding)
        self._calls[self._last] = call
        if (reason := why_not_sent(submit)) is not None:
            self._end(call, UsageError(f"This call can't be sent: {reason}."))
            return call
        if submit.timeout:
            call.deadline = now + submit.timeout + GRACE
            heapq.heappush(self._deadlines, (call.deadline, call.call))
        # What the gateway answers itself takes no place there, so it waits for none.
        is_question = submit.function in OF_GATEWAY
        (self._unsent.appendleft if is_question else self._unsent.append)(call)
        self._send_more(now)
        return call

    def cancel(self, call: OutstandingCall, *, kill: bool = False) -> None:
        """Ask for the end of a call; its sink hears when it has come. Safe to repeat."""
        if call.call not in self._calls:
            return
        if call.sent is None:
            self._end(call, CallCancelled("The call was cancelled before it was sent."))
            return
        call.cancelling = kill or bool(call.cancelling)
        if self._link is not None:
            self._link.send(Cancel(call.call, kill))

    def fail_all(self, error: EasyRemoteError) -> None:
        """The connection will not come back: every call ends with ``error``."""
        with ExitStack() as all_of_them:  # the others, too, if one sink raises
            for call in self._calls.values():
                all_of_them.callback(self._end, call, error)

    def failed(self, message: Message, error: Exception) -> None:
        """A message could not be handled: its call ends with an error, the others go on."""
        call = self._calls.get(getattr(message, "call", 0))
        if call is None:
            return
        if type(message) is Finished:
            self._arrived.add(call.call, call.call_id)
            self._arrived.due = 0.0
        elif self._link is not None:
            self._link.send(Cancel(call.call))  # nobody wants its outcome any more
        what = f"{call.submit.function}()"
        if isinstance(error, ProtocolError):
            self._end(call, CannotReturn(f"What {what} returned can't be taken here: {error}."))
        else:
            self._end(call, InternalError(f"An answer of {what} can't be handled: {error!r}."))

    # -- connections -----------------------------------------------------------------------------

    def attach(self, link: Link, max_calls: int, now: float) -> None:
        """A connection is open: resume what was sent, send the rest, ``max_calls`` at a time."""
        self._link, self._max_calls = link, max_calls
        self._lost_link, self._is_leaving = None, False
        # Questions to the gateway first, then the oldest calls: also those that were handed back.
        in_order = sorted(self._unsent, key=lambda c: (c.submit.function not in OF_GATEWAY, c.call))
        self._unsent = deque(in_order)
        known = [call for call in self._calls.values() if call.sent is not None]
        unsure = self._arrived.unsure()
        self._resuming = (*(call.call for call in known), *unsure)
        if self._resuming:
            ids = (*(call.call_id for call in known), *unsure.values())
            started = (*(call.has_started for call in known), *(True for _ in unsure))
            link.send(Resume(ids, self._resuming, (), started, addresses_of(known)))
        self._send_more(now)

    def detach(self, link: Link, now: float) -> None:
        """The connection broke. The calls stay; payloads that were on their way are void."""
        if self._link is link:
            self._link = None
            self._lost_link, self._arrived.heard = now, link.last_received

    def receive(self, message: Message, now: float) -> None:
        """Handle a message of the gateway.

        Raises
        ------
        ProtocolError
            The gateway broke the protocol: close the connection. (Any other exception is a
            mistake of ours: log it, and tell `failed`.)
        """
        link = self._link
        assert link is not None, "messages come from an attached link"
        kind = type(message)
        if kind is Finished:
            self._outcome_comes(link, message, now)  # type: ignore[arg-type]  # by `kind`
            return
        if kind is Resumed:
            self._resumed(message, now)  # type: ignore[arg-type]  # narrowed by `kind`
            return
        call = self._calls.get(getattr(message, "call", 0))
        match message:
            case Started() if call is not None:
                self._begins(call, message)
            case Event() if call is not None:
                self._answers.take(link, call, message)
            case Event():
                link.drop(message.payload)
            case GoingAway():
                self._is_leaving = True
                link.send(GoingAway())  # we submit nothing after this
            case HandBack():
                self._handed_back(message, now)
            case NodeAway():
                for call in filter(None, map(self._calls.get, message.calls)):
                    call.away = told_of(message)

    def flush(self, now: float) -> None:
        """Send calls that waited for room, and DELIVERED if it is due. Call it after each batch."""
        if self._unsent:
            self._send_more(now)
        if self._arrived.is_due(now):
            self.deliver()

    def deliver(self) -> None:
        """Confirm the outcomes that arrived: until then their nodes hold them."""
        if self._link is not None:
            self._arrived.send(self._link)

    def seen(self, call: OutstandingCall, seq: int) -> None:
        """The sink has consumed the events up to ``seq``: its node may make more."""
        call.seen = max(call.seen, seq)
        if self._link is not None and call.call in self._calls:
            self._link.send(Seen(call.call, call.seen))

    # -- time ------------------------------------------------------------------------------------

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`; None for never."""
        while self._deadlines and self._deadlines[0][1] not in self._calls:
            heapq.heappop(self._deadlines)
        limits = [self._deadlines[0][0]] if self._deadlines else []
        if self._arrived and self._link is not None:
            limits.append(self._arrived.due)
        if self._lost_link is not None and self._calls:
            limits.append(self._lost_link + RECONNECT_LIMIT)
        return min(limits, default=None)

    def handle_timeout(self, now: float) -> None:
        """End the calls whose time is up, and send DELIVERED if it is due."""
        if now >= self._arrived.due:
            self.deliver()
        while self._deadlines and self._deadlines[0][0] <= now:
            call = self._calls.get(heapq.heappop(self._deadlines)[1])
            if call is not None:
                self._time_is_up(call, now)
        if self._lost_link is not None and now >= self._lost_link + RECONNECT_LIMIT:
            self._give_up()

    # -- inside ----------------------------------------------------------------------------------

    def _send_more(self, now: float) -> None:
        if self._link is None or self._is_leaving:
            return
        unsent = self._unsent
        while unsent and (self._sent < self._max_calls or unsent[0].submit.function in OF_GATEWAY):
            if not (call := unsent.popleft()).is_over:
                self._send(call, now)

    def _send(self, call: OutstandingCall, now: float) -> None:
        link = self._link
        assert link is not None, "only calls with a connection are sent"
        if call.sent is None:
            call.sent = now
            self._sent += 1
        else:
            call.submit.age = max(now - call.sent, 1e-6)
        if self._sent + len(self._arrived) > self._max_calls:
            self.deliver()  # the gateway counts what is not confirmed, too
        parts, size = self._seal.seal(call.parts, call.size, call.call_id, Part.ARGUMENTS, 0)
        call.submit.payload = link.offer(parts, size, call.encoding)
        link.send(call.submit)

    def _resumed(self, message: Resumed, now: float) -> None:
        if self._resuming and len(message.calls) != len(self._resuming):
            raise ProtocolError("RESUMED has another number of calls than RESUME")
        for number, known in zip(self._resuming, message.calls, strict=False):
            call = self._calls.get(number)
            if call is None:  # it has ended here
                self._arrived.resumed(number, self._link if known else None)
            elif known:
                if call.late_at:
                    self._wait_for_rest(call, now)
                self._cancel_again(call)
            elif call.has_started or call.outcome is not None:
                what = f"the node of {call.submit.function}() did not come back with the call"
                text = f"The gateway was restarted, and {what}. It may have run."
                body = pack_error(CallLost.code, text, may_have_run=True)
                self._fails(call, Finished(number, Payload("msgpack"), CallLost.code), body)
            else:
                self._send(call, now)
                self._cancel_again(call)
        self._resuming = ()

    def _cancel_again(self, call: OutstandingCall) -> None:
        """A CANCEL may have been lost with the connection before."""
        if call.cancelling is not None:
            self.cancel(call, kill=call.cancelling)

    def _handed_back(self, message: HandBack, now: float) -> None:
        """Send calls once more, as if for the first time: they surely did not start."""
        for number in message.calls:
            call = self._calls.get(number)
            if call is None or call.sent is None:
                continue
            if call.has_started or call.outcome is not None:
                what = f"{call.submit.function}()"
                self._end(call, CallLost(f"The node of {what} began the call, then gave it back."))
            else:
                call.submit.age, call.sent, call.away = 0.0, None, ""
                self._sent -= 1
                if call.cancelling is not None:
                    self._end(call, CallCancelled("The call was cancelled before it began."))
                else:
                    self._unsent.appendleft(call)  # it is older than those that were never sent
        self._send_more(now)

    def _outcome_comes(self, link: Link, message: Finished, now: float) -> None:
        self._arrived.begin(now)
        call = self._calls.get(message.call)
        if call is None:  # the first outcome won; this one is a repetition
            self._arrived.add(message.call, b"")
            link.drop(message.payload)
        else:
            self._answers.take(link, call, message)

    def _finished(self, call: OutstandingCall, message: Finished, body: Buffer) -> None:
        self._arrived.add(call.call, call.call_id)
        if message.payload.stream:
            self._arrived.due = 0.0  # the node holds much memory for it
        if message.code:
            self._fails(call, message, body)
        else:
            self._finish(call, "", message.payload.encoding, body)

    def _begins(self, call: OutstandingCall, message: Started) -> None:
        call.begin(message.node)

    def _fails(self, call: OutstandingCall, message: Finished, body: Buffer) -> None:
        self._finish(call, message.code, message.payload.encoding, body)

    def _wait_for_rest(self, call: OutstandingCall, now: float) -> None:
        """A part of the outcome is missing: give it `LATE_AFTER` from now."""
        is_watched = call.late_at > 0.0
        call.late_at = now + LATE_AFTER
        if not is_watched:
            heapq.heappush(self._deadlines, (call.late_at, call.call))

    def _time_is_up(self, call: OutstandingCall, now: float) -> None:
        if call.deadline and now >= call.deadline:
            self._expire(call)
        elif now < call.late_at:
            heapq.heappush(self._deadlines, (call.late_at, call.call))
        elif call.arriving or self._link is None:
            call.late_at = 0.0
            self._wait_for_rest(call, now)
        else:
            what = f"{call.submit.function}()"
            self._end(call, CallLost(f"{what} ended, but its node never sent the whole outcome."))

    def _expire(self, call: OutstandingCall) -> None:
        function, limit = call.submit.function, call.submit.timeout
        if call.sent is None:
            text = f"{function}() could not be sent within {limit:g} s; it did not run."
            self._end(call, CallTimeout(text))
            return
        self.cancel(call)
        told = "Its node was told to stop it." if self._link else "The gateway is out of reach."
        text = f"{function}() was not over after {limit:g} s. {told}"
        self._end(call, CallTimeout(text, node_silent=True))

    def _give_up(self) -> None:
        away = f"The gateway has been out of reach for {RECONNECT_LIMIT:g} s"
        unsent = [call for call in self._calls.values() if call.sent is None]
        for call in unsent:
            text = f"{away}, so {call.submit.function}() was not sent."
            self._end(call, GatewayUnreachable(text))
        self.fail_all(CallLost(f"{away}."))

    def _end(self, call: OutstandingCall, error: EasyRemoteError) -> None:
        code, text, details = to_wire(error)
        may_have_run = call.may_have_run or (call.sent is not None and error.may_have_run)
        if call.sent is not None:
            self._arrived.miss(call.call, call.call_id)
        details = {**details, "may_have_run": may_have_run}
        self._finish(call, code, "msgpack", pack_error(code, text, **details))

    def _finish(self, call: OutstandingCall, code: str, encoding: str, body: Buffer) -> None:
        """The only place where a call leaves."""
        del self._calls[call.call]
        if call.sent is not None:
            self._sent -= 1
        call.end(code, encoding, body)
