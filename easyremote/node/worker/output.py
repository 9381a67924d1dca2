"""The output of a running cell before it is sent: merged, slowed down and limited. Pure, no clock.

Texts of one stream are merged, and their carriage returns are applied. Of a display's updates and
of a bar's states only the newest is kept. Output that a ``clear_output`` would wipe is dropped. At
most twenty batches a second leave, because each costs messages on three links and a repaint in the
notebook. If very much is written to both streams in between, only the order within each stream is
kept. A widget's messages are never left out, except a value that a newer value has replaced. Of an
output that is longer than `LIMIT`, the start and the end are kept, and a line says what is missing.
Not thread-safe: its user holds a lock. ``tests/node/worker/test_output.py`` proves it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from easyremote.events import (
    ClearOutput,
    Comm,
    CommClose,
    CommMessage,
    CommOpen,
    Display,
    DisplayUpdate,
    ErrorShown,
    Event,
    InputRequest,
    Progress,
    Stream,
    StreamName,
    Value,
    note_catching,
    starts_or_stops_catching,
    values_set,
)
from easyremote.terminal_text import compacted

__all__ = ["OutputBuffer"]

FLUSH_INTERVAL = 0.05
PROGRESS_INTERVAL = 0.1
#: With more moving bars than these, each moves less often: 200 states a second are enough.
QUICK_BARS = 20
#: Characters of a cell's output that are shown. With more, a browser becomes unusable.
LIMIT = 10_000_000
#: How much of that is kept for the end of the output, where the error is.
TAIL = 2_000_000
#: Most pieces in one stream event. The tail drops whole events, so this bounds one drop.
_MAX_PIECES = 1000
#: Stream events in one batch. With more, only the order within each stream is kept.
_MAX_STREAMS = 50


@dataclass(slots=True, eq=False)
class _Text:
    """Text of one stream that waits here, in the pieces in which it came."""

    name: StreamName
    pieces: list[str]


#: What waits in the buffer: events, and merged text that becomes a `Stream` when it leaves.
_Waiting = Event | _Text
_SHOWN = (_Text, Display, Value, ErrorShown)
_COMMS = (CommOpen, CommMessage, CommClose)


class OutputBuffer:
    """The output of one cell.

    ``add`` events as they come, ``take`` what is due when ``next_flush`` says so, and ``take_all``
    when the cell has ended. Times are seconds on any clock that only goes forward.
    """

    def __init__(self, limit: int = LIMIT, tail: int = TAIL) -> None:
        self._head_size = self._head_left = limit - tail
        self._tail_size = self._tail_left = tail
        self._pending: list[_Waiting] = []
        self._tail: deque[_Waiting] = deque()
        self._left_out = 0
        self._progress: dict[str, Progress] = {}
        self._progress_sent: dict[str, float] = {}
        #: The widgets (`ipywidgets.Output`) that catch what is shown.
        self._catching: set[str] = set()
        self._last_flush = float("-inf")

    def add(self, event: Event, now: float) -> None:
        """Take in one event. The caller does not change it any more."""
        match event:
            case Stream():
                self._show(_Text(event.name, [event.text]))
            case Progress():
                self._move(event)
            case ClearOutput():
                self._clear(event)
            case DisplayUpdate():
                self._update(event)
            case InputRequest():  # the cell waits for the answer: no limit keeps it here
                self._pending.append(event)
            case CommOpen() | CommMessage() | CommClose():
                self._say(event)
            case _:
                self._show(event)

    @property
    def has_events(self) -> bool:
        """Whether there is anything to take."""
        return bool(self._pending or self._tail or self._progress or self._left_out)

    def next_flush(self, now: float) -> float | None:
        """When to call `take` next; None while there is nothing to take."""
        due = [self._last_flush + FLUSH_INTERVAL] if self._pending else []
        due += [self._due(event) for event in self._progress.values()]
        return max(min(due), now) if due else None

    def take(self, now: float) -> list[Event]:
        """Take the events that are due by now, oldest first."""
        if now < self._last_flush + FLUSH_INTERVAL:
            return []
        batch, self._pending = self._pending, []
        for bar, event in list(self._progress.items()):
            if self._due(event) <= now:
                batch.append(self._progress.pop(bar))
        for each in batch:
            if isinstance(each, Progress):
                if each.state == "running":
                    self._progress_sent[each.id] = now
                else:
                    self._progress_sent.pop(each.id, None)
        if batch:
            self._last_flush = now
        return [_finished(event) for event in batch]

    def take_all(self) -> list[Event]:
        """Take all events that are left, with the end of an output that was too long."""
        batch = self._pending
        if self._left_out:
            note = f"\n[{_megabytes(self._left_out)} left out here]\n"
            batch.append(_Text("stderr", [note]))
        batch += [*self._tail, *self._progress.values()]
        self._pending = []
        self._tail.clear()
        self._progress.clear()
        self._left_out, self._tail_left = 0, self._tail_size
        return [_finished(event) for event in batch]

    def _due(self, event: Progress) -> float:
        next_flush = self._last_flush + FLUSH_INTERVAL
        if event.state != "running":
            return next_flush
        sent = self._progress_sent[event.id]
        interval = PROGRESS_INTERVAL * max(len(self._progress_sent) / QUICK_BARS, 1)
        return max(sent + interval, next_flush)

    def _move(self, event: Progress) -> None:
        """Keep a bar's newest state, at the place of its first state among the output."""
        bar = event.id
        last = self._pending[-1] if self._pending else None
        if bar not in self._progress_sent:
            self._progress_sent[bar] = float("-inf")
            self._pending.append(event)
        elif isinstance(last, Progress) and last.id == bar:
            self._pending[-1] = event
        else:
            self._progress[bar] = event

    def _clear(self, event: ClearOutput) -> None:
        if not event.wait:
            self._wipe()
        if self._catching and self._head_left < 0:
            self._tail.append(event)  # it clears a widget's output, which waits in the tail
            return
        if not self._catching:
            self._pending += [other for other in self._tail if isinstance(other, _COMMS)]
            self._tail.clear()
            self._head_left, self._tail_left, self._left_out = self._head_size, self._tail_size, 0
        self._pending.append(event)

    def _wipe(self) -> None:
        # Output from before a widget began or stopped to catch is shown elsewhere.
        start = max((n for n, each in enumerate(self._pending) if _catches(each)), default=0)
        here = self._pending[start:]
        # An update is no use without its display, which leaves with it.
        wiped = {_display_id(event) for event in here if isinstance(event, Display)}
        self._pending[start:] = [
            event
            for event in here
            if not isinstance(event, (*_SHOWN, ClearOutput))
            and not (isinstance(event, DisplayUpdate) and _display_id(event) in wiped)
        ]

    def _update(self, event: DisplayUpdate) -> None:
        for index, other in enumerate(self._pending):
            if isinstance(other, DisplayUpdate) and _display_id(other) == _display_id(event):
                del self._pending[
                    index
                ]  # at its own place: it may show a widget that was made since
                break
        self._pending.append(event)

    def _say(self, event: Comm) -> None:
        """Take in a widget's message. A value takes the place of the value that it replaces."""
        note_catching(event, self._catching)
        events = self._pending if self._head_left >= 0 else self._tail
        values = values_set(event)
        for back in range(1, min(len(events), _MAX_STREAMS) + 1 if values else 0):
            other = events[-back]
            if isinstance(other, _Text):
                continue
            if not isinstance(other, CommMessage) or not (replaced := values_set(other)):
                break
            if other.comm_id == event.comm_id:
                if replaced <= values:
                    events[-back] = event
                    return
                break
        events.append(event)

    def _show(self, event: _Waiting) -> None:
        clear = self._pending[-1] if self._pending else None
        if isinstance(clear, ClearOutput):
            self._wipe()  # the clearing waited for this event: earlier output will not be seen
            self._pending.append(clear)
        size = _size(event)
        if size <= self._head_left:
            self._head_left -= size
            self._append(event)
            return
        if isinstance(event, _Text) and self._head_left > 0:
            text = "".join(event.pieces)
            self._append(_Text(event.name, [text[: self._head_left]]))
            event = _Text(event.name, [text[self._head_left :]])
        self._head_left = -1  # from now on every event waits in the tail, to stay in order
        self._keep(event)

    def _append(self, event: _Waiting) -> None:
        recent = self._pending[-_MAX_STREAMS:]
        if isinstance(event, _Text) and len(recent) == _MAX_STREAMS:
            texts = [other for other in recent if isinstance(other, _Text)]
            if len(texts) == _MAX_STREAMS and event.name == texts[-2].name != texts[-1].name:
                texts[-2].pieces += event.pieces
                return
        _append(self._pending, event)

    def _keep(self, event: _Waiting) -> None:
        if isinstance(event, _Text) and _size(event) > self._tail_size:
            self._left_out += _size(event) - self._tail_size
            event.pieces = ["".join(event.pieces)[-self._tail_size :]]
        self._tail_left -= _size(event)
        _append(self._tail, event)
        while self._tail_left < 0:
            size = self._drop(-self._tail_left)
            self._tail_left += size
            self._left_out += size

    def _drop(self, excess: int) -> int:
        """Drop from the start of the tail, and only a part of a text; the number of characters."""
        first = self._tail[0]
        if isinstance(first, _COMMS):
            self._pending.append(self._tail.popleft())
            return 0
        if not isinstance(first, _Text):
            return _size(self._tail.popleft())
        pieces, dropped = first.pieces, 0  # not all pieces are measured: there can be a thousand
        while pieces and dropped + len(pieces[0]) <= excess:
            dropped += len(pieces.pop(0))
        if not pieces:
            self._tail.popleft()
        elif dropped < excess:
            pieces[0] = pieces[0][excess - dropped :]
            dropped = excess
        return dropped


def _append(events: list[_Waiting] | deque[_Waiting], event: _Waiting) -> None:
    """Append; text joins the text of the same stream before it."""
    last = events[-1] if events else None
    if isinstance(event, _Text) and isinstance(last, _Text) and event.name == last.name:
        if len(last.pieces) < _MAX_PIECES:
            last.pieces += event.pieces
            return
    events.append(event)


def _size(event: _Waiting) -> int:
    match event:
        case _Text():
            return sum(map(len, event.pieces))
        case ErrorShown():
            return len(event.traceback)
        case Display():
            return sum(len(data) for data in event.data.values() if isinstance(data, str))
    return 0


def _display_id(event: Display | DisplayUpdate) -> str | None:
    display: str | None = event.transient.get("display_id")
    return display


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size} characters"


def _finished(event: _Waiting) -> Event:
    if isinstance(event, _Text):
        return Stream(event.name, compacted("".join(event.pieces)))
    return event


def _catches(event: _Waiting) -> bool:
    return isinstance(event, CommMessage) and starts_or_stops_catching(event)
