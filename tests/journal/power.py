"""A journal whose power is cut, or whose disk flips bits: what must be there afterwards.

`Story` does a few hundred writes to a journal and its payloads, on a disk that remembers what was
synced. Whatever is left of the files after a cut must hold the writes up to some write, none
missing in between; and every durable write that was acknowledged before the cut is among them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from easyremote.errors import StorageFailed
from easyremote.journal import journal as journals
from easyremote.journal import payloads as module
from easyremote.journal.journal import Journal, Statement
from easyremote.journal.payloads import INLINE, Payloads
from tests.faults.history import Tally
from tests.faults.scene import Scene, Test
from tests.journal.disk import Disk
from tests.processes import LIMIT

SCHEMA = "CREATE TABLE IF NOT EXISTS calls (id INTEGER PRIMARY KEY, version INT, cell BLOB)"
PUT = "INSERT OR REPLACE INTO calls VALUES (?, ?, ?)"
FORGET = "DELETE FROM calls WHERE id = ?"
WRITES = 250
#: So that the log is written back, and begun anew, many times.
CHECKPOINT = 30

#: What is in the journal: the version of each row.
State = dict[int, int]


@dataclass
class Story:
    """A journal's life: the states that it went through, and what it acknowledged."""

    folder: Path
    seed: int
    disk: Disk = field(default_factory=Disk)
    #: The state after each write, in the order in which the writes were asked for.
    states: list[State] = field(default_factory=lambda: [{}])
    #: Where in the disk's log the first write begins.
    begin: int = 0

    def value(self, number: int, version: int) -> bytes:
        """What a row holds."""
        chance = Random(f"{self.seed} {number} {version}")
        size = chance.choice([0, 10, 100, 3000, 20_000, INLINE + chance.randrange(5000)])
        return chance.randbytes(size)

    def run(self, writes: int = WRITES) -> None:
        """Write; every acknowledgement is an entry of the disk's log."""
        chance = Random(self.seed)
        with _watched(self.disk, self.folder / "calls.payloads"):
            journal = Journal.open(self.folder, "calls", SCHEMA, connect=self.disk.connect)
            payloads = Payloads(journal)
            self.begin = len(self.disk.log)
            cells: dict[int, bytes] = {}
            for number in range(1, writes + 1):
                statements, gone = self._write(number, chance, payloads, cells)
                is_durable = chance.random() < 0.6 or bool(gone)
                done = journal.write(statements, durable=is_durable)
                what = "durable" if is_durable else "acknowledged"
                done.add_done_callback(lambda _, what=what, n=number: self.disk.note(what, "", n))
                if gone or chance.random() < 0.4:
                    done.result(LIMIT)
                for cell in gone:
                    self.disk.note("removed", cell[-32:].decode("ascii", "replace"))
                    payloads.remove(cell)
            journal.close()

    def _write(
        self, number: int, chance: Random, payloads: Payloads, cells: dict[int, bytes]
    ) -> tuple[list[Statement], list[bytes]]:
        """The next write, of one row or two; and the cells that nobody needs after it."""
        state = dict(self.states[-1])
        statements: list[Statement] = []
        gone = []
        for each in (number, -number)[: chance.choice([1, 1, 2])]:
            row = chance.choice(list(state)) if state and chance.random() < 0.4 else each
            if cells.get(row, b"")[:1] == b"f":
                gone.append(cells.pop(row))
            if row != each and chance.random() < 0.5:
                state.pop(row, None)
                statements.append((FORGET, (row,)))
            else:
                state[row] = number
                cells[row] = payloads.put(_owner(row), [self.value(row, number)])
                statements.append((PUT, (row, number, cells[row])))
        self.states.append(state)
        return statements, gone

    def after_power_cut(self, length: int, folder: Path, chance: Random) -> list[str]:
        """Put what a cut after so many entries of the log leaves into a folder; what is broken."""
        folder.mkdir(mode=0o700)
        for name, content in self.disk.after_power_cut(length, chance).items():
            if not name.endswith("-shm"):
                (folder / name).write_bytes(content)
        self._leave_payloads(length, folder / "calls.payloads", chance)
        least = max(
            (entry.offset for entry in self.disk.log[:length] if entry.what == "durable"), default=0
        )
        try:
            return [f"{each} (cut after {length})" for each in self.check(folder, least)]
        except StorageFailed as error:
            return [f"{error} (cut after {length})"]

    def _leave_payloads(self, length: int, folder: Path, chance: Random) -> None:
        """What was synced is there; a name that was not may be the old one, or gone."""
        contents: dict[str, bytes] = {}
        named: set[str] = set()
        removed: set[str] = set()
        for entry in self.disk.log[:length]:
            if entry.what == "file synced":
                contents[entry.name] = entry.data
            elif entry.what == "names synced":
                named = set(entry.data.decode().split())
            elif entry.what == "removed":
                removed.add(entry.name)
        folder.mkdir(mode=0o700)
        for name, content in contents.items():
            if name in removed and chance.random() < 0.5:
                continue
            names = [name] if name in named else [name, f".{name}", ""]
            if here := chance.choice(names):
                (folder / here).write_bytes(content)

    def check(self, folder: Path, least: int) -> Iterator[str]:
        """What is broken in what a folder holds, if writes up to ``least`` must be there."""
        journal = Journal.open(folder, "calls", SCHEMA)
        try:
            rows = journal.read("SELECT id, version, cell FROM calls")
            payloads = Payloads(journal, [cell for *_, cell in rows])
            found = {number: version for number, version, _ in rows}
            if found not in self.states[least:]:
                yield f"not a state after write {least} or later"
            for number, version, cell in rows:
                if payloads.get(_owner(number), cell) != self.value(number, version):
                    yield f"a wrong value in row {number}"
            journal.write(PUT, (0, 0, b""), durable=True).result(LIMIT)
        finally:
            journal.close()

    def after_flips(self, folder: Path, chance: Random, flips: int = 1) -> list[str]:
        """Flip bits in a whole copy of the files; what is lost without a word, or wrong."""
        files = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]
        files = [path for path in files if path.suffix != ".lock"]
        for _ in range(flips):
            file = chance.choice(files)
            content = bytearray(file.read_bytes())
            bit = chance.randrange(len(content) * 8)
            content[bit // 8] ^= 1 << bit % 8
            file.write_bytes(content)
        try:
            return list(self.check(folder, len(self.states) - 1))
        except StorageFailed:
            return []  # it was told


def power_cut(scene: Scene) -> Tally:
    """The power is cut at 1,000 points of ten journals' lives; for the long form of the faults."""
    broken = []
    for part in range(10):
        broken += power_cuts(scene.home / f"power-{part}", scene.chance.getrandbits(32), 100)
    return Tally(broken=broken)


def power_cuts(folder: Path, seed: int, points: int) -> list[str]:
    """Cut the power at so many points of one story; every promise that was not kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journals, "CHECKPOINT", CHECKPOINT)
        folder.mkdir(exist_ok=True)
        story = Story(folder / "story", seed)
        story.run()
    chance = Random(seed)
    broken = []
    for point in range(points):
        length = chance.randint(story.begin, len(story.disk.log))
        broken += story.after_power_cut(length, folder / f"cut-{point}", chance)
    return broken


def _owner(number: int) -> bytes:
    return number.to_bytes(16, "big", signed=True)


@contextmanager
def _watched(disk: Disk, folder: Path) -> Iterator[None]:
    """Have the disk's log tell what is synced of the payloads' files."""
    sync, sync_folder = module.sync, module.sync_folder

    def synced(file: int) -> None:
        sync(file)
        (path,) = (
            path for path in folder.glob(".*") if path.stat().st_ino == os.fstat(file).st_ino
        )
        disk.note("file synced", path.name[1:], 0, path.read_bytes())

    def opened(path: Path) -> None:
        sync_folder(path)
        disk.note("folder synced")

    def named(path: Path) -> None:
        sync_folder(path)
        names = [each.name for each in folder.iterdir() if not each.name.startswith(".")]
        disk.note("names synced", "", 0, " ".join(names).encode())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journals, "sync_folder", opened)
        patch.setattr(module, "sync", synced)
        patch.setattr(module, "sync_folder", named)
        yield


LONG: tuple[Test, ...] = (power_cut,)
