"""`Journal`: what it acknowledges is there; what it can't store, it says."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from easyremote.errors import (
    Closed,
    InternalError,
    StorageDamaged,
    StorageFailed,
    StorageFull,
    UsageError,
)
from easyremote.journal import database, journal
from easyremote.journal.journal import Journal
from tests.journal import disk
from tests.journal.disk import Disk
from tests.processes import LIMIT, REPOSITORY

SCHEMA = "CREATE TABLE IF NOT EXISTS calls (id INTEGER PRIMARY KEY, value BLOB NOT NULL)"
ADD = "INSERT INTO calls VALUES (?, ?)"


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal.open(tmp_path / "state", "calls", SCHEMA)
    yield opened
    opened.close()


def ids(opened: Journal) -> list[int]:
    return [number for (number,) in opened.read("SELECT id FROM calls ORDER BY id")]


@pytest.mark.parametrize("durable", [False, True])
def test_what_is_written_can_be_read_now_and_later(tmp_path: Path, durable: bool) -> None:
    first = Journal.open(tmp_path, "calls", SCHEMA)
    first.write(ADD, (1, b"x"), durable=durable).result(LIMIT)
    assert first.read("SELECT * FROM calls") == [(1, b"x")]
    first.close()
    second = Journal.open(tmp_path, "calls", SCHEMA)
    assert second.read("SELECT * FROM calls") == [(1, b"x")]
    second.close()


def test_statements_of_one_write_are_committed_together_or_not_at_all(opened: Journal) -> None:
    opened.write([(ADD, (1, b"a")), (ADD, (2, b"b"))]).result(LIMIT)
    broken = opened.write([(ADD, (3, b"c")), (ADD, (1, b"again"))])
    assert isinstance(broken.exception(LIMIT), InternalError)
    assert ids(opened) == [1, 2]


class Counting:
    """A database that counts commits, and lets the first one wait for `gate`."""

    def __init__(self, path: Path) -> None:
        self.real = database.connect(path)
        self.commits: list[str] = []
        self.level = ""
        self.gate = threading.Event()
        self.began = threading.Event()

    @property
    def in_transaction(self) -> bool:
        return self.real.in_transaction

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> Any:
        if statement.startswith("PRAGMA synchronous"):
            self.level = statement.rpartition(" ")[2]
        if statement == "COMMIT":
            self.commits.append(self.level)
            self.began.set()
            assert self.gate.wait(LIMIT)
        return self.real.execute(statement, parameters)

    def executescript(self, statements: str, /) -> object:
        return self.real.executescript(statements)

    def close(self) -> None:
        self.real.close()


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[tuple[Journal, Counting]]:
    connections: list[Counting] = []

    def connect(path: Path) -> Counting:
        connections.append(Counting(path))
        return connections[-1]

    opened = Journal.open(tmp_path, "calls", SCHEMA, connect=connect)
    yield opened, connections[0]
    connections[0].gate.set()
    opened.close()


def test_writes_that_come_during_a_commit_share_the_next_one(
    counted: tuple[Journal, Counting],
) -> None:
    opened, counting = counted
    first = opened.write(ADD, (0, b""))
    assert counting.began.wait(LIMIT)
    others = [opened.write(ADD, (number, b"")) for number in range(1, 200)]
    counting.gate.set()
    for each in (first, *others):
        each.result(LIMIT)
    assert len(counting.commits) == 2
    assert ids(opened) == list(range(200))


def test_a_batch_with_a_durable_write_is_synced_and_others_are_not(
    counted: tuple[Journal, Counting],
) -> None:
    opened, counting = counted
    counting.gate.set()
    opened.write(ADD, (1, b"")).result(LIMIT)
    opened.write(ADD, (2, b""), durable=True).result(LIMIT)
    opened.write(ADD, (3, b"")).result(LIMIT)
    assert counting.commits == ["NORMAL", "FULL", "NORMAL"]


@pytest.mark.parametrize(
    "bad",
    [(1, b"again"), (2**70, b""), ("\ud800", b""), (object(), b""), (7,)],
    ids=["twice", "too large", "no text", "no value", "too few"],
)
def test_one_bad_write_does_not_hurt_others_of_its_batch(
    counted: tuple[Journal, Counting], bad: tuple[Any, ...]
) -> None:
    opened, counting = counted
    first = opened.write(ADD, (1, b""))
    assert counting.began.wait(LIMIT)
    before, wrong, after = (opened.write(ADD, row) for row in [(2, b""), bad, (3, b"")])
    counting.gate.set()
    assert wrong.exception(LIMIT) is not None
    for each in (first, before, after):
        each.result(LIMIT)
    assert ids(opened) == [1, 2, 3]


def test_a_waiter_that_is_cancelled_stops_nobody(opened: Journal) -> None:
    async def give_up() -> None:
        waiting = asyncio.wrap_future(opened.write(ADD, (1, b"")))
        waiting.cancel()
        await asyncio.wrap_future(opened.write(ADD, (2, b"")))

    asyncio.run(give_up())
    assert ids(opened) == [1, 2]


def test_a_closed_journal_has_written_what_waited_and_takes_nothing_more(tmp_path: Path) -> None:
    opened = Journal.open(tmp_path, "calls", SCHEMA)
    waiting = [opened.write(ADD, (number, b"")) for number in range(1000)]
    opened.close()
    assert all(each.done() and each.exception() is None for each in waiting)
    assert isinstance(opened.write(ADD, (2000, b"")).exception(LIMIT), Closed)
    opened.close()  # twice is no mistake


# -- other processes -------------------------------------------------------------------------------

HOLD = f"""
import sys, pathlib
from easyremote.journal.journal import Journal
opened = Journal.open(pathlib.Path(sys.argv[1]), "calls", {SCHEMA!r})
number = 0
while True:
    opened.write({ADD!r}, (number, b"x")).result()
    print(number, flush=True)
    number += 1
"""


def test_what_was_acknowledged_survives_the_kill_of_its_process_which_held_the_lock(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, cwd=REPOSITORY
    ) as other:
        assert other.stdout is not None
        told = [int(other.stdout.readline()) for _ in range(50)]
        with pytest.raises(UsageError, match=rf"calls.lock is held .*process {other.pid}"):
            Journal.open(tmp_path, "calls", SCHEMA)
        other.send_signal(signal.SIGKILL)
        told += [int(line) for line in other.stdout.read().split()]
    opened = Journal.open(tmp_path, "calls", SCHEMA)
    assert set(told) <= set(ids(opened))
    opened.close()


def test_it_is_opened_once_in_a_process_too(tmp_path: Path, opened: Journal) -> None:
    with pytest.raises(UsageError, match="is held by another user"):
        Journal.open(tmp_path / "state", "calls", SCHEMA)
    Journal.open(tmp_path / "state", "others", SCHEMA).close()


# -- a disk that fails -----------------------------------------------------------------------------


def on(folder: Path, below: Disk) -> Journal:
    return Journal.open(folder, "calls", SCHEMA, connect=below.connect)


def test_a_full_disk_refuses_what_it_can_not_store_and_later_writes_succeed(
    tmp_path: Path,
) -> None:
    below = Disk()
    opened = on(tmp_path, below)
    opened.write(ADD, (1, b""), durable=True).result(LIMIT)

    def breaks(what: str, name: str) -> None:
        if what == "write":
            raise disk.full()

    below.breaks = breaks
    for number in (2, 3):
        error = opened.write(ADD, (number, b""), durable=True).exception(LIMIT)
        assert isinstance(error, StorageFull)
        assert (error.retry_after, error.is_final) == (60.0, False)
    below.breaks = lambda what, name: None
    opened.write(ADD, (4, b""), durable=True).result(LIMIT)
    assert ids(opened) == [1, 4]
    opened.close()


@pytest.mark.parametrize("what", ["write", "sync"])
def test_nothing_is_acknowledged_after_a_disk_has_failed(tmp_path: Path, what: str) -> None:
    below = Disk()
    opened = on(tmp_path, below)
    opened.write(ADD, (1, b""), durable=True).result(LIMIT)

    def breaks(operation: str, name: str) -> None:
        if operation == what:
            below.breaks = lambda operation, name: None  # the next one would succeed again
            raise disk.broken(what)

    below.breaks = breaks
    for number in (2, 3):
        error = opened.write(ADD, (number, b""), durable=True).exception(LIMIT)
        assert type(error) is StorageFailed
        assert error.is_final
        assert "start this process again" in str(error)
    with pytest.raises(StorageFailed, match="The disk failed"):
        opened.check()
    assert 1 in ids(opened)
    opened.close()
    again = on(tmp_path, below)
    again.write(ADD, (5, b"")).result(LIMIT)
    assert {1, 5} <= set(ids(again))
    again.close()


def test_a_disk_that_fails_when_the_log_is_written_back_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's own checkpoint tells nobody, and would take the next sync for a good one."""
    monkeypatch.setattr(journal, "CHECKPOINT", 2)
    below = Disk()
    opened = on(tmp_path, below)

    def breaks(operation: str, name: str) -> None:
        if (operation, name) == ("sync", "calls.db"):
            raise disk.broken("sync")

    below.breaks = breaks
    results = [opened.write(ADD, (number, b""), durable=True) for number in range(2)]
    for each in results:
        each.exception(LIMIT)
    error = opened.write(ADD, (9, b""), durable=True).exception(LIMIT)
    assert isinstance(error, StorageFailed)
    assert error.is_final
    below.breaks = lambda operation, name: None
    opened.close()


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "calls.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StorageDamaged, match="move the file away"):
        Journal.open(tmp_path, "calls", SCHEMA)
    assert (tmp_path / "calls.db").read_bytes() == b"no database" * 1000
    (tmp_path / "calls.db").unlink()
    Journal.open(tmp_path, "calls", SCHEMA).close()  # the lock was released


@pytest.mark.parametrize("statement", ["SELEKT", "SELECT * FROM absent"])
def test_a_wrong_statement_is_our_mistake_and_not_the_disks(
    opened: Journal, statement: str
) -> None:
    with pytest.raises(InternalError, match="Please report"):
        opened.read(statement)
    assert isinstance(opened.write(statement).exception(LIMIT), InternalError)
