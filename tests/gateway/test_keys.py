"""Keys at rest: made, shown once, checked, revoked, also by another process."""

from __future__ import annotations

import contextlib
import math
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from easyremote.errors import NotAuthorized, UsageError
from easyremote.gateway.keys import KeyStore
from easyremote.gateway.permissions import PRIORITISE, holder_of
from easyremote.identity import Key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "gateway.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[KeyStore]:
    made = KeyStore(path)
    yield made
    made.close()


def test_a_key_that_was_made_is_good_for_its_kind(store: KeyStore) -> None:
    key = store.create("client", "alice")
    record = store.check(str(key), "client")
    assert (record.key_id, record.kind, record.name) == (key.key_id, "client", "alice")
    assert store.is_valid(key.key_id)
    with pytest.raises(NotAuthorized, match="is a client key; a node key is needed"):
        store.check(str(key), "node")


def test_no_secret_lies_in_the_file_and_only_its_owner_can_read_it(
    store: KeyStore, path: Path
) -> None:
    key = store.create("client", "alice")
    store.close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    for file in path.parent.iterdir():
        assert key.secret.encode() not in file.read_bytes()


@pytest.mark.parametrize("made", [True, False], ids=["wrong secret", "unknown id"])
def test_a_wrong_secret_and_an_unknown_id_get_the_same_answer(store: KeyStore, made: bool) -> None:
    key_id = store.create("client", "").key_id if made else "0123456789ab"
    with pytest.raises(NotAuthorized) as caught:
        store.check(str(Key("client", key_id, "f" * 64)), "client")
    text = str(caught.value).replace(key_id, "ID")
    assert text == (
        "The gateway does not accept the key ID. It may be revoked, expired, or for another "
        "gateway. Ask for a new one: easyremote key create"
    )


def test_no_key_at_all_is_told_apart_from_no_key_of_ours(store: KeyStore) -> None:
    with pytest.raises(NotAuthorized, match="none was given. Set EASYREMOTE_API_KEY"):
        store.check("", "client")
    with pytest.raises(NotAuthorized, match="not an EasyRemote key"):
        store.check("hunter2", "client")


def test_an_expired_key_is_refused(store: KeyStore) -> None:
    good = store.create("client", "", expires=time.time() + 3600)
    over = store.create("client", "", expires=time.time() - 1)
    store.check(str(good), "client")
    with pytest.raises(NotAuthorized):
        store.check(str(over), "client")
    assert not store.is_valid(over.key_id)


def test_a_revoked_key_is_refused_and_stays_in_the_list(store: KeyStore) -> None:
    key = store.create("client", "alice")
    store.revoke(key.key_id)
    first = store.list()[0].revoked
    store.revoke(key.key_id)  # safe to repeat: the first time stays
    assert [(each.name, each.revoked) for each in store.list()] == [("alice", first)]
    assert not store.is_valid(key.key_id)
    with pytest.raises(NotAuthorized):
        store.check(str(key), "client")


def test_the_gateway_looks_at_rights_only_where_one_may_have_changed(
    store: KeyStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = store.create("node", "", expires=time.time() + 3600.0)
    assert store.has_changed()
    assert not store.has_changed()
    store.claim("gpu-node", key.key_id)
    store.sync()
    assert store.has_changed()
    other = KeyStore(path)
    other.move_node("gpu-node", other.create("node", "").key_id)
    other.close()
    store.sync()
    assert store.has_changed()
    assert not store.has_changed()
    later = time.time() + 7200.0
    monkeypatch.setattr(time, "time", lambda: later)
    assert store.has_changed(), "the key has expired"
    assert not store.has_changed()


def test_a_key_that_is_not_there_cannot_be_revoked(store: KeyStore) -> None:
    with pytest.raises(UsageError, match="There is no key 'nope'. See: easyremote key list"):
        store.revoke("nope")


def test_what_another_process_changes_is_seen(store: KeyStore, path: Path) -> None:
    key = store.create("client", "")
    other = KeyStore(path)
    made = other.create("client", "made there")
    store.check(str(made), "client")  # an id that is not known is looked up at once
    other.revoke(key.key_id)
    assert store.is_valid(key.key_id)
    store.sync()
    assert not store.is_valid(key.key_id)
    other.close()


@pytest.mark.parametrize("expires", [float("nan"), float("inf"), 1e300, -1.0])
def test_a_key_expires_at_a_moment_or_never(store: KeyStore, expires: float) -> None:
    with pytest.raises(UsageError, match="that is no moment"):
        store.create("client", "", expires=expires)
    assert store.list() == []


# -- node ids --------------------------------------------------------------------------------------


def test_a_node_id_belongs_to_the_key_that_used_it_first(store: KeyStore, path: Path) -> None:
    first, second = store.create("node", "").key_id, store.create("node", "").key_id
    store.claim("gpu", first)
    store.claim("gpu", first)
    for again in (False, True):  # also after a restart
        with pytest.raises(NotAuthorized, match=f"key move-node gpu {second}") as caught:
            store.claim("gpu", second)
        assert f"belongs to the key {first}" in str(caught.value)
        if not again:
            store.close()
            store = KeyStore(path)
    assert store.nodes_of(first) == ("gpu",)
    assert store.nodes_of(second) == ()
    store.close()


def test_a_node_id_can_be_moved_also_from_a_revoked_key(store: KeyStore, path: Path) -> None:
    first, second = store.create("node", "").key_id, store.create("node", "").key_id
    store.claim("gpu", first)
    store.sync()
    store.revoke(first)
    other = KeyStore(path)
    other.move_node("gpu", second)
    other.close()
    store.sync()
    store.claim("gpu", second)
    assert (store.nodes_of(first), store.nodes_of(second)) == ((), ("gpu",))


def test_a_node_id_goes_to_a_valid_node_key_only(store: KeyStore) -> None:
    client, revoked = store.create("client", "").key_id, store.create("node", "").key_id
    store.revoke(revoked)
    for key_id, words in ((client, "no node key"), (revoked, "revoked"), ("nope", "no key 'nope'")):
        with pytest.raises(UsageError, match=words):
            store.move_node("gpu", key_id)


# -- a file that can't be used ---------------------------------------------------------------------


@pytest.fixture
def locked(store: KeyStore, path: Path) -> Iterator[sqlite3.Connection]:
    """Another process writes, and does not end."""
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    yield holder
    if holder.in_transaction:
        holder.execute("ROLLBACK")
    holder.close()


def test_a_key_has_a_weight_and_may_prioritise_if_it_was_made_so(
    store: KeyStore, path: Path
) -> None:
    plain = store.create("client", "ann")
    heavy = store.create("client", "boss", weight=2.5, may_prioritise=True)
    held = {key: holder_of(store.check(str(key), "client")) for key in (plain, heavy)}
    assert [held[key].weight for key in (plain, heavy)] == [1.0, 2.5]
    assert [PRIORITISE in held[key].scopes for key in (plain, heavy)] == [False, True]
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(UsageError, match="A key's weight is from 0.001 to 1000, not"):
            store.create("client", "eve", weight=wrong)


def test_a_file_of_an_older_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE keys (key_id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, "
            "digest TEXT NOT NULL, created REAL NOT NULL, expires REAL, revoked REAL)"
        )
        database.execute("INSERT INTO keys VALUES ('k', 'client', 'ann', 'd', 1, NULL, NULL)")
    store = KeyStore(path)
    (record,) = store.list()
    assert (record.name, record.weight, record.may_prioritise) == ("ann", 1.0, False)
    store.close()


def test_a_locked_file_is_told_and_loses_no_owner(
    store: KeyStore, path: Path, locked: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("easyremote.gateway.keys.PATIENCE", 0.0)
    hasty = KeyStore(path)
    hasty.claim("gpu", "a")
    with pytest.raises(UsageError, match=r"gateway.sqlite3 can't be read or written: .*locked"):
        hasty.sync()
    with pytest.raises(NotAuthorized):
        hasty.claim("gpu", "b")
    locked.execute("ROLLBACK")
    hasty.close()
    again = KeyStore(path)
    assert again.owner_of("gpu") == "a"
    again.close()


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "gateway.sqlite3").write_bytes(b"no database" * 1000)
    with pytest.raises(UsageError, match="not a database"):
        KeyStore(tmp_path / "gateway.sqlite3")


def test_keys_outlive_the_process(store: KeyStore, path: Path) -> None:
    keys = [store.create("client", str(number)) for number in range(3)]
    store.close()
    again = KeyStore(path)
    assert [record.name for record in again.list()] == ["0", "1", "2"]
    again.check(str(keys[2]), "client")
    again.close()


def test_digests_are_of_the_secret_alone(store: KeyStore, path: Path) -> None:
    key = store.create("node", "")
    with sqlite3.connect(path) as database:
        ((digest,),) = database.execute("SELECT digest FROM keys").fetchall()
    assert digest == key.digest()
    assert len(digest) == 64


def test_a_new_key_of_the_same_user_takes_the_node_ids_of_the_one_before(store: KeyStore) -> None:
    lost = store.create("node", "this user").key_id
    other = store.create("node", "somebody else").key_id
    store.claim("mine", lost)
    store.claim("theirs", other)
    store.sync()
    new = store.create("node", "this user").key_id
    store.succeed("this user", new)
    assert (store.owner_of("mine"), store.owner_of("theirs")) == (new, other)
    store.claim("mine", new)


def test_in_the_file_of_an_older_version_every_node_may_hold_calls(
    store: KeyStore, path: Path
) -> None:
    key = store.create("node", "")
    store.claim("gpu-node", key.key_id)
    store.sync()
    store.close()
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE holders")
    database.close()
    again = KeyStore(path)
    again.close()
    assert again.holders == {"gpu-node"}
