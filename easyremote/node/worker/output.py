"""What a running cell shows, on its way out: merged, slowed down and limited. Pure, no clock.

Streams of one name are merged and their carriage returns worked out, of a display's updates and a
bar's states only the newest is kept, what a ``clear_output`` would wipe is dropped. At most twenty
batches a second leave, because each costs messages on three links and a repaint in the notebook;
where very much is written to both streams in between, only the order in each of them is kept.
What widgets say is never left out, but for the values that a newer one has replaced.
Of a cell's output beyond `LIMIT` the end is kept and the middle left out, with a line that says so.
Not thread-safe: whoever shares it holds a lock. ``tests/node/worker/test_output.py`` proves it.
"""

from __future__ import annotations

from collections import deque
from typing import Any

__all__ = ["COMMS", "Event", "OutputBuffer", "note_catching", "values_set"]

#: See the Jupyter messaging specification; ``type`` is the message's type, beside it its content.
Event = dict[str, Any]

FLUSH_INTERVAL = 0.05
PROGRESS_INTERVAL = 0.1
#: With more moving bars than these, each moves less often: 200 states a second are enough.
QUICK_BARS = 20
#: Bytes (nearly: characters) of a cell that are shown. A browser with more becomes unusable.
LIMIT = 10_000_000
#: How much of that is kept for the end of the output, where the error is.
TAIL = 2_000_000
#: Merged pieces of one stream event; bounds what is thrown away at once from the tail.
_MAX_PIECES = 1000
#: Stream events of one batch whose order among the two streams is kept.
_MAX_STREAMS = 50


_SHOWN = frozenset({"stream", "display_data", "execute_result", "error"})
#: What a widget says.
COMMS = frozenset({"comm_open", "comm_msg", "comm_close"})


class OutputBuffer:
    """The output of one cell.

    ``add`` events as they come, ``take`` what is due when ``next_flush`` says so, and ``take_all``
    when the cell has ended. Times are seconds on any clock that only goes forward.
    """

    def __init__(self, limit: int = LIMIT, tail: int = TAIL) -> None:
        self._head_size = self._head_left = limit - tail
        self._tail_size = self._tail_left = tail
        self._pending: list[Event] = []
        self._tail: deque[Event] = deque()
        self._left_out = 0
        self._progress: dict[str, Event] = {}
        self._progress_sent: dict[str, float] = {}
        #: The widgets (`ipywidgets.Output`) that catch what is shown.
        self._catching: set[str] = set()
        self._last_flush = float("-inf")

    def add(self, event: Event, now: float) -> None:
        """Take in one event; it becomes the buffer's."""
        match event["type"]:
            case "progress":
                self._move(event)
            case "clear_output":
                self._clear(event)
            case "update_display_data":
                self._update(event)
            case "input_request":  # the cell waits for the answer: no limit keeps it here
                self._pending.append(event)
            case kind if kind in COMMS:
                self._say(event)
            case _:
                self._show(event)

    def next_flush(self, now: float) -> float | None:
        """When to call `take` next; None while there is nothing to take."""
        due = [self._last_flush + FLUSH_INTERVAL] if self._pending else []
        due += [self._due(event) for event in self._progress.values()]
        return max(min(due), now) if due else None

    def take(self, now: float) -> list[Event]:
        """What is due by now, oldest first."""
        if now < self._last_flush + FLUSH_INTERVAL:
            return []
        batch, self._pending = self._pending, []
        for bar, event in list(self._progress.items()):
            if self._due(event) <= now:
                batch.append(self._progress.pop(bar))
        for event in batch:
            if event["type"] == "progress":
                if event["state"] == "running":
                    self._progress_sent[event["id"]] = now
                else:
                    self._progress_sent.pop(event["id"], None)
        if batch:
            self._last_flush = now
        return [_finished(event) for event in batch]

    def take_all(self) -> list[Event]:
        """All that is left, the kept end of an output that was too long included."""
        batch = self._pending
        if self._left_out:
            batch.append(_stream("stderr", f"\n[{_megabytes(self._left_out)} left out here]\n"))
        batch += [*self._tail, *self._progress.values()]
        self._pending = []
        self._tail.clear()
        self._progress.clear()
        self._left_out, self._tail_left = 0, self._tail_size
        return [_finished(event) for event in batch]

    def _due(self, event: Event) -> float:
        next_flush = self._last_flush + FLUSH_INTERVAL
        if event["state"] != "running":
            return next_flush
        sent = self._progress_sent[event["id"]]
        interval = PROGRESS_INTERVAL * max(len(self._progress_sent) / QUICK_BARS, 1)
        return max(sent + interval, next_flush)

    def _move(self, event: Event) -> None:
        """Keep a bar's newest state; its first keeps its place among what is printed."""
        bar = event["id"]
        last = self._pending[-1] if self._pending else {}
        if bar not in self._progress_sent:
            self._progress_sent[bar] = float("-inf")
            self._pending.append(event)
        elif last.get("type") == "progress" and last["id"] == bar:
            self._pending[-1] = event
        else:
            self._progress[bar] = event

    def _clear(self, event: Event) -> None:
        if not event["wait"]:
            self._wipe()
        if self._catching and self._head_left < 0:
            self._tail.append(event)  # what it clears is a widget's, and waits there
            return
        if not self._catching:
            self._pending += [other for other in self._tail if other["type"] in COMMS]
            self._tail.clear()
            self._head_left, self._tail_left, self._left_out = self._head_size, self._tail_size, 0
        self._pending.append(event)

    def _wipe(self) -> None:
        gone = _SHOWN | {"clear_output"}
        # What was shown before a widget began to catch, or ended, stands elsewhere.
        start = max((n for n, event in enumerate(self._pending) if _catches(event)), default=0)
        here = self._pending[start:]
        # Updates of what leaves with them would be of displays that nobody has seen.
        wiped = {_display_id(event) for event in here if event["type"] == "display_data"}
        self._pending[start:] = [
            event
            for event in here
            if event["type"] not in gone
            and not (event["type"] == "update_display_data" and _display_id(event) in wiped)
        ]

    def _update(self, event: Event) -> None:
        for index, other in enumerate(self._pending):
            if other["type"] == event["type"] and _display_id(other) == _display_id(event):
                del self._pending[index]  # and not put there: it may show a widget made since
                break
        self._pending.append(event)

    def _say(self, event: Event) -> None:
        """Take in what a widget says; a value in the place of the one that it replaces."""
        note_catching(event, self._catching)
        events = self._pending if self._head_left >= 0 else self._tail
        values = values_set(event)
        for back in range(1, min(len(events), _MAX_STREAMS) + 1 if values else 0):
            other = events[-back]
            if other["type"] == "stream":
                continue
            if not (replaced := values_set(other)):
                break
            if other["comm_id"] == event["comm_id"]:
                if replaced <= values:
                    events[-back] = event
                    return
                break
        events.append(event)

    def _show(self, event: Event) -> None:
        if self._pending and self._pending[-1]["type"] == "clear_output":
            clear = self._pending[-1]  # it waited for this: what came before will not be seen
            self._wipe()
            self._pending.append(clear)
        size = _size(event)
        if size <= self._head_left:
            self._head_left -= size
            self._append(event)
            return
        if event["type"] == "stream" and self._head_left > 0:
            text, event["text"] = event["text"], event["text"][self._head_left :]
            self._append(event | {"text": text[: self._head_left]})
        self._head_left = -1  # even what has no size waits in the tail now, to stay in order
        self._keep(event)

    def _append(self, event: Event) -> None:
        recent = self._pending[-_MAX_STREAMS:]
        if (
            len(recent) == _MAX_STREAMS
            and event["type"] == "stream"
            and event["name"] == recent[-2].get("name") != recent[-1].get("name")
            and all(other["type"] == "stream" for other in recent)
        ):
            recent[-2]["text"].append(event["text"])
        else:
            _append(self._pending, event)

    def _keep(self, event: Event) -> None:
        if event["type"] == "stream" and len(event["text"]) > self._tail_size:
            self._left_out += len(event["text"]) - self._tail_size
            event["text"] = event["text"][-self._tail_size :]
        self._tail_left -= _size(event)
        _append(self._tail, event)
        while self._tail_left < 0:
            size = self._drop(-self._tail_left)
            self._tail_left += size
            self._left_out += size

    def _drop(self, excess: int) -> int:
        """Drop from the start of the tail, of a text only what is too much; how much that was."""
        first = self._tail[0]
        if first["type"] in COMMS:
            self._pending.append(self._tail.popleft())
            return 0
        if first["type"] != "stream":
            return _size(self._tail.popleft())
        pieces, dropped = first["text"], 0  # never all are measured: there can be a thousand
        while pieces and dropped + len(pieces[0]) <= excess:
            dropped += len(pieces.pop(0))
        if not pieces:
            self._tail.popleft()
        elif dropped < excess:
            pieces[0] = pieces[0][excess - dropped :]
            dropped = excess
        return dropped


def _state(event: Event) -> dict[str, Any]:
    """What a comm's message sets, if it is that of a widget."""
    data = event["data"] if event["type"] == "comm_msg" else None
    state = data.get("state") if isinstance(data, dict) else None
    return state if isinstance(state, dict) else {}


def values_set(event: Event) -> frozenset[str]:
    """The names of a widget's values that a message sets; none where it does more than that."""
    state = _state(event)
    if not state or "msg_id" in state or event["data"].get("method") != "update":
        return frozenset()
    return frozenset(state).union(path[0] for path in event["data"].get("buffer_paths", ()))


def note_catching(event: Event, catching: set[str]) -> None:
    """Keep the set of the widgets that catch what is shown, by comm id."""
    if _state(event).get("msg_id"):
        catching.add(event["comm_id"])
    elif _catches(event):
        catching.discard(event["comm_id"])


def _catches(event: Event) -> bool:
    """Whether an `ipywidgets.Output` begins with it, or ends, to catch what is shown."""
    return "msg_id" in _state(event)


def _stream(name: str, text: str) -> Event:
    return {"type": "stream", "name": name, "text": text}


def _append(events: list[Event] | deque[Event], event: Event) -> None:
    """Append, merging streams; a merged text is a list of pieces until it leaves."""
    last = events[-1] if events else {}
    if event["type"] == "stream" == last.get("type") and event["name"] == last["name"]:
        if len(last["text"]) < _MAX_PIECES:
            last["text"].append(event["text"])
            return
    if event["type"] == "stream":
        event = event | {"text": [event["text"]]}
    events.append(event)


def _size(event: Event) -> int:
    match event["type"]:
        case "stream":
            text = event["text"]
            return len(text) if isinstance(text, str) else sum(map(len, text))
        case "error":
            return len(event["traceback"])
        case "display_data":
            return sum(len(data) for data in event["data"].values() if isinstance(data, str))
    return 0


def _display_id(event: Event) -> str | None:
    display: str | None = event["transient"].get("display_id")
    return display


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size} characters"


def _finished(event: Event) -> Event:
    if event["type"] == "stream":
        text = event["text"] if isinstance(event["text"], str) else "".join(event["text"])
        return event | {"text": compacted(text)}
    return event


def compacted(text: str) -> str:
    """Work out carriage returns as a screen does, so that ``\\r 1%\\r 2%`` is just ``\\r 2%``.

    What stands on the first line already isn't known, so its first return stays; so does the place
    of the cursor in the last line. Lines with escape sequences are left alone.
    """
    if "\r" not in text:
        return text
    first, *others = text.replace("\r\n", "\n").split("\n")
    known, returned, rest = first.partition("\r")
    ends_here = not others
    lines = [known + returned + _overwritten(rest, ends_here)]
    lines += [_overwritten(line, line is others[-1]) for line in others]
    return "\n".join(lines)


def _overwritten(line: str, is_last: bool) -> str:
    if "\r" not in line or "\x1b" in line:
        return line
    *_, end = parts = line.split("\r")
    shown = ""
    for part in parts:
        shown = part + shown[len(part) :]
    return f"{shown}\r{end}" if is_last and end != shown else shown
