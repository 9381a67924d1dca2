"""What a call has shown: on its way to whoever reads it, and kept for who asks later. Pure.

A `Record` takes a call's events through an `OutputBuffer` into a log. Each `Reader` goes through
it at its own pace: the caller, whose events these are, and any ``$output`` call that wants to see
them again or from elsewhere. Of progress only the newest state of each bar is kept. What is beyond
`LIMIT` is forgotten from the start, and who comes too late for it is told how much that was.
`Records` are those of the last calls of a process. ``tests/node/worker/test_record.py`` proves it.
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
    """Somebody who reads a record: a call to which its events are sent."""

    held: LocalCall
    #: Whether it waits for what comes later, up to the end of the call.
    follows: bool = True
    #: Whether only bars are of interest, not the output, which is large.
    bars_only: bool = False
    #: The next entry of the log, and how many bytes came before it.
    index: int = 0
    offset: int = 0
    #: The newest change of a bar that it has.
    version: int = 0


@dataclass(slots=True)
class _Bar:
    version: int
    encoded: msgspec.Raw
    #: Nothing of it is to be seen any more.
    is_gone: bool


@dataclass(eq=False)
class Record:
    """The output of one call. ``limit``: how much of it is kept, in bytes."""

    limit: int = LIMIT
    buffer: OutputBuffer = field(default_factory=OutputBuffer)
    readers: list[Reader] = field(default_factory=list)
    #: How the call ended, when it has.
    outcome: Outcome | None = None
    #: Whether somebody will come to take what is in the buffer.
    is_scheduled: bool = False
    #: Characters that threads printed after the end, and that nobody was told of.
    late: int = 0

    def __post_init__(self) -> None:
        #: What was shown; of a bar, where it was seen first, its id.
        self._log: deque[tuple[list[msgspec.Raw | str], int]] = deque()
        self._bars: dict[str, _Bar] = {}
        self._first = self._forgotten = self._version = 0
        self.size = 0

    @property
    def has_room(self) -> bool:
        """Whether more would be read: of a call that is over, it is just kept."""
        return self.outcome is not None or any(r.held.window_is_open for r in self.readers)

    def write(self, events: list[Event]) -> None:
        """Take in what left the buffer."""
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

    def add(self, call_id: bytes, record: Record) -> None:
        """Keep one; old ones whose calls are over make room."""
        self._records[call_id] = record
        size = sum(each.size for each in self._records.values())
        for key, old in list(self._records.items()):
            if len(self._records) <= CALLS and size <= TOTAL_LIMIT:
                break
            if old.outcome is not None and not old.readers:
                size -= old.size
                del self._records[key]

    def find(self, prefix: str) -> Record | None:
        """The newest whose id begins so, in hexadecimal."""
        for call_id, record in reversed(self._records.items()):
            if call_id.hex().startswith(prefix):
                return record
        return None

    def take_late(self) -> list[tuple[str, int]]:
        """Ids of calls whose threads have printed since this was asked, and how many characters."""
        late = [(key.hex(), record.late) for key, record in self._records.items() if record.late]
        for record in self._records.values():
            record.late = 0
        return late
