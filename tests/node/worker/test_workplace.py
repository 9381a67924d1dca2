"""The folder in which a session works."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from easyremote.errors import NotFound, UsageError
from easyremote.node.folders import own_folder
from easyremote.node.worker import workplace


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    workplace.enter()
    return Path.cwd()


def came(name: str, text: str = "sent") -> str:
    """A link as the store makes one."""
    link = own_folder("files") / text / name
    link.parent.mkdir(exist_ok=True)
    stored = own_folder("stored") / text
    stored.write_text(text)
    link.symlink_to(stored)
    return str(link)


def names() -> list[tuple[str, bool]]:
    return [(os.fsdecode(each.name), each.is_sent) for each in workplace.listing()]


def test_a_session_works_in_a_folder_of_its_own_with_empty_outputs(folder: Path) -> None:
    assert folder == own_folder("work")
    assert os.listdir() == ["outputs"] and os.listdir("outputs") == []
    assert workplace.listing() == ()


def test_a_file_that_came_lies_under_its_name_and_the_next_takes_its_place() -> None:
    assert workplace.place("data/a.csv", came("a.csv", "first")) == os.path.abspath("data/a.csv")
    assert Path("data/a.csv").read_text() == "first"
    workplace.place("data/a.csv", came("a.csv", "second"))
    assert Path("data/a.csv").read_text() == "second"
    assert names() == [("a.csv", True)]


def test_a_file_that_the_session_made_is_not_replaced() -> None:
    Path("a.csv").write_text("mine")
    with pytest.raises(UsageError, match="has made a 'a.csv' of its own"):
        workplace.place("a.csv", came("a.csv"))
    Path("b.csv").symlink_to("a.csv")
    with pytest.raises(UsageError, match="has made a 'b.csv' of its own"):
        workplace.place("b.csv", came("b.csv"))
    assert Path("a.csv").read_text() == "mine"


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "", ".", "out/x", "a\0b"])
def test_names_that_lead_out_of_the_folder_are_refused(name: str, tmp_path: Path) -> None:
    Path("out").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="leads out of the session's folder"):
        workplace.place(name, came("x"))


def test_outputs_are_listed_with_size_and_time_and_read_in_pieces() -> None:
    Path("outputs/plots").mkdir()
    Path("outputs/plots/a.png").write_bytes(b"0123456789")
    Path("beside.txt").write_text("no output")
    (entry,) = workplace.listing()
    assert entry.name == b"plots/a.png" and entry.size == 10
    assert entry.time == Path("outputs/plots/a.png").stat().st_mtime
    assert workplace.describe(b"plots/a.png").size == 10
    assert workplace.read(b"plots/a.png", 3, 4) == b"3456"
    assert workplace.read(b"plots/a.png", 20, 4) == b""


def test_what_lies_elsewhere_is_neither_listed_nor_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    Path("outputs/link").symlink_to(tmp_path / "secret")
    Path("outputs/folder").symlink_to(tmp_path)
    os.mkfifo("outputs/pipe")
    Path("outputs/inner").write_text("inner")
    Path("outputs/alias").symlink_to("inner")
    assert names() == [("alias", False), ("inner", False)]
    for name in (b"link", b"pipe", b"absent"):
        with pytest.raises(NotFound, match="There is no file"):
            workplace.describe(name)
    for name in (b"folder/secret", b"../outputs/inner", b"/etc/passwd"):
        with pytest.raises(UsageError, match="leads out"):
            workplace.read(name, 0, 10)


def test_odd_names_are_listed_and_read() -> None:
    for name in (b"a b", b"\xff\xfe", "ä\n".encode()):
        with open(os.fsencode(os.path.abspath("outputs")) + b"/" + name, "wb") as opened:
            opened.write(name)
        assert workplace.read(name, 0, 10) == name
    assert len(names()) == 3


def test_outputs_that_were_removed_are_none() -> None:
    os.rmdir("outputs")
    assert workplace.listing() == ()
