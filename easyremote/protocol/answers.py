"""What comes in for outstanding calls: events and outcomes, made whole, opened, put in order.

The sink of a call hears its events in order, without gaps and without repeats, and the outcome
after the last of them. Whatever is wrong with an answer ends its call, and never another one: a
bad payload, and a sink that raises (its exception goes on to the shell, which logs it).
Pure. ``tests/protocol/test_caller.py`` and ``test_bad_answers.py`` prove it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from easyremote.errors import ProtocolError
from easyremote.options.retries import Retry
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    MANY_ADDRESSES,
    Cancel,
    Delivered,
    Event,
    Finished,
    Message,
    NodeAway,
    Seen,
    Submit,
)
from easyremote.protocol.seal import Part, Seal
from easyremote.protocol.streams import Assembly, Buffer, TooLarge

#: So many events may wait here for one that comes before them. A node has 64 under way.
EARLY_EVENTS = 1000
#: DELIVERED is sent so many seconds after the first outcome, or when so many wait for it: in a row
#: of calls this spares a message at every hop.
DELIVER_AFTER = 0.1
DELIVER_AT_ONCE = 64
#: What was confirmed in so many seconds before the gateway was last heard is unsure. The last so
#: many are named, which is less than what the gateway takes beyond its limit.
UNSURE_SECONDS = 5.0
UNSURE = 200


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
    #: Whether its end was asked for: None, or whether to kill its process, too.
    cancelling: bool | None = None
    next_event: int = 1
    #: The last event that was consumed here.
    seen: int = 0
    early_events: dict[int, tuple[str, Buffer]] = field(default_factory=dict)
    outcome: tuple[Finished, Buffer] | None = None
    #: Whether its sink has the outcome.
    is_over: bool = False
    #: How many of its payloads are on their way in.
    arriving: int = 0
    #: The payload of its outcome, while that is on its way.
    answer: Assembly | None = None
    #: When to stop waiting for what is missing of its outcome; 0 where nothing is.
    late_at: float = 0.0
    #: When it is tried again if it fails; None for never.
    retry: Retry | None = None
    #: How many attempts there have been; how many of them ended their process; and whether one that
    #: is over can have had effects.
    attempts: int = 1
    crashes: int = 0
    may_have_run: bool = False
    #: What to add to how it stands, while its node is gone.
    away: str = ""

    def begin(self, node: str) -> None:
        """The node has begun to run the call. Safe to repeat."""
        if not self.has_started:
            self.has_started = True
            if self.retry is None:
                self.parts = ()  # the node has them
            self.sink.started(node)

    def begin_again(self, number: int, call_id: bytes) -> None:
        """Become the next attempt, which was not sent yet."""
        self.call = self.submit.call = number
        self.call_id = self.submit.call_id = call_id
        self.submit.age = 0.0
        self.attempts += 1
        self.sent = self.outcome = self.answer = None
        self.has_started = False
        self.away = ""
        self.next_event, self.seen, self.arriving, self.late_at = 1, 0, 0, 0.0
        self.early_events.clear()

    def end(self, code: str, encoding: str, body: Buffer) -> None:
        """Hand the outcome to the sink."""
        self.is_over = True
        self.parts = ()
        self.sink.finish(code, encoding, body)


def addresses_of(calls: Iterable[OutstandingCall]) -> dict[int, str]:
    """Who is told that these calls are over, by number; no more than RESUME can hold."""
    addresses = ((call.call, call.submit.notify) for call in calls if call.submit.notify)
    return dict(islice(addresses, MANY_ADDRESSES))


def told_of(message: NodeAway) -> str:
    """What a caller is told of a node that is gone, or halts its call; empty when it goes on."""
    if message.stands_still:
        return f": stands still on {message.node}: {message.stands_still}"
    if not message.seconds:
        return ""
    return (
        f": its node {message.node} is gone; waiting up to {message.seconds:.0f} s for its return"
    )


class Answers:
    """Takes the answers to all calls of one `Caller`.

    Parameters
    ----------
    seal
        Opens the payloads.
    finished
        Called with a call, its outcome and the outcome's payload, when all events are through.
    failed
        Called with an answer that can't be taken, and why.
    wait_for_rest
        Called with a call and the time, when a part of its outcome is missing.
    """

    def __init__(
        self,
        seal: Seal,
        finished: Callable[[OutstandingCall, Finished, Buffer], None],
        failed: Callable[[Message, Exception], None],
        wait_for_rest: Callable[[OutstandingCall, float], None],
    ) -> None:
        self._seal = seal
        self._finished, self._failed = finished, failed
        self._wait_for_rest = wait_for_rest

    def take(self, link: Link, call: OutstandingCall, message: Event | Finished) -> None:
        """Take an answer in, now or when its payload is whole."""
        payload = message.payload
        if not payload.stream:
            self._came(link, call, message, payload.data)
            return

        def whole(body: Buffer) -> None:
            call.arriving -= 1
            self._came(link, call, message, body)

        def broke_off() -> None:
            call.arriving -= 1
            if type(message) is Finished and not call.is_over:
                self._wait_for_rest(call, link.last_received)

        try:
            assembly = link.collect(payload, whole, broke_off)
        except TooLarge as error:
            self._failed(message, error)
        else:
            call.arriving += 1
            if isinstance(message, Finished):
                call.answer = assembly

    def _came(
        self, link: Link, call: OutstandingCall, message: Event | Finished, body: Buffer
    ) -> None:
        if call.is_over:
            return
        try:
            if isinstance(message, Finished):
                body = self._seal.open(body, call.call_id, Part.OUTCOME, 0)
                self._outcome(link, call, message, body)
            else:
                body = self._seal.open(body, call.call_id, Part.EVENT, message.seq)
                self._event(link, call, message, body)
        except ProtocolError as error:
            self._failed(message, error)
        except Exception as error:  # a mistake of the sink, or of ours: the shell logs it
            self._failed(message, error)
            raise

    def _event(self, link: Link, call: OutstandingCall, event: Event, body: Buffer) -> None:
        if event.seq < call.next_event:  # sent again after a reconnection
            if event.seq <= call.seen:  # the SEEN was lost with the connection before
                link.send(Seen(call.call, call.seen))
            return
        if event.seq >= call.next_event + EARLY_EVENTS:
            raise ProtocolError(f"event {event.seq} came while {call.next_event} is the next")
        call.early_events[event.seq] = (event.payload.encoding, body)
        while call.next_event in call.early_events:
            encoding, ready = call.early_events.pop(call.next_event)
            call.next_event += 1
            call.sink.event(encoding, ready)
        if call.outcome is not None:
            self._outcome(link, call, *call.outcome)

    def _outcome(self, link: Link, call: OutstandingCall, message: Finished, body: Buffer) -> None:
        if call.next_event > message.events:
            self._finished(call, message, body)
        else:  # some of its events are still on their way
            call.outcome = (message, body)
            self._wait_for_rest(call, link.last_received)


class Confirmations:
    """Which outcomes have arrived: DELIVERED says it, so that their nodes let go of them.

    A DELIVERED can be lost with its connection, and so can the outcome of a call that has ended
    here before, at its deadline. The next RESUME names both kinds once more: the gateway says the
    outcome again, and it is confirmed again. Else its node would keep it for minutes.
    """

    def __init__(self) -> None:
        #: Those that are not confirmed yet: their calls' numbers and ids; when DELIVERED is due.
        self._waiting: dict[int, bytes] = {}
        self.due = 0.0
        #: When the gateway spoke last, on the connection before.
        self.heard = 0.0
        #: Calls that have ended here, and whose outcome has not come, or comes once more.
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
        """The outcome of this call is here; the id is empty where the call has ended before."""
        missed = self._missing.pop(number, b"")
        self._waiting[number] = call_id or missed

    def withhold(self, number: int) -> None:
        """The outcome of this call is here, and not safe yet: `add` says when it is."""
        self._waiting.pop(number, None)

    def miss(self, number: int, call_id: bytes) -> None:
        """This call has ended here; its outcome still comes, and is to be confirmed then."""
        if number not in self._waiting:
            self._missing[number] = call_id
            if len(self._missing) > UNSURE:
                del self._missing[next(iter(self._missing))]

    def resumed(self, number: int, link: Link | None) -> None:
        """What the gateway says of a call that ended here: None for a link if it has none.

        Then no outcome will come; else the call has to stop.
        """
        if link is None:
            self._missing.pop(number, None)
        else:
            link.send(Cancel(number))

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

    def unsure(self) -> dict[int, bytes]:
        """What the gateway may not know, by number.

        The caller names it in RESUME, and the outcomes come once more.
        """
        unsure = {
            number: call_id
            for at, number, call_id in self._sent
            if at >= self.heard - UNSURE_SECONDS
        }
        unsure |= self._waiting | self._missing
        self._missing = dict([each for each in unsure.items() if each[1]][-UNSURE:])
        self._sent.clear()
        self._waiting.clear()
        self.due = 0.0
        return self._missing
