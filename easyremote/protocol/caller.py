"""The side that asks: every call that a client has outstanding, over any number of connections.

A call lives here from `submit` until its outcome is handed to its sink, exactly once. When the
connection breaks, the calls stay; on the next one RESUME says which they are. What the gateway
doesn't know any more is submitted again if it surely did not start, else it is lost. Events reach
the sink in order, without gaps and without repeats, and the outcome after the last of them.

Pure: `now` is an argument, the Link only queues. The gateway runs one of these too, for the calls
that come in by HTTP. ``tests/protocol/test_caller.py`` and ``test_machine.py`` prove it.
"""

from __future__ import annotations

import heapq
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

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
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    Cancel,
    Delivered,
    Event,
    Finished,
    GoingAway,
    HandBack,
    Message,
    Resume,
    Resumed,
    Seen,
    Started,
    Submit,
    why_not_sent,
)
from easyremote.protocol.seal import CLEAR, Part, Seal
from easyremote.protocol.streams import Buffer, TooLarge

#: A call that should be over says so at the latest this long after its deadline.
GRACE = 5.0
#: Calls survive a broken connection for this long; the gateway holds their results as long.
RECONNECT_LIMIT = 600.0
#: That an outcome is safe here goes with the next call, or after so many seconds on its own: in a
#: row of calls this spares a message at every hop. So many are not kept back any longer.
DELIVER_AFTER = 0.1
DELIVER_AT_ONCE = 64
#: An outcome can come before the last events of its call, which the node sends again after the
#: client was away; and its stream can break off with the node's connection. If nothing has come for
#: so many seconds, nothing will: the gateway gives a lost node up after 60 s, and says so.
LATE_AFTER = 90.0
#: So many events may wait here for one that comes before them. A node has 64 under way.
EARLY_EVENTS = 1000

_log = logging.getLogger("easyremote.caller")


class Sink(Protocol):
    """Who waits for a call. All methods are called on the thread that owns the Link."""

    def started(self, node: str) -> None: ...

    def event(self, encoding: str, body: Buffer) -> None: ...

    def finish(self, code: str, encoding: str, body: Buffer) -> None: ...


@dataclass(slots=True, eq=False)
class OutstandingCall:
    """One call, as its caller holds it."""

    call: int
    call_id: bytes
    sink: Sink
    submit: Submit
    #: The payload, until the call has started: it may have to be sent once more.
    parts: Sequence[Buffer]
    size: int
    encoding: str
    #: When it was first sent; None while no connection has been there.
    sent: float | None = None
    has_started: bool = False
    #: The moment at which it must be over, on our clock; 0 for never.
    deadline: float = 0.0
    #: Whether its end was asked for, until it comes: None, or whether to kill.
    cancelling: bool | None = None
    next_event: int = 1
    #: The last event that was consumed here.
    seen: int = 0
    early_events: dict[int, tuple[str, Buffer]] = field(default_factory=dict)
    outcome: tuple[Finished, Buffer] | None = None
    #: Payloads of it that are on their way in.
    arriving: int = 0
    #: When to stop waiting for what is missing of its outcome; 0 where nothing is.
    late_at: float = 0.0


class Caller:
    """All outstanding calls of one client."""

    def __init__(self, seal: Seal = CLEAR) -> None:
        self._seal = seal
        self._calls: dict[int, OutstandingCall] = {}
        self._last = 0
        self._link: Link | None = None
        self._deadlines: list[tuple[float, int]] = []
        #: Outcomes that are safe here, until the gateway has heard of it; when it has to.
        self._delivered: list[int] = []
        self._deliver_by = 0.0
        self._resuming: tuple[int, ...] = ()
        self._lost_link: float | None = None
        #: Calls that wait here, in order: the gateway takes only so many at a time.
        self._unsent: deque[OutstandingCall] = deque()
        self._sent = 0
        self._max_calls = 1
        #: The gateway stops: what is not sent yet waits for the next connection.
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
        self._unsent.append(call)
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
        for call in list(self._calls.values()):
            self._end(call, error)

    def failed(self, message: Message, error: Exception) -> None:
        """A message could not be handled: its call ends with an error, the others go on."""
        call = self._calls.get(getattr(message, "call", 0))
        if call is None:
            return
        if type(message) is Finished:
            self._delivered.append(call.call)
            self._deliver_by = 0.0
        elif self._link is not None:
            self._link.send(Cancel(call.call))  # it runs on, and its outcome has no use
        function = call.submit.function
        if isinstance(error, ProtocolError):
            text = f"What {function}() returned can't be taken here: {error}."
            self._end(call, CannotReturn(text))
        else:
            text = f"The answer of {function}() could not be handled here: {error!r}."
            self._end(call, InternalError(text))

    # -- connections -----------------------------------------------------------------------------

    def attach(self, link: Link, max_calls: int, now: float) -> None:
        """A connection is open: resume what was sent before, send what was not.

        ``max_calls`` is how many calls the gateway takes at a time.
        """
        self._link = link
        self._max_calls = max_calls
        self._lost_link = None
        self._is_leaving = False
        self._delivered.clear()
        self._deliver_by = 0.0
        known = [call for call in self._calls.values() if call.sent is not None]
        self._resuming = tuple(call.call for call in known)
        if known:
            ids = tuple(call.call_id for call in known)
            started = tuple(call.has_started for call in known)
            link.send(Resume(ids, self._resuming, started=started))
        self._send_more(now)

    def detach(self, link: Link, now: float) -> None:
        """The connection broke. Calls stay; parts of payloads that were under way are void."""
        if self._link is link:
            self._link = None
            self._lost_link = now

    def receive(self, message: Message, now: float) -> None:
        """Handle a message of the gateway.

        Raises
        ------
        ProtocolError
            The gateway broke the protocol: close the connection.
        Exception
            Anything else is a mistake of ours, or of a sink. Log it, and tell `failed`.
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
        if kind is GoingAway:
            self._is_leaving = True
            link.send(GoingAway())  # nothing more comes from us: what is on its way is all
            return
        if kind is HandBack:
            self._handed_back(message, now)  # type: ignore[arg-type]  # narrowed by `kind`
            return
        call = self._calls.get(getattr(message, "call", 0))
        if call is None:
            if isinstance(message, Event):
                link.drop(message.payload)
            return
        match message:
            case Started():
                self._started(call, message.node)
            case Event():
                self._collect(link, call, message)

    def flush(self, now: float) -> None:
        """Send what waited for room, and what is due. Call it once after a batch of messages."""
        if self._unsent:
            self._send_more(now)
        if self._delivered and (now >= self._deliver_by or len(self._delivered) >= DELIVER_AT_ONCE):
            self.deliver()

    def deliver(self) -> None:
        """Say which outcomes are safe here: the node holds them until it hears of it."""
        if self._delivered and self._link is not None:
            self._link.send(Delivered(tuple(self._delivered)))
            self._delivered.clear()
            self._deliver_by = 0.0

    def seen(self, call: OutstandingCall, seq: int) -> None:
        """The sink's owner has consumed events up to ``seq``: there is room for more."""
        call.seen = max(call.seen, seq)
        if self._link is not None and call.call in self._calls:
            self._link.send(Seen(call.call, call.seen))

    # -- time ------------------------------------------------------------------------------------

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`; None for never."""
        while self._deadlines and self._deadlines[0][1] not in self._calls:
            heapq.heappop(self._deadlines)
        limits = [self._deadlines[0][0]] if self._deadlines else []
        if self._delivered and self._link is not None:
            limits.append(self._deliver_by)
        if self._lost_link is not None and self._calls:
            limits.append(self._lost_link + RECONNECT_LIMIT)
        return min(limits, default=None)

    def handle_timeout(self, now: float) -> None:
        """End what is over: silence is a bug. Confirm what waited for another call to go with."""
        if now >= self._deliver_by:
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
        while self._unsent and self._sent < self._max_calls:
            call = self._unsent.popleft()
            if call.call in self._calls:
                self._send(call, now)

    def _send(self, call: OutstandingCall, now: float) -> None:
        link = self._link
        assert link is not None, "only calls with a connection are sent"
        if call.sent is None:
            call.sent = now
            self._sent += 1
        else:
            call.submit.age = max(now - call.sent, 1e-6)
        self.deliver()
        parts, size = self._seal.seal(call.parts, call.size, call.call_id, Part.ARGUMENTS, 0)
        call.submit.payload = link.offer(parts, size, call.encoding)
        link.send(call.submit)

    def _resumed(self, message: Resumed, now: float) -> None:
        if self._resuming and len(message.calls) != len(self._resuming):
            raise ProtocolError("RESUMED has another number of calls than RESUME")
        for number, known in zip(self._resuming, message.calls, strict=False):
            call = self._calls.get(number)
            if call is None:
                continue
            if known:
                if call.late_at:
                    self._wait_for_rest(call, now)
                self._cancel_again(call)
            elif call.has_started or call.outcome is not None:
                self._end(
                    call,
                    CallLost(
                        f"The gateway was restarted and the node of {call.submit.function}() has "
                        "not come back with it; it may have run."
                    ),
                )
            else:
                self._send(call, now)
                self._cancel_again(call)
        self._resuming = ()

    def _cancel_again(self, call: OutstandingCall) -> None:
        """What was asked for may have gone with the connection before."""
        if call.cancelling is not None:
            self.cancel(call, kill=call.cancelling)

    def _handed_back(self, message: HandBack, now: float) -> None:
        """These surely did not start: send them once more, as if for the first time."""
        for number in message.calls:
            call = self._calls.get(number)
            if call is None or call.sent is None:
                continue
            if call.has_started or call.outcome is not None:
                text = f"The node of {call.submit.function}() began it, then gave it back."
                self._end(call, CallLost(text))
            else:
                call.submit.age = 0.0
                call.sent = None
                self._sent -= 1
                if call.cancelling is not None:
                    self._end(call, CallCancelled("The call was cancelled before it began."))
                else:
                    self._unsent.append(call)
        self._send_more(now)

    def _started(self, call: OutstandingCall, node: str) -> None:
        if not call.has_started:
            call.has_started = True
            call.parts = ()  # the node has them
            call.sink.started(node)

    def _outcome_comes(self, link: Link, message: Finished, now: float) -> None:
        if not self._delivered:
            self._deliver_by = now + DELIVER_AFTER
        call = self._calls.get(message.call)
        if call is None:  # the first outcome won; this one is a repetition
            self._delivered.append(message.call)
            link.drop(message.payload)
        else:
            self._collect(link, call, message)

    def _collect(self, link: Link, call: OutstandingCall, message: Event | Finished) -> None:
        """Take a payload in, now or when it is whole."""
        payload = message.payload
        if not payload.stream:
            self._came(call, message, payload.data)
            return

        def whole(body: Buffer) -> None:
            call.arriving -= 1
            self._came(call, message, body)

        def broke_off() -> None:
            call.arriving -= 1
            if type(message) is Finished and self._link is link:
                self._wait_for_rest(call, link.last_received)

        try:
            link.collect(payload, whole, broke_off)
        except TooLarge as error:
            self.failed(message, error)
        else:
            call.arriving += 1

    def _came(self, call: OutstandingCall, message: Event | Finished, body: Buffer) -> None:
        """A payload is whole. Whatever is wrong with it ends its call, and no other."""
        try:
            if type(message) is Finished:
                body = self._seal.open(body, call.call_id, Part.OUTCOME, 0)
                self._finished(call, message, body)
            elif type(message) is Event:
                body = self._seal.open(body, call.call_id, Part.EVENT, message.seq)
                self._event(call, message, body)
        except ProtocolError as error:
            self.failed(message, error)
        except Exception as error:
            _log.exception("An answer to call %s could not be handled", call.call_id.hex())
            self.failed(message, error)

    def _event(self, call: OutstandingCall, event: Event, body: Buffer) -> None:
        if call.call not in self._calls:
            return  # the outcome did not wait for it: the process that made it has died since
        if event.seq < call.next_event:  # sent again after a reconnection
            if event.seq <= call.seen:  # what said that it was consumed went with the one before
                self.seen(call, call.seen)
            return
        if event.seq >= call.next_event + EARLY_EVENTS:
            raise ProtocolError(f"event {event.seq} came while {call.next_event} is the next")
        call.early_events[event.seq] = (event.payload.encoding, body)
        while call.next_event in call.early_events:
            encoding, ready = call.early_events.pop(call.next_event)
            call.next_event += 1
            call.sink.event(encoding, ready)
        if call.outcome is not None:
            self._finished(call, *call.outcome)

    def _finished(self, call: OutstandingCall, message: Finished, body: Buffer) -> None:
        if call.call not in self._calls:
            return
        if call.next_event <= message.events:  # some of its events are still on their way
            call.outcome = (message, body)
            if self._link is not None:
                self._wait_for_rest(call, self._link.last_received)
            return
        self._delivered.append(call.call)
        if message.payload.stream:
            self._deliver_by = 0.0  # the node's memory is worth a message of its own
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
        elif call.late_at and now < call.late_at:
            heapq.heappush(self._deadlines, (call.late_at, call.call))
        elif call.late_at and (call.arriving or self._link is None):
            call.late_at = 0.0
            self._wait_for_rest(call, now)
        elif call.late_at:
            function = call.submit.function
            text = f"{function}() ended, but a part of its outcome was never sent by its node."
            self._end(call, CallLost(text))

    def _expire(self, call: OutstandingCall) -> None:
        function, limit = call.submit.function, call.submit.timeout
        if call.sent is None:
            text = f"{function}() waited {limit:g} s for its turn to be sent; it did not run."
            self._end(call, CallTimeout(text))
            return
        self.cancel(call)
        text = f"{function}() had {limit:g} s, and no word came from its node; it was told to stop."
        self._end(call, CallTimeout(text, node_silent=True))

    def _give_up(self) -> None:
        away = f"The gateway has been out of reach for {RECONNECT_LIMIT:g} s"
        for call in list(self._calls.values()):
            if call.sent is None:
                text = f"{away}, so {call.submit.function}() was not sent."
                self._end(call, GatewayUnreachable(text))
            else:
                self._end(call, CallLost(f"{away}."))

    def _end(self, call: OutstandingCall, error: EasyRemoteError) -> None:
        code, text, details = to_wire(error)
        may_have_run = call.sent is not None and error.may_have_run
        details = {**details, "may_have_run": may_have_run}
        self._finish(call, code, "msgpack", pack_error(code, text, **details))

    def _finish(self, call: OutstandingCall, code: str, encoding: str, body: Buffer) -> None:
        """The one door by which a call leaves."""
        del self._calls[call.call]
        if call.sent is not None:
            self._sent -= 1
        call.parts = ()
        call.sink.finish(code, encoding, body)


def pack_error(code: str, message: str, /, **details: object) -> bytes:
    """An error as the payload of FINISHED."""
    return msgspec.msgpack.encode((code, message, details))


def unpack_error(body: Buffer) -> tuple[str, str, dict[str, object]]:
    """What `pack_error` packed: an error's code, message and details."""
    return msgspec.msgpack.decode(body, type=tuple[str, str, dict[str, object]])
