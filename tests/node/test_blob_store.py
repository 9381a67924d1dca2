"""The blobs that the sessions of one owner share."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from easyremote.node.blob_store import (
    UNUSED,
    BlobMissing,
    BlobStore,
    remove_blobs,
    remove_unused_blobs,
)

ONE, TWO, THREE = b"1" * 32, b"2" * 32, b"3" * 32


@pytest.fixture
def node() -> Iterator[int]:
    yield os.getpid()
    remove_blobs(os.getpid())


def test_a_blob_that_was_sent_once_is_there(node: int) -> None:
    store = BlobStore("me", node)
    assert store.known([ONE]) == []
    assert bytes(store.get(ONE, b"content")) == b"content"
    assert BlobStore("me", node).known([ONE, TWO]) == [ONE]
    assert bytes(BlobStore("me", node).get(ONE, None)) == b"content"


def test_what_one_value_writes_no_other_sees(node: int) -> None:
    store = BlobStore("me", node)
    first, second = store.get(ONE, b"content"), store.get(ONE, None)
    first[0] = ord("X")  # type: ignore[index]
    assert bytes(second) == b"content"
    assert bytes(store.get(ONE, None)) == b"content"


def test_owners_are_apart(node: int) -> None:
    BlobStore("me", node).get(ONE, b"content")
    assert BlobStore("other", node).known([ONE]) == []
    with pytest.raises(BlobMissing):
        BlobStore("other", node).get(ONE, None)


def test_the_least_recently_used_go_first_and_stay_where_they_are_in_use(node: int) -> None:
    store = BlobStore("me", node, limit=250)
    one = store.get(ONE, b"1" * 100)
    store.get(TWO, b"2" * 100)
    store.get(ONE, None)
    store.get(THREE, b"3" * 100)
    assert store.known([ONE, TWO, THREE]) == [ONE, THREE]
    store.get(TWO, b"2" * 250)
    assert store.known([ONE, TWO, THREE]) == [TWO]
    assert bytes(one) == b"1" * 100


def test_what_is_too_large_to_keep_can_be_used(node: int) -> None:
    store = BlobStore("me", node, limit=5)
    assert bytes(store.get(ONE, b"content")) == b"content"
    assert store.known([ONE]) == []


def test_nobody_else_can_read_them(node: int) -> None:
    store = BlobStore("me", node)
    store.get(ONE, b"content")
    assert store._folder.stat().st_mode & 0o777 == 0o700


def test_what_a_killed_node_left_is_cleared_away(node: int) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    BlobStore("me", gone.pid).get(ONE, b"content")
    mine = BlobStore("me", node)
    mine.get(ONE, b"content")
    assert BlobStore("me", gone.pid).known([ONE]) == []
    assert mine.known([ONE]) == [ONE]


def test_what_nobody_has_used_for_long_is_removed_and_stays_where_it_is_in_use(node: int) -> None:
    store = BlobStore("me", node)
    one = store.get(ONE, b"content")
    remove_unused_blobs(node, time.time() + UNUSED / 2)
    assert store.known([ONE]) == [ONE]
    remove_unused_blobs(node, time.time() + 2 * UNUSED)
    assert store.known([ONE]) == []
    assert bytes(one) == b"content"
    remove_unused_blobs(node, time.time())  # there is nothing, not even a folder


def test_a_blob_that_is_asked_for_is_about_to_be_used(node: int) -> None:
    store = BlobStore("me", node, limit=250)
    store.keep(ONE, b"1" * 100)
    store.keep(TWO, b"2" * 100)
    assert store.known([ONE]) == [ONE]
    store.keep(THREE, b"3" * 100)
    assert store.known([ONE, TWO, THREE]) == [ONE, THREE]
