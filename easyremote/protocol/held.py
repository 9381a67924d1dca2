"""The calls that one side holds for the gateway, from DISPATCH until the gateway says DELIVERED.

A node holds calls in two ways: it runs them itself (`callee.Callee`), or it passes them on to a
process (``node/processes/relay.py``). Both do the same with a connection, and it is written here
once:

- A call is bound to the number that the gateway gave it on the present link. Between a new link and
  RESUMED a call has no number, because its old number may be another call's by now. All that is
  said of a call goes through `HeldCalls.link_for`, so nothing is said of a call without a number.
- A call takes a place when its arguments are whole. A call whose arguments break off is forgotten:
  it did not start, and may come again.
- The same ``call_id`` is never started twice. A second DISPATCH is answered with how the call
  stands; a lower fence than the one known changes nothing.
- The outcome of a durable call is said when it is on the disk, and not before (`Spool`).

Pure. ``tests/protocol/test_callee.py`` and ``tests/node/processes/test_relay.py`` prove it;
``tests/protocol/test_machine.py`` drives both ways through the same losses and restarts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from easyremote.errors import ProtocolError
from easyremote.packing import pack
from easyremote.protocol.call import NO_SPOOL, CallEvent, CallState, HeldCall, Spool, advance
from easyremote.protocol.failures import pack_error
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    Attach,
    Cancel,
    Delivered,
    Dispatch,
    Finished,
    HandBack,
    Message,
    Resources,
    Seen,
)
from easyremote.protocol.seal import CLEAR, Part, Seal
from easyremote.protocol.streams import Buffer, TooLarge
from easyremote.protocol.tombstones import Tombstones


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


def plain_outcome(value: object) -> Outcome:
    """The outcome of a call that is answered with plain values, not with a user's objects."""
    body = pack(value)
    return Outcome((body,), len(body), "msgpack")


C = TypeVar("C", bound=HeldCall)


class HeldCalls(ABC, Generic[C]):
    """All calls that one side holds.

    Parameters
    ----------
    kind
        What is kept of a call.
    seal
        Opens arguments, and seals events and outcomes.
    spool
        Keeps the outcomes of durable calls.
    """

    def __init__(self, kind: type[C], seal: Seal = CLEAR, spool: Spool = NO_SPOOL) -> None:
        self._kind, self._seal, self._spool = kind, seal, spool
        self._by_id: dict[bytes, C] = {}
        self._by_number: dict[int, C] = {}
        self._tombstones = Tombstones()
        self._link: Link | None = None

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, call_id: bytes) -> bool:
        """Whether the call is here, or was."""
        return call_id in self._by_id or call_id in self._tombstones

    @property
    def unfinished(self) -> list[C]:
        """The calls that have no outcome yet."""
        return [held for held in self._by_id.values() if not held.is_finished]

    @property
    def all(self) -> list[C]:
        """All calls, in the order in which they came."""
        return list(self._by_id.values())

    @property
    def forgotten(self) -> bytes:
        """The ids of calls that are over, side by side."""
        return self._tombstones.ids

    # -- what becomes of a call is decided by the two who hold calls -------------------------------

    @abstractmethod
    def _start(self, held: C, encoding: str, arguments: Buffer) -> None:
        """Run a call, or let it wait for its turn: its arguments are whole."""

    @abstractmethod
    def _stop(self, held: C, *, kill: bool) -> None:
        """Stop a call that has no outcome yet."""

    @abstractmethod
    def _seen(self, held: C, seq: int) -> None:
        """Events up to this one are consumed."""

    @abstractmethod
    def _say_again(self, held: C) -> None:
        """Say all of a call that nobody has seen yet."""

    @abstractmethod
    def _released(self, calls: Sequence[C]) -> None:
        """Nobody wants anything of these calls any more."""

    # -- connections -------------------------------------------------------------------------------

    def attach(self, link: Link) -> list[C]:
        """A connection is open; the calls to name in RESUME (`resumed` wants them back)."""
        self._link = link
        self._by_number.clear()
        # Arguments that had not come whole never will: the call did not start, and is forgotten.
        for held in self.unfinished:
            if not held.has_arguments:
                del self._by_id[held.call_id]
        return self.all

    def detach(self, link: Link) -> None:
        """The connection broke; the calls go on."""
        if self._link is link:
            self._link = None

    def resumed(self, named: Sequence[C], numbers: Sequence[int]) -> None:
        """The gateway's answer to RESUME: the calls' numbers now, 0 for "forget it"."""
        for held, number in zip(named, numbers, strict=False):
            if number and self._by_id.get(held.call_id) is held:
                self._bind(held, number)
                self._say_again(held)
            elif number:  # handed back while the gateway made up its answer
                self._send(HandBack((number,)))
            else:
                if not held.is_finished:
                    self._stop(held, kill=False)
                self._forget(held)
                self._released([held])

    def receive(self, message: Message) -> None:
        """Handle a message of the gateway; a message about a call that is not here is ignored."""
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
                if held is not None and not held.is_finished:
                    self._cancel(held, kill=message.kill)
            case Attach():
                held = self._by_number.get(message.call)
                if held is not None:
                    self._say_again(held)

    def link_for(self, held: C) -> Link | None:
        """The link on which something can be said of this call now; None where there is none.

        There is none between a new connection and RESUMED: the call's number may be another
        call's by now.
        """
        return self._link if self._by_number.get(held.call) is held else None

    # -- endings -----------------------------------------------------------------------------------

    def finish(self, held: C, outcome: Outcome) -> None:
        """End a call with its one outcome. A second outcome is dropped."""
        if held.state is not CallState.FINISHED:
            held.state = advance(held.state, CallEvent.FINISHED)
            self._keep(held, outcome)

    def revive(self, call_id: bytes, fence: int, function: str, outcome: Outcome) -> None:
        """Hold a call that a process before this one has spooled; RESUME names it."""
        held = self._kind(0, call_id, fence, function, "", "", 0.0, 0.0, 0.0, "")
        held.state, held.outcome, held.has_arguments = CallState.FINISHED, outcome, True
        held.is_durable = held.is_kept = True
        self._by_id.setdefault(call_id, held)

    def take_over(self, calls: Iterable[C], forgotten: bytes) -> None:
        """Hold what a process before this one has held, before there is a connection."""
        self._by_id.update((held.call_id, held) for held in calls)
        self._tombstones.take_over(forgotten)

    def refuse(self, message: Dispatch, outcome: Outcome) -> None:
        """Answer a DISPATCH that is not taken; nothing is kept of it."""
        if self._link is not None:
            self._link.drop(message.payload)
            parts, size = self._seal.seal(
                outcome.parts, outcome.size, message.call_id, Part.OUTCOME, 0
            )
            self._link.send(
                Finished(
                    message.call,
                    self._link.offer(parts, size, outcome.encoding),
                    outcome.code,
                    outcome.may_have_run,
                    fence=message.fence,
                )
            )

    def fail(self, message: Message, text: str) -> None:
        """End the call that a message is about: an exception came up while it was handled."""
        if isinstance(message, Dispatch) and message.call_id not in self._by_id:
            self.refuse(message, failure("internal", text))
            return
        held = self._by_number.get(getattr(message, "call", 0))
        if held is not None:
            self.finish(held, failure("internal", text))

    def hand_back(self, calls: Iterable[C], reading: Resources | None = None) -> None:
        """These calls did not start, and will not start here; the reading says what they lack."""
        numbers = []
        for held in calls:
            if self.link_for(held) is not None:
                numbers.append(held.call)
            self._drop(held)
        if numbers:
            self._send(HandBack(tuple(numbers), reading))

    # -- inside ------------------------------------------------------------------------------------

    def _dispatch(self, message: Dispatch) -> None:
        link = self._link
        assert link is not None, "messages come from an attached link"
        held = self._by_id.get(message.call_id)
        if held is not None:
            link.drop(message.payload)
            if message.fence >= held.fence:
                held.fence = message.fence
                self._bind(held, message.call)
                self._say_again(held)
            return
        if message.call_id in self._tombstones:
            text = "The node ran this call and its outcome was delivered."
            self.refuse(message, failure("lost", text))
            return
        held = self._by_id[message.call_id] = self._kind(
            message.call,
            message.call_id,
            message.fence,
            message.function,
            message.session,
            message.owner,
            message.timeout,
            message.queue_timeout,
            message.run_timeout,
            message.origin,
            message.trace,
            message.needs,
            message.gpus,
            message.durable,
        )
        self._by_number[held.call] = held
        encoding = message.payload.encoding
        try:
            link.collect(
                message.payload,
                lambda arguments: self._arguments_came(held, encoding, arguments),
                lambda: self._arguments_reset(held),
            )
        except TooLarge as error:
            self._finish_unstarted(held, "cannot-ship", str(error))

    def _arguments_came(self, held: C, encoding: str, arguments: Buffer) -> None:
        """The arguments are whole. What is wrong with them ends their call, and no other."""
        if held.state is not CallState.DISPATCHED or self._by_id.get(held.call_id) is not held:
            return
        held.has_arguments = True
        try:
            opened = self._seal.open(arguments, held.call_id, Part.ARGUMENTS, 0)
            self._start(held, encoding, opened)
        except ProtocolError as error:
            self._finish_unstarted(held, "protocol", str(error))
        except Exception as error:  # a mistake of ours: the shell logs it
            self.finish(held, failure("internal", f"{held.function}() can't be run: {error!r}."))
            raise

    def _finish_unstarted(self, held: C, code: str, why: str) -> None:
        text = f"The node can't take the arguments of {held.function}(): {why}."
        self.finish(held, failure(code, text, may_have_run=False))

    def _arguments_reset(self, held: C) -> None:
        if self._by_id.get(held.call_id) is held and not held.is_finished:
            self._drop(held)

    def _cancel(self, held: C, *, kill: bool) -> None:
        if held.has_arguments:
            self._stop(held, kill=kill)
        else:
            text = "It was cancelled before it began."
            self.finish(held, failure("cancelled", text, may_have_run=False))

    def _delivered(self, message: Delivered) -> None:
        over: list[C] = []
        for number in message.calls:
            held = self._by_number.get(number)
            if held is not None and held.state is CallState.FINISHED:
                self._forget(held)
                over.append(held)
        self._released(over)

    def _bind(self, held: C, number: int) -> None:
        if self._by_number.get(held.call) is held:
            del self._by_number[held.call]
        held.call = number
        self._by_number[number] = held

    def _send(self, message: Message) -> None:
        assert self._link is not None, "only calls with a number on it are spoken of"
        self._link.send(message)

    def _keep(self, held: C, outcome: Outcome) -> None:
        """Say an outcome: that of a durable call when it is on the disk."""
        held.outcome = outcome
        if held.is_durable:
            self._spool.keep(held, outcome, partial(self._kept, held, outcome))
        else:
            self._send_outcome(held, outcome)

    def _kept(self, held: C, outcome: Outcome) -> None:
        held.is_kept = True
        self._send_outcome(held, outcome)

    def _send_outcome(self, held: C, outcome: Outcome) -> None:
        link = self.link_for(held) if held.is_kept or not held.is_durable else None
        if link is not None:
            parts, size = self._seal.seal(
                outcome.parts, outcome.size, held.call_id, Part.OUTCOME, 0
            )
            link.send(
                Finished(
                    held.call,
                    link.offer(parts, size, outcome.encoding),
                    outcome.code,
                    outcome.may_have_run,
                    outcome.seconds,
                    held.fence,
                    held.last_event,
                )
            )

    def _drop(self, held: C) -> None:
        """Forget a call that did not start; it may come again."""
        del self._by_id[held.call_id]
        if self._by_number.get(held.call) is held:
            del self._by_number[held.call]
        if held.is_durable:
            self._spool.forget(held)

    def _forget(self, held: C) -> None:
        """Forget a call that is over; it never runs again."""
        if self._by_id.get(held.call_id) is held:
            self._drop(held)
        self._tombstones.add(held.call_id)
