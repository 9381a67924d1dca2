"""The side that runs: every call that a node (or a session process) holds.

A call is held from DISPATCH until the gateway says DELIVERED; until then its outcome and the events
that nobody has seen yet can be sent again. The same ``call_id`` is never started twice: a second
DISPATCH of it is answered with how it stands. A lower fence than the one known changes nothing.

Pure: what runs a call is behind `Runner`. ``tests/protocol/test_callee.py`` and
``test_machine.py`` prove it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from easyremote.protocol.call import CallEvent, CallState, advance
from easyremote.protocol.caller import pack_error
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    Attach,
    Cancel,
    Delivered,
    Dispatch,
    Event,
    Finished,
    HandBack,
    Message,
    Seen,
    Started,
)
from easyremote.protocol.streams import Buffer

#: Events under way for one call: the producer waits above this many, or this many bytes.
EVENT_WINDOW = 64
EVENT_WINDOW_BYTES = 256 * 1024
#: Ids of calls that are over, so that a late repetition never runs again.
TOMBSTONES = 100_000


@dataclass(slots=True, eq=False)
class HeldCall:
    """One call, as its node holds it."""

    call: int
    call_id: bytes
    fence: int
    function: str
    session: str
    owner: str
    timeout: float
    #: DISPATCHED (arguments may still be on their way), RUNNING or FINISHED.
    state: CallState = CallState.DISPATCHED
    #: Whether the runner has it.
    has_arguments: bool = False
    last_event: int = 0
    #: What was made and not seen yet: (seq, parts, size, encoding).
    unseen: deque[tuple[int, Sequence[Buffer], int, str]] = field(default_factory=deque)
    unseen_bytes: int = 0
    outcome: Outcome | None = None

    @property
    def window_is_open(self) -> bool:
        """Whether one more event is welcome."""
        return len(self.unseen) < EVENT_WINDOW and self.unseen_bytes < EVENT_WINDOW_BYTES


@dataclass(slots=True, frozen=True)
class Outcome:
    """How a call ended: a value (code empty) or an error (its payload from `pack_error`)."""

    parts: Sequence[Buffer]
    size: int
    encoding: str
    code: str = ""
    may_have_run: bool = True
    seconds: float = 0.0


def failure(code: str, message: str, *, may_have_run: bool = True, **details: object) -> Outcome:
    """The outcome of a call that ended without a value."""
    body = pack_error(code, message, may_have_run=may_have_run, **details)
    return Outcome((body,), len(body), "msgpack", code, may_have_run)


class Runner(Protocol):
    """What runs calls. All methods are called on the thread that owns the Link."""

    def start(self, held: HeldCall, encoding: str, arguments: Buffer) -> None: ...

    def cancel(self, held: HeldCall, *, kill: bool) -> None: ...

    def window_opened(self, held: HeldCall) -> None: ...


class Callee:
    """All calls that one node holds."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._by_id: dict[bytes, HeldCall] = {}
        self._by_number: dict[int, HeldCall] = {}
        self._tombstones: OrderedDict[bytes, None] = OrderedDict()
        self._link: Link | None = None

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def unfinished(self) -> Iterable[HeldCall]:
        return [held for held in self._by_id.values() if held.state is not CallState.FINISHED]

    # -- connections -----------------------------------------------------------------------------

    def attach(self, link: Link) -> list[HeldCall]:
        """A connection is open; the calls to name in RESUME (`resumed` wants them back)."""
        self._link = link
        self._by_number.clear()
        # Arguments that had not come whole never will: the call did not start, and is forgotten.
        for held in [held for held in self._by_id.values() if not held.has_arguments]:
            del self._by_id[held.call_id]
        return list(self._by_id.values())

    def detach(self, link: Link) -> None:
        """The connection broke; the calls go on."""
        if self._link is link:
            self._link = None

    def resumed(self, named: Sequence[HeldCall], numbers: Sequence[int]) -> None:
        """The gateway's answer to RESUME: the calls' numbers now, 0 for "forget it"."""
        for held, number in zip(named, numbers, strict=False):
            if number and held.call_id in self._by_id:
                self._bind(held, number)
                self._send_again(held)
            elif number:  # handed back while the gateway made up its answer
                self._send(HandBack((number,)))
            else:
                if held.state is not CallState.FINISHED:
                    self._runner.cancel(held, kill=False)
                self._forget(held)

    def receive(self, message: Message) -> None:
        """Handle a message of the gateway."""
        match message:
            case Dispatch():
                self._dispatch(message)
            case Delivered():
                self._delivered(message)
            case Seen():
                held = self._by_number.get(message.call)
                if held is not None:
                    self._seen(held, message.seq)
            case Cancel():
                held = self._by_number.get(message.call)
                if held is not None and held.state is not CallState.FINISHED:
                    self._cancel(held, kill=message.kill)
            case Attach():
                held = self._by_number.get(message.call)
                if held is not None:
                    self._send_again(held)

    # -- what the runner says --------------------------------------------------------------------

    def started(self, held: HeldCall) -> None:
        """The function begins to run."""
        if held.state is CallState.DISPATCHED:
            held.state = advance(held.state, CallEvent.STARTED)
            if self._is_bound(held):
                self._send(Started(held.call))

    def emit(self, held: HeldCall, parts: Sequence[Buffer], size: int, encoding: str) -> None:
        """An event; it is kept until it was seen. Make more only while the window is open."""
        held.last_event += 1
        held.unseen.append((held.last_event, parts, size, encoding))
        held.unseen_bytes += size
        self._send_event(held, held.last_event, parts, size, encoding)

    def finish(self, held: HeldCall, outcome: Outcome) -> None:
        """The one outcome. A second one is dropped."""
        if held.state is CallState.FINISHED:
            return
        held.state = advance(held.state, CallEvent.FINISHED)
        held.outcome = outcome
        self._send_outcome(held, outcome)

    def hand_back(self, calls: Iterable[HeldCall]) -> None:
        """These did not start, and will not start here."""
        numbers = []
        for held in calls:
            if self._is_bound(held):
                numbers.append(held.call)
            self._drop(held)
        if numbers:
            self._send(HandBack(tuple(numbers)))

    # -- inside ----------------------------------------------------------------------------------

    def _delivered(self, message: Delivered) -> None:
        for number in message.calls:
            held = self._by_number.get(number)
            if held is not None and held.state is CallState.FINISHED:
                self._forget(held)

    def _dispatch(self, message: Dispatch) -> None:
        link = self._link
        assert link is not None, "messages come from an attached link"
        held = self._by_id.get(message.call_id)
        if held is not None:
            link.drop(message.payload)
            if message.fence >= held.fence:
                held.fence = message.fence
                self._bind(held, message.call)
                self._send_again(held)
            return
        if message.call_id in self._tombstones:
            link.drop(message.payload)
            over = failure("lost", "The node ran this call and its outcome was delivered.")
            payload = link.offer(over.parts, over.size, over.encoding)
            link.send(Finished(message.call, payload, over.code, fence=message.fence))
            return
        held = HeldCall(
            message.call,
            message.call_id,
            message.fence,
            message.function,
            message.session,
            message.owner,
            message.timeout,
        )
        self._by_id[held.call_id] = held
        self._by_number[held.call] = held
        encoding = message.payload.encoding
        link.collect(
            message.payload,
            lambda arguments: self._arguments_came(held, encoding, arguments),
            lambda: self._arguments_reset(held),
        )

    def _arguments_came(self, held: HeldCall, encoding: str, arguments: Buffer) -> None:
        if held.state is CallState.DISPATCHED and self._by_id.get(held.call_id) is held:
            held.has_arguments = True
            self._runner.start(held, encoding, arguments)

    def _arguments_reset(self, held: HeldCall) -> None:
        if self._by_id.get(held.call_id) is held:
            self._drop(held)

    def _cancel(self, held: HeldCall, *, kill: bool) -> None:
        if held.has_arguments:
            self._runner.cancel(held, kill=kill)
        else:
            self.finish(
                held, failure("cancelled", "It was cancelled before it began.", may_have_run=False)
            )

    def _bind(self, held: HeldCall, number: int) -> None:
        if self._is_bound(held):
            del self._by_number[held.call]
        held.call = number
        self._by_number[number] = held

    def _is_bound(self, held: HeldCall) -> bool:
        """Whether its number means this call on the present connection.

        It does not between a new connection and RESUMED: the number may be another call's by now.
        """
        return self._by_number.get(held.call) is held

    def _send(self, message: Message) -> None:
        if self._link is not None:
            self._link.send(message)

    def _drop(self, held: HeldCall) -> None:
        del self._by_id[held.call_id]
        if self._is_bound(held):
            del self._by_number[held.call]

    def _forget(self, held: HeldCall) -> None:
        if self._by_id.get(held.call_id) is held:
            self._drop(held)
        self._tombstones[held.call_id] = None
        if len(self._tombstones) > TOMBSTONES:
            self._tombstones.popitem(last=False)

    def _seen(self, held: HeldCall, seq: int) -> None:
        while held.unseen and held.unseen[0][0] <= seq:
            held.unseen_bytes -= held.unseen.popleft()[2]
        if held.window_is_open and held.state is not CallState.FINISHED:
            self._runner.window_opened(held)

    def _send_again(self, held: HeldCall) -> None:
        if held.state is not CallState.DISPATCHED:
            self._send(Started(held.call))
        for event in held.unseen:
            self._send_event(held, *event)
        if held.outcome is not None:
            self._send_outcome(held, held.outcome)

    def _send_event(
        self, held: HeldCall, seq: int, parts: Sequence[Buffer], size: int, encoding: str
    ) -> None:
        if self._link is not None and self._is_bound(held):
            payload = self._link.offer(parts, size, encoding)
            self._link.send(Event(held.call, seq, payload))

    def _send_outcome(self, held: HeldCall, outcome: Outcome) -> None:
        if self._link is not None and self._is_bound(held):
            payload = self._link.offer(outcome.parts, outcome.size, outcome.encoding)
            self._link.send(
                Finished(
                    held.call,
                    payload,
                    outcome.code,
                    outcome.may_have_run,
                    outcome.seconds,
                    held.fence,
                    held.last_event,
                )
            )
