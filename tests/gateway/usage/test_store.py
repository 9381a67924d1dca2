"""What was used, in the file: by hour, and for as long as it is kept."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from easyremote.errors import UsageError
from easyremote.gateway.usage import store as module
from easyremote.gateway.usage.store import HOUR, KEPT_HOURS, UsageStore
from easyremote.gateway.usage.tally import Counted, Counts
from easyremote.protocol.usage import By, UsageRequest

NOW = 500_000 * HOUR + 60.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[UsageStore]:
    made = UsageStore(path)
    yield made
    made.close()


def counted(values: int, key: str = "alice", node: str = "n", function: str = "f") -> Counted:
    return {(key, node, function): Counts(values=values, run_seconds=values / 2)}


def sums(
    store: UsageStore, by: By = "key", since: float = 0.0, key: str | None = None, now: float = NOW
) -> dict[str, int]:
    return {row.name: row.values for row in store.rows(UsageRequest(by, since), key, now)}


def test_sums_are_by_key_node_or_function_the_most_used_first(store: UsageStore) -> None:
    store.write(counted(1), NOW)
    store.write(counted(2, "bob", "m") | counted(4, "bob", "n", "g"), NOW)
    assert list(sums(store).items()) == [("bob", 6), ("alice", 1)]
    assert sums(store, "node") == {"n": 5, "m": 2}
    assert sums(store, "function") == {"f": 3, "g": 4}
    assert sums(store, "function", key="alice") == {"f": 1}
    (row,) = store.rows(UsageRequest("key", node="m"), None, NOW)
    assert (row.name, row.values) == ("bob", 2)
    assert store.functions() == {"f", "g"}


def test_since_goes_back_to_the_beginning_of_an_hour(store: UsageStore) -> None:
    store.write(counted(1), NOW - 2 * HOUR)
    store.write(counted(2), NOW - HOUR)
    store.write(counted(4), NOW)
    assert sums(store, since=1.0) == {"alice": 4}
    assert sums(store, since=61.0) == {"alice": 6}
    assert sums(store, since=HOUR) == {"alice": 6}
    assert sums(store) == {"alice": 7}


def test_what_is_old_is_forgotten(store: UsageStore) -> None:
    store.write(counted(1), NOW)
    store.write(counted(2), NOW + KEPT_HOURS * HOUR)
    assert sums(store) == {"alice": 3}
    store.write(counted(4), NOW + (KEPT_HOURS + 1) * HOUR)
    assert sums(store) == {"alice": 6}


def test_what_can_not_be_written_now_is_written_later(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    with (
        contextlib.closing(UsageStore(path)) as store,
        contextlib.closing(sqlite3.connect(path)) as other,
    ):
        other.execute("BEGIN EXCLUSIVE")
        for _ in range(2):
            with pytest.raises(UsageError, match="Does another process hold the file"):
                store.write(counted(1), NOW)
        other.rollback()
        store.write({}, NOW + HOUR)
        assert sums(store) == {"alice": 2}
        assert sums(store, since=1.0, now=NOW + HOUR) == {}, "it counts for its own hour"
        store.write({}, NOW + HOUR)
        assert sums(store) == {"alice": 2}


def test_it_is_there_when_the_file_is_opened_again(path: Path) -> None:
    for _ in range(2):
        with contextlib.closing(UsageStore(path)) as store:
            store.write(counted(1), NOW)
    with contextlib.closing(UsageStore(path)) as store:
        assert sums(store) == {"alice": 2}
