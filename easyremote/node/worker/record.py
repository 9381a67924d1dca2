"""The output of a call: sent to its readers now, and kept for readers who come later. Pure.

A `Record` takes a call's events through an `OutputBuffer` into a log. Each `Reader` goes through
the log at its own pace: the call itself, and any ``$output`` call that shows the events again. Of a
bar only the newest state is kept. When a log is longer than `LIMIT`, its start is dropped, and a
reader who comes too late is told how much was dropped. `Records` holds the records of a process's
last calls. ``tests/node/worker/test_record.py`` proves it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

import msgspec

from easyremote.events import Event, Progress, Stream, encode
from easyremote.node.worker.output import OutputBuffer
from easyremote.protocol.callee import LocalCall
from easyremote.protocol.held import Outcome

#: Bytes that are kept of one call; a cell's whole output (`output.LIMIT`) fits.
LIMIT = 12_000_000
#: How many calls are kept, and how many bytes of all of them.
CALLS = 50
TOTAL_LIMIT = 64_000_000


@dataclass(slots=True, eq=False)
class Reader:
    """A reader of a record: the call to which the events are sent."""

    held: LocalCall
    #: Whether the reader waits for later events, up to the end of the call.
    follows: bool = True
    #: Whether the reader wants bars only, and not the output, which is large.
    bars_only: bool = False
    #: The next entry of the log, and how many bytes came before it.
    index: int = 0
    offset: int = 0
    #: The newest change of a bar that the reader has.
    version: int = 0


@dataclass(slots=True)
class _Bar:
    version: int
    encoded: msgspec.Raw
    #: Whether the bar is shown no more.
    is_gone: bool


@dataclass(eq=False)
class Record:
    """The output of one call. ``limit``: how much of it is kept, in bytes."""

    limit: int = LIMIT
    buffer: OutputBuffer = field(default_factory=OutputBuffer)
    readers: list[Reader] = field(default_factory=list)
    #: How the call ended, when it has.
    outcome: Outcome | None = None
    #: Whether the link's thread will come to take what is in the buffer.
    is_scheduled: bool = False
    #: Whether it is a job in the background: what its threads print stays with it for ever.
    is_background: bool = False
    #: Characters that threads printed after the end, not yet told to the next cell.
    late: int = 0

    def __post_init__(self) -> None:
        #: The events; a bar stands as its id, at the place where it was first shown.
        self._log: deque[tuple[list[msgspec.Raw | str], int]] = deque()
        self._bars: dict[str, _Bar] = {}
        self._first = self._forgotten = self._version = 0
        self.size = 0

    @property
    def has_room(self) -> bool:
        """Whether a reader has room. The events of a call that is over are always logged."""
        return self.outcome is not None or any(r.held.window_is_open for r in self.readers)

    @property
    def is_over(self) -> bool:
        """Whether its call has ended, and nobody reads it any more."""
        return self.outcome is not None and not self.readers

    def write(self, events: list[Event]) -> None:
        """Log events that left the buffer."""
        seen = min((reader.version for reader in self.readers), default=self._version)
        gone = [key for key, bar in self._bars.items() if bar.is_gone and bar.version <= seen]
        for key in gone:
            del self._bars[key]
        entry: list[msgspec.Raw | str] = []
        for event in events:
            if not isinstance(event, Progress):
                entry.append(_encoded(event))
                continue
            if event.id not in self._bars:
                entry.append(event.id)
            self._move(event)
        if entry:
            size = sum(map(len, entry))
            self._log.append((entry, size))
            self.size += size
        while self.size > self.limit and len(self._log) > 1:
            _, size = self._log.popleft()
            self.size -= size
            self._forgotten += size
            self._first += 1

    def read(self, reader: Reader) -> bytes | None:
        """The next batch for a reader, encoded; None where it has all."""
        entry = [] if reader.bars_only else self._read_log(reader)
        bars = {key for key in entry if isinstance(key, str)}
        batch = [self._bars[each].encoded if isinstance(each, str) else each for each in entry]
        if reader.bars_only or reader.index - self._first >= len(self._log):
            batch += [
                bar.encoded
                for key, bar in self._bars.items()
                if bar.version > reader.version and key not in bars
            ]
            reader.version = self._version
        return msgspec.msgpack.encode(batch) if batch else None

    def _read_log(self, reader: Reader) -> list[msgspec.Raw | str]:
        batch: list[msgspec.Raw | str] = []
        if reader.index < self._first:
            lost = self._forgotten - reader.offset
            text = f"[the first {lost / 1e6:.1f} MB are no longer kept]\n"
            batch.append(_encoded(Stream("stderr", text)))
            reader.index, reader.offset = self._first, self._forgotten
        while not batch and reader.index - self._first < len(self._log):
            entry, size = self._log[reader.index - self._first]
            batch += [each for each in entry if not isinstance(each, str) or each in self._bars]
            reader.index += 1
            reader.offset += size
        return batch

    def _move(self, event: Progress) -> None:
        self._version += 1
        is_gone = event.state == "done" and not event.leave
        self._bars[event.id] = _Bar(self._version, _encoded(event), is_gone)


def _encoded(event: Event) -> msgspec.Raw:
    return msgspec.Raw(encode(event))


class Records:
    """The records of the last calls, by id."""

    def __init__(self) -> None:
        self._records: OrderedDict[bytes, Record] = OrderedDict()
        #: What all of them hold, as it was when it was counted, and after how many calls it is due
        #: again: most calls print nothing, and come by the thousand.
        self._bytes = self._bytes_due = 0
        #: Whether `printed_late` was called since `take_late`.
        self._has_late = False

    def add(self, call_id: bytes, record: Record) -> None:
        """Keep a record. Old records whose calls are over are dropped to make room."""
        self._records[call_id] = record
        self._bytes_due -= 1
        if self._bytes_due <= 0:
            self._bytes_due = CALLS // 2
            self._bytes = sum(each.size for each in self._records.values())
        while len(self._records) > CALLS or self._bytes > TOTAL_LIMIT:
            over = (key for key, old in self._records.items() if old.is_over)
            key = next(over, None)
            if key is None:
                break
            self._bytes -= self._records.pop(key).size

    def find(self, prefix: str) -> Record | None:
        """The newest record whose id, in hexadecimal, begins with ``prefix``."""
        for call_id, record in reversed(self._records.items()):
            if call_id.hex().startswith(prefix):
                return record
        return None

    def printed_late(self, record: Record, characters: int) -> None:
        """A thread of a call that is over has printed so many characters."""
        record.late += characters
        self._has_late = True

    def take_late(self) -> list[tuple[str, int]]:
        """Ids of calls whose threads have printed since this was asked, and how many characters."""
        if not self._has_late:
            return []
        self._has_late = False
        late = [(key.hex(), record.late) for key, record in self._records.items() if record.late]
        for record in self._records.values():
            record.late = 0
        return late
