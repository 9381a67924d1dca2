"""What the calls of a process show: whose it is, where it is kept, and who reads it.

Output, figures and progress come from any thread (`Showing.emit`). Each event goes into the record
of its call; the link's thread takes it from there to whoever reads the record: the call itself, and
questions that follow it from elsewhere. A lock guards what both threads use.
``tests/node/worker/test_showing.py`` proves it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from easyremote.events import CommClose, CommMessage, CommOpen, Display, Event, Stream, Value
from easyremote.node.worker.outlived import Outlived
from easyremote.node.worker.record import Reader, Record, Records
from easyremote.protocol.builtins import OUTPUT
from easyremote.protocol.callee import Callee, LocalCall
from easyremote.protocol.failures import unpack_error
from easyremote.protocol.held import Outcome, failure, plain_outcome
from easyremote.protocol.requests import CallStatus, Replay
from easyremote.protocol.streams import Buffer

__all__ = ["Showing", "Work"]


@dataclass(slots=True, eq=False)
class Work:
    """One call for the main thread."""

    held: LocalCall
    arguments: Buffer
    encoding: str = "pickle5"
    record: Record = field(default_factory=Record)
    #: When the main thread began it, on the monotonic clock.
    began: float = 0.0
    #: Whether its caller was told that it started, and reads its record.
    has_begun: bool = False
    #: For the main thread: whether its end is still to be told. For the link's: whether it was.
    is_open: bool = True
    is_over: bool = False
    #: Its number on the link when it came.
    number: int = field(init=False)

    def __post_init__(self) -> None:
        self.number = self.held.call

    def take(self) -> Buffer:
        """The arguments, for whoever lets go of them as soon as they are loaded: they are large."""
        taken, self.arguments = self.arguments, b""
        return taken


class Schedule(Protocol):
    """What runs something on the link's thread."""

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: object) -> object: ...

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object
    ) -> object: ...


class Showing:
    """See the module.

    Parameters
    ----------
    callee
        Sends what is read.
    loop
        The loop of the link's thread.
    """

    def __init__(self, callee: Callee, loop: Schedule) -> None:
        self._callee = callee
        self._loop = loop
        self._lock = threading.Lock()
        self._records = Records()
        self._reading: dict[LocalCall, tuple[Record, Reader]] = {}
        self._outlived: Outlived[Record] = Outlived()
        #: The record of the call that runs, or ran last; and whether it runs.
        self._current: Record | None = None
        self._runs = False
        #: The record of the call that takes to the notebook what widgets say, while one runs.
        self._carrier: Record | None = None
        #: What widgets said while no such call ran.
        self._unsent: list[Event] = []
        #: Whether this process is a child that user code has forked.
        self.is_fork = False
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self.is_fork = True

    # -- on the main thread ------------------------------------------------------------------------

    def call_begins(self, record: Record) -> None:
        """What is shown from now on belongs to this call."""
        self._current, self._runs = record, True
        self._outlived.call_begins()

    def call_ended(self, record: Record) -> None:
        """What its threads show while no other call runs belongs to it, too."""
        self._runs = False
        self._outlived.call_ended(record)

    def carry(self, record: Record) -> None:
        """What widgets say, and have said before, goes with this call."""
        with self._lock:
            self._carrier = record
            unsent, self._unsent = self._unsent, []
        for event in unsent:
            self.emit(event)

    def take_late(self) -> list[tuple[str, int]]:
        """Ids of calls whose threads have printed since this was asked, and how many characters."""
        with self._lock:
            return self._records.take_late()

    # -- on any thread -----------------------------------------------------------------------------

    def emit(self, event: Event) -> None:
        """Take an event: output, a figure, progress."""
        if self.is_fork:
            _print_plainly(event)
            return
        with self._lock:
            if isinstance(event, CommOpen | CommMessage | CommClose):
                record = self._carrier
                if record is None:
                    self._unsent.append(event)
            else:
                record = self._shown_in(self._outlived.of_this_thread())
            if record is None:
                return  # printed before any call, or kept for the next one
            now = time.monotonic()
            record.buffer.add(event, now)
            if record.outcome is not None and isinstance(event, Stream):
                self._records.printed_late(record, len(event.text))
            # Waking the other thread for nothing would cost a program that prints most of its time.
            is_due = record.has_room and record.buffer.next_flush(now) is not None
            if record.is_scheduled or not is_due:
                return
            record.is_scheduled = True
        self._loop.call_soon_threadsafe(self._flush, record)

    def _shown_in(self, owner: Record | None) -> Record | None:
        """Where output of this thread belongs; ``owner``: the call that the thread has outlived.

        It belongs to the call that runs, as in a notebook's own kernel: a thread that lives on may
        work for it (IPython runs ``%%bash`` in one, the user may have a queue). Only threads of a
        job in the background go on printing there.
        """
        if owner is None or (self._runs and not owner.is_background):
            return self._current
        return owner

    # -- on the link's thread ----------------------------------------------------------------------

    def begin(self, work: Work) -> None:
        """Say that a call has started, and let its caller read its record. Safe to repeat."""
        if work.has_begun:
            return
        work.has_begun = True
        held, record = work.held, work.record
        with self._lock:
            self._records.add(held.call_id, record)
        reader = Reader(held)
        record.readers.append(reader)
        self._reading[held] = record, reader
        self._callee.started(held)
        self._flush(record)  # it may have printed already, and then nobody was there to read

    def end(self, work: Work, outcome: Outcome) -> None:
        """Send what is left of a call's events, then its outcome."""
        record = work.record
        with self._lock:
            events = record.buffer.take_all()
            record.outcome, self._carrier = outcome, None
        if not events and not work.has_begun:  # the common case: its outcome says it all
            with self._lock:
                self._records.add(work.held.call_id, record)
            self._callee.finish(work.held, outcome)
            return
        self.begin(work)
        if events:
            record.write(events)
        self._pump(record)

    def replay(self, held: LocalCall, how: Replay) -> None:
        """Send what another call has shown and, if wanted, what it will show until its end."""
        record = self._records.find(held.session)
        self._callee.started(held)
        if record is None:
            self._callee.finish(held, plain_outcome(CallStatus("queued")))
            return
        reader = Reader(held, how.follow, how.bars_only)
        record.readers.append(reader)
        self._reading[held] = record, reader
        self._pump(record)
        self._flush(record)

    def stop_following(self, held: LocalCall) -> None:
        """A call does not want to follow another one any longer."""
        if held in self._reading:
            record, reader = self._reading.pop(held)
            record.readers.remove(reader)
            self._callee.finish(held, failure("cancelled", "It is followed no longer."))

    def window_opened(self, held: LocalCall) -> None:
        """More events of a call are welcome."""
        if held in self._reading:
            record, _ = self._reading[held]
            self._pump(record)
            self._flush(record)

    def _flush(self, record: Record) -> None:
        """Log what is due, send it, and come back for the rest."""
        now = time.monotonic()
        with self._lock:
            record.is_scheduled = False
            if not record.has_room:
                return  # window_opened() comes back
            is_over = record.outcome is not None
            events = record.buffer.take_all() if is_over else record.buffer.take(now)
            later = record.buffer.next_flush(now)
            if later is not None:
                record.is_scheduled = True
                self._loop.call_later(max(later - now, 0.001), self._flush, record)
        if events:
            record.write(events)
            self._pump(record)

    def _pump(self, record: Record) -> None:
        """Send every reader what it has room for; a reader that has all is done."""
        for reader in list(record.readers):
            held = reader.held
            must = record.outcome is not None and held.function != OUTPUT  # it ends now
            while must or held.window_is_open:
                batch = record.read(reader)
                if batch is None:
                    if record.outcome is not None or not reader.follows:
                        self._stop_reading(record, reader)
                    break
                self._callee.emit(held, (batch,), len(batch), "msgpack")

    def _stop_reading(self, record: Record, reader: Reader) -> None:
        record.readers.remove(reader)
        del self._reading[reader.held]
        outcome = record.outcome
        if reader.held.function != OUTPUT:
            assert outcome is not None, "its own reader follows it to the end"
            self._callee.finish(reader.held, outcome)
            return
        error = None
        if outcome is not None and outcome.code:
            error = unpack_error(b"".join(map(bytes, outcome.parts)))
        status = CallStatus("running" if outcome is None else "done", error)
        self._callee.finish(reader.held, plain_outcome(status))


def _print_plainly(event: Event) -> None:
    """In a forked child: what it shows goes as text to the descriptor that its parent reads."""
    if isinstance(event, Display | Value):
        print(event.data.get("text/plain", ""))  # noqa: T201 - it is the user's display
