"""Files that travel: what is known of their content, and what a pickle of one is."""

from __future__ import annotations

import hashlib
import os
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from easyremote.errors import CannotShip, NotFound, UsageError
from easyremote.serialize import files
from easyremote.serialize.blobs import pack, unpack
from easyremote.serialize.files import Content, collected, file, set_resolver
from easyremote.serialize.values import dump_call


@pytest.fixture(autouse=True)
def _a_process_that_knows_nothing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("_known", "_left", "named"):
        monkeypatch.setattr(files, name, {})
    monkeypatch.setattr(files, "_resolve", None)
    yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "train.csv"
    made.write_bytes(b"content")
    return made


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def test_a_file_is_a_path_with_a_content(path: Path) -> None:
    made = file(path)
    assert os.fspath(made) == str(path)
    with open(made) as opened:
        assert opened.read() == "content"
    assert (made.name, made.content) == ("train.csv", Content(digest(b"content"), 7))
    assert made == file(str(path)) and hash(made) == hash(file(path))


def test_what_is_no_file_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no file 'absent.csv'"):
        file("absent.csv")
    with pytest.raises(UsageError, match="is a folder, and files travel one by one: pack it"):
        file(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="There is no file"):
        file(tmp_path / "pipe")


def test_it_is_read_once_while_it_does_not_change(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SETTLED", -1.0)  # as if it had been written long ago
    known = file(path).content
    monkeypatch.setattr(hashlib, "file_digest", None)  # reading it again would fail
    assert file(path).content == known


def test_a_change_is_seen_that_leaves_size_and_time_as_they_were(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SETTLED", -1.0)
    made, before = file(path), path.stat()
    assert made.content.digest == digest(b"content")
    path.write_bytes(b"CONTENT")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert made.content.digest == digest(b"CONTENT")


def test_one_that_was_written_just_now_is_read_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[object] = []
    digest_of = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *a: read.append(a) or digest_of(*a))
    for number in range(3):  # the clock of a file system may not tell these apart
        path.write_bytes(b"%07i" % number)
        assert file(path).content == file(path).content
    assert len(read) == 6


def test_a_file_that_another_one_replaces_is_another_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SETTLED", -1.0)
    made = file(path)
    assert made.content.digest == digest(b"content")
    other = path.with_name("other")
    other.write_bytes(b"CONTENT")
    os.replace(other, path)
    assert made.content.digest == digest(b"CONTENT")


def test_a_link_is_what_it_leads_to(path: Path) -> None:
    link = path.with_name("link.csv")
    link.symlink_to(path)
    assert (file(link).name, file(link).content) == ("link.csv", file(path).content)


def test_a_file_that_is_written_to_meanwhile_is_refused(path: Path) -> None:
    path.write_bytes(bytes(30_000_000))
    made, done = file(path), threading.Event()

    def write() -> None:
        with path.open("ab") as opened:
            while not done.is_set():
                opened.write(b"more")
                opened.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with pytest.raises(CannotShip, match="train.csv is being written to"):
            for _ in range(100):
                _ = made.content
    finally:
        done.set()
        writer.join()


def test_one_that_is_gone_can_not_travel(path: Path) -> None:
    made = file(path)
    path.unlink()
    with pytest.raises(CannotShip, match="'made'.*train.csv can't be read: No such file"):
        pack({"made": made})


def test_what_is_packed_says_which_files_it_needs(path: Path) -> None:
    packed = pack({"a": [file(path)], "b": {"x": file(path)}, "c": 1})
    assert packed.files == [file(path)]
    assert pack({"c": 1}).files == []


def test_it_arrives_where_the_other_side_says(path: Path, tmp_path: Path) -> None:
    wire = pack({"a": file(path)}).plain_wire()
    came = tmp_path / "came.csv"
    came.write_bytes(b"content")
    asked: list[tuple[str, Content]] = []

    def resolve(name: str, content: Content) -> str:
        asked.append((name, content))
        return str(came)

    set_resolver(resolve)
    assert unpack(pickle.loads(pickle.dumps(wire, 5)))["a"] == file(came)
    assert asked == [("train.csv", Content(digest(b"content"), 7))]


def test_one_that_comes_back_is_the_one_that_left(path: Path) -> None:
    with collected():
        assert pickle.loads(pickle.dumps(file(path))) == file(path)
        data = pickle.dumps(file(path))
    files._left.clear()
    with pytest.raises(NotFound, match="on the node only: %remote_fetch"):
        pickle.loads(data)


def test_where_nobody_sends_it_a_file_can_not_be_pickled(path: Path) -> None:
    with pytest.raises(CannotShip, match="argument 1 of add.*train.csv goes along with cells"):
        dump_call((file(path),), {}, name="add")


@pytest.mark.parametrize("name", ["a b.csv", "ä'\"$\n.csv", b"\xff\xfe.bin"])
def test_odd_names_travel(name: str | bytes, tmp_path: Path) -> None:
    path = os.path.join(tmp_path, os.fsdecode(name))
    Path(path).write_bytes(b"x")
    with collected():
        assert pickle.loads(pickle.dumps(file(path))).name == os.fsdecode(name)
