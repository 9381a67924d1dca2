"""The store of files that came to a node."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from easyremote.errors import NotFound, UsageError
from easyremote.node.worker import file_store as files
from easyremote.node.worker.file_store import FileStore
from easyremote.serialize.files import Content

DATA = os.urandom(100_000)


def content(data: bytes) -> Content:
    return Content(hashlib.sha256(data).digest(), len(data))


WHAT = content(DATA)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore("me", tmp_path / "files")


def kept(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "files").glob("*/*"))


def test_what_came_in_pieces_is_whole_and_a_file_under_its_name(store: FileStore) -> None:
    assert store.have([WHAT]) == [(0, False)]
    assert store.write(WHAT, 0, DATA[:60_000]) == (60_000, False)
    assert store.have([WHAT]) == [(60_000, False)]
    assert store.write(WHAT, 60_000, DATA[60_000:]) == (100_000, True)
    assert store.have([WHAT]) == [(100_000, True)]
    path = Path(store.link("train.csv", WHAT))
    assert (path.name, path.read_bytes()) == ("train.csv", DATA)
    assert store.link("train.csv", WHAT) == str(path)


def test_a_piece_beyond_what_is_there_waits_for_those_before(store: FileStore) -> None:
    assert store.write(WHAT, 60_000, DATA[60_000:]) == (0, False)
    assert store.write(WHAT, 0, DATA[:60_000]) == (60_000, False)
    assert store.write(WHAT, 0, DATA[:10]) == (60_000, False)


def test_what_is_not_what_was_announced_is_thrown_away(store: FileStore, tmp_path: Path) -> None:
    assert store.write(WHAT, 0, bytes(100_000)) == (0, False)
    assert kept(tmp_path) == []
    with pytest.raises(NotFound, match="train.csv is not on the node any more. Run the cell again"):
        store.link("train.csv", WHAT)


def test_a_part_that_has_all_bytes_is_not_whole_before_it_was_checked(
    store: FileStore, tmp_path: Path
) -> None:
    store.write(WHAT, 0, DATA[:10])
    (part,) = kept(tmp_path)
    part.write_bytes(bytes(100_000))  # as a killed process, or a loss of power, can leave it
    assert store.have([WHAT]) == [(99_999, False)]
    assert store.write(WHAT, 99_999, DATA[-1:]) == (0, False)
    assert store.write(WHAT, 0, DATA) == (100_000, True)


def test_a_file_of_no_bytes_is_one(store: FileStore) -> None:
    assert store.have([content(b"")]) == [(0, False)]
    assert store.write(content(b""), 0, b"") == (0, True)
    assert store.have([content(b"")]) == [(0, True)]
    assert Path(store.link("empty", content(b""))).read_bytes() == b""


def test_several_who_send_the_same_files_at_once_help_each_other(tmp_path: Path) -> None:
    program = (
        "import sys, hashlib, pathlib\n"
        "from easyremote.node.worker.file_store import FileStore\n"
        "from easyremote.serialize.files import Content\n"
        f"store = FileStore('me', pathlib.Path({str(tmp_path / 'files')!r}))\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for n in range(100):\n"
        "    data = b'%030i' % n\n"
        "    what = Content(hashlib.sha256(data).digest(), 30)\n"
        "    there, whole = 0, False\n"
        "    while not whole:\n"
        "        there, whole = store.write(what, there, data[there:there + 10])\n"
    )
    senders = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for sender in senders:
        assert sender.stdout is not None and sender.stdout.readline() == "ready\n"
    for sender in senders:
        assert sender.stdin is not None
        sender.stdin.write("go\n")
        sender.stdin.flush()
    assert [sender.wait(60) for sender in senders] == [0, 0, 0]
    for sender in senders:
        assert sender.stdin is not None and sender.stdout is not None
        sender.stdin.close()
        sender.stdout.close()
    every = [content(b"%030i" % n) for n in range(100)]
    assert {path.name for path in kept(tmp_path)} == {each.digest.hex() for each in every}
    assert FileStore("me", tmp_path / "files").have(every) == [(30, True)] * 100


def test_owners_are_apart_and_nobody_else_can_read(store: FileStore, tmp_path: Path) -> None:
    store.write(WHAT, 0, DATA)
    assert FileStore("other", tmp_path / "files").have([WHAT]) == [(0, False)]
    (path,) = kept(tmp_path)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o400


def test_one_that_somebody_wrote_to_is_not_used_again(store: FileStore) -> None:
    store.write(WHAT, 0, DATA)
    path = Path(store.link("train.csv", WHAT))
    os.chmod(path, 0o600)
    with path.open("r+b") as opened:
        opened.write(b"x")
    assert store.have([WHAT]) == [(0, False)]
    assert store.write(WHAT, 0, DATA) == (100_000, True)
    assert path.read_bytes() == DATA


def test_a_full_disk_is_told_before_anything_is_sent(store: FileStore) -> None:
    with pytest.raises(UsageError, match="GB of disk free, and 1000000.0 GB are to come"):
        store.have([Content(b"?" * 32, 10**15)])


def test_a_disk_that_fills_up_is_told_and_what_came_stays(tmp_path: Path) -> None:
    program = (
        "import resource, pathlib, hashlib, sys\n"
        "from easyremote.node.worker.file_store import FileStore\n"
        "from easyremote.serialize.files import Content\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"  # the kernel's own refusal
        f"store = FileStore('me', pathlib.Path({str(tmp_path / 'files')!r}))\n"
        "what = Content(bytes(32), 100_000)\n"
        "store.write(what, 0, bytes(50_000))\n"
        "try: store.write(what, 50_000, bytes(50_000))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "print(store.have([what]))\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout
    assert said.startswith("UsageError The node can't keep the file: File too large.")
    assert said.splitlines()[1] in ("[(50000, False)]", "[(60000, False)]")


def test_what_nobody_used_for_long_goes_when_another_comes(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(WHAT, 0, DATA)
    store.write(content(b"used"), 0, b"used")
    store.write(content(b"begun"), 0, b"beg")
    for path in kept(tmp_path):
        mtime = 0 if path.suffix != ".part" else time.time() - 2 * files.KEPT
        os.utime(path, (time.time() - 2 * files.KEPT, mtime))
    assert store.have([content(b"used")]) == [(4, True)]  # that is a use
    store.write(content(b"new"), 0, b"new")
    assert {path.name for path in kept(tmp_path)} == {
        content(b"used").digest.hex(),
        content(b"new").digest.hex(),
    }
