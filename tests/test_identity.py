"""Keys as text, and the private files of a user."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import get_args

import pytest

from easyremote.errors import UsageError
from easyremote.identity import Key, Kind, read_private, write_private


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_key_survives_being_written_and_read(kind: Kind) -> None:
    key = Key.generate(kind)
    assert Key.parse(f"  {key}\n") == key
    assert str(key).startswith(f"er_{kind}_{key.key_id}_")


def test_no_two_keys_are_alike_and_a_secret_has_256_bits() -> None:
    first, second = Key.generate("client"), Key.generate("client")
    assert first.secret != second.secret
    assert first.key_id != second.key_id
    assert len(bytes.fromhex(first.secret)) == 32


@pytest.mark.parametrize("text", ["", "hunter2", "er_client_abc", "er_king_a_b_c", "sk-123"])
def test_what_is_no_key_is_told_with_how_one_looks(text: str) -> None:
    with pytest.raises(UsageError, match="One looks like er_client_..."):
        Key.parse(text)


def test_every_single_changed_character_is_told_as_a_typo() -> None:
    text = str(Key.generate("node"))
    start = text.index("_", 8) + 1
    for at in range(start, len(text)):
        if text[at] != "_":
            wrong = text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]
            with pytest.raises(UsageError, match="has a typo"):
                Key.parse(wrong)


def test_a_key_of_one_kind_cannot_be_made_into_another_by_hand() -> None:
    with pytest.raises(UsageError, match="has a typo"):
        Key.parse(str(Key.generate("client")).replace("_client_", "_node_"))


def test_the_secret_is_in_neither_the_repr_nor_the_digest() -> None:
    key = Key.generate("client")
    assert key.secret not in repr(key)
    assert key.secret not in key.digest()


def test_a_private_file_is_its_owners_only_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "login.json"
    write_private(path, {"a": 1})
    write_private(path, {"a": 2})
    assert read_private(path) == {"a": 2}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["login.json"]


def test_a_private_file_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_private(tmp_path / "nothing.json") == {}


def test_a_damaged_private_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "login.json"
    path.write_text(json.dumps({"a": 1})[:-2])
    with pytest.raises(UsageError, match="is damaged .*; delete it and log in again"):
        read_private(path)
