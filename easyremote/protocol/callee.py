"""The calls that this process runs: a node's registered functions, or all of a session process.

What a call shares with a call that is passed on is in ``held.py``. Here an event is kept until the
gateway says SEEN, and an outcome until it says DELIVERED, so that both can be said again.

Pure: what runs a call is behind `CallRunner`. ``tests/protocol/test_callee.py`` and
``test_machine.py`` prove it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from easyremote.protocol.call import NO_SPOOL, CallEvent, CallState, HeldCall, Spool, advance
from easyremote.protocol.held import HeldCalls
from easyremote.protocol.messages import Event, HandBack, Started
from easyremote.protocol.seal import CLEAR, Part, Seal
from easyremote.protocol.streams import Buffer

#: Events under way for one call: the producer waits above this many, or this many bytes.
EVENT_WINDOW = 64
EVENT_WINDOW_BYTES = 256 * 1024


@dataclass(slots=True, eq=False)
class LocalCall(HeldCall):
    """One call that this process runs."""

    #: What was made and not seen yet: (seq, parts, size, encoding).
    unseen: deque[tuple[int, Sequence[Buffer], int, str]] = field(default_factory=deque)
    unseen_bytes: int = 0

    @property
    def window_is_open(self) -> bool:
        """Whether one more event is welcome."""
        return len(self.unseen) < EVENT_WINDOW and self.unseen_bytes < EVENT_WINDOW_BYTES


class CallRunner(Protocol):
    """What runs calls. All methods are called on the thread that owns the Link."""

    def start(self, held: LocalCall, encoding: str, arguments: Buffer) -> None: ...

    def cancel(self, held: LocalCall, *, kill: bool) -> None: ...

    def window_opened(self, held: LocalCall) -> None: ...


class Callee(HeldCalls[LocalCall]):
    """All calls that this process runs."""

    def __init__(self, runner: CallRunner, seal: Seal = CLEAR, spool: Spool = NO_SPOOL) -> None:
        super().__init__(LocalCall, seal, spool)
        self._runner = runner

    # -- what the runner says --------------------------------------------------------------------

    def started(self, held: LocalCall) -> None:
        """The function begins to run."""
        if held.state is CallState.DISPATCHED:
            held.state = advance(held.state, CallEvent.STARTED)
            link = self.link_for(held)
            if link is not None:
                link.send(Started(held.call))

    def emit(self, held: LocalCall, parts: Sequence[Buffer], size: int, encoding: str) -> None:
        """An event; it is kept until it was seen. Make more only while the window is open."""
        held.last_event += 1
        held.unseen.append((held.last_event, parts, size, encoding))
        held.unseen_bytes += size
        self._send_event(held, held.last_event, parts, size, encoding)

    def not_run(self, held: LocalCall, number: int) -> bool:
        """A call that came under this number was taken back and did not run.

        Returns whether it has come once more since then, under another number: then it has to run.
        """
        if held.call == number:
            self.hand_back([held])
            return False
        self._send(HandBack((number,)))
        return True

    # -- what the gateway says ---------------------------------------------------------------------

    def _start(self, held: LocalCall, encoding: str, arguments: Buffer) -> None:
        self._runner.start(held, encoding, arguments)

    def _stop(self, held: LocalCall, *, kill: bool) -> None:
        self._runner.cancel(held, kill=kill)

    def _seen(self, held: LocalCall, seq: int) -> None:
        while held.unseen and held.unseen[0][0] <= seq:
            held.unseen_bytes -= held.unseen.popleft()[2]
        if held.window_is_open and not held.is_finished:
            self._runner.window_opened(held)

    def _say_again(self, held: LocalCall) -> None:
        link = self.link_for(held)
        if link is not None and held.state is not CallState.DISPATCHED:
            link.send(Started(held.call))
        for event in held.unseen:
            self._send_event(held, *event)
        if held.outcome is not None:
            self._send_outcome(held, held.outcome)

    def _released(self, calls: Sequence[LocalCall]) -> None:
        """Nobody else has to be told."""

    def _send_event(
        self, held: LocalCall, seq: int, parts: Sequence[Buffer], size: int, encoding: str
    ) -> None:
        link = self.link_for(held)
        if link is not None:
            parts, size = self._seal.seal(parts, size, held.call_id, Part.EVENT, seq)
            link.send(Event(held.call, seq, link.offer(parts, size, encoding)))
