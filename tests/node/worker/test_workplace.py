"""The folder in which a session works."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import pytest

from easyremote.errors import NotFound, UsageError
from easyremote.node.folders import own_folder
from easyremote.node.worker import workplace
from easyremote.serialize.files import File


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


# -- files that a session and the notebook have in common


def file(text: str) -> File:
    return File(came("x", text))


def test_what_came_is_a_copy_and_only_changes_of_it_go_back() -> None:
    beside = workplace.Beside()
    beside.take([("data/a.csv", file("one")), ("b.csv", file("two"))], ["empty/inner"])
    assert Path("empty/inner").is_dir()
    assert beside.changed() == {}
    Path("b.csv").write_text("changed")
    Path("new.txt").write_text("new")
    Path("made/inner").mkdir(parents=True)
    found = beside.changed()
    assert [name for name in found if name.endswith("/")] == ["made/", "made/inner/"]
    assert {name: what["data"] for name, what in found.items() if what["digest"]} == {
        "b.csv": b"changed",
        "new.txt": b"new",
    }
    assert found["new.txt"]["digest"] == hashlib.sha256(b"new").digest()
    assert beside.changed() == {}
    os.utime("b.csv", (1, 1))
    assert beside.changed() == {}, "its content is the same"
    assert Path(own_folder("stored") / "two").read_text() == "two"


def test_what_came_replaces_what_was_there() -> None:
    beside = workplace.Beside()
    Path("a.csv").write_text("old")
    Path("linked.csv").symlink_to(came("linked.csv", "by option"))
    beside.take([("a.csv", file("new")), ("linked.csv", file("copy"))], [])
    assert [Path("a.csv").read_text(), Path("linked.csv").read_text()] == ["new", "copy"]
    assert not Path("linked.csv").is_symlink()


def test_removals_are_told_and_taken_over() -> None:
    beside = workplace.Beside()
    beside.take([(f"{name}.csv", file(name)) for name in "abc"], [])
    Path("a.csv").unlink()
    assert beside.changed() == {"a.csv": {"digest": b"", "size": 0, "data": None}}
    Path("c.csv").write_text("written since")
    beside.remove(["b.csv", "c.csv", "unknown.csv"])
    assert sorted(os.listdir()) == ["c.csv", "outputs"]


def test_a_file_that_comes_by_option_takes_the_place_of_a_copy() -> None:
    beside = workplace.Beside()
    beside.take([("a.csv", file("x")), ("b.csv", file("y"))], [])
    Path("b.csv").write_text("changed there")
    for name in ("a.csv", "b.csv", "none.csv"):
        beside.give_way(name)
    assert not Path("a.csv").exists() and Path("b.csv").exists()
    workplace.place("a.csv", came("a.csv"))
    assert "a.csv" not in beside.changed()


def test_large_files_stay_and_can_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workplace, "BACK_MAX", 10)
    monkeypatch.setattr(workplace, "BACK_OF_CELL_MAX", 15)
    beside = workplace.Beside()
    Path("sub").mkdir()
    Path("sub/large").write_text("x" * 11)
    for name in "abc":
        Path(name).write_text(name * 6)
    found = beside.changed()
    large = [name for name, what in found.items() if what["digest"] and what["data"] is None]
    assert large == ["c", "sub/large"]
    assert names() == [("c", False), ("sub/large", False)]
    Path("sub/large").write_text("y" * 12)
    assert beside.changed().keys() == {"sub/large"}
    assert workplace.read(b"sub/large", 0, 5) == b"yyyyy"


def test_links_hidden_files_outputs_and_folders_of_data_are_not_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workplace, "ENTRIES_MAX", 5)
    for name in ("images", ".git", "__pycache__"):
        Path(name).mkdir()
        for number in range(6):
            Path(name, str(number)).touch()
    Path(".hidden").touch()
    Path("outputs/x").touch()
    Path("link").symlink_to("/etc/passwd")
    assert workplace.Beside().changed() == {}


def long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder has not changed for a while."""
    monkeypatch.setattr(workplace, "CLOCK_NS", -(10**12))


def test_a_folder_in_which_nothing_came_or_went_is_not_looked_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    beside, looks = workplace.Beside(), list[Path]()
    look = workplace._beside
    monkeypatch.setattr(
        workplace, "_beside", lambda path, start: looks.append(path) or look(path, start)
    )
    long_ago(monkeypatch)
    assert [beside.changed() for _ in range(3)] == [{}, {}, {}]
    assert len(looks) == 1
    Path("made.csv").write_text("new")
    assert beside.changed().keys() == {"made.csv"}
    Path("made.csv").write_text("newer")  # no entry of the folder has come or gone
    assert beside.changed()["made.csv"]["data"] == b"newer"
    os.remove("made.csv")
    assert beside.changed()["made.csv"]["digest"] == b""
    os.mkdir("sub")
    assert beside.changed().keys() == {"sub/"}
    Path("sub/inner.csv").write_text("new")
    assert beside.changed().keys() == {"sub/inner.csv"}


def test_a_change_soon_after_another_one_is_seen_though_its_time_is_the_same(
    folder: Path,
) -> None:
    beside = workplace.Beside()
    Path("gone").write_text("x")
    os.remove("gone")
    changed = folder.stat().st_mtime_ns
    assert beside.changed() == {}
    Path("made.csv").write_text("new")
    os.utime(folder, ns=(changed, changed))
    assert beside.changed().keys() == {"made.csv"}


def test_a_file_that_could_not_be_read_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    beside, content = workplace.Beside(), workplace._content
    long_ago(monkeypatch)
    Path("made.csv").write_text("new")
    monkeypatch.setattr(workplace, "_content", lambda path: None)
    assert beside.changed() == {}
    monkeypatch.setattr(workplace, "_content", content)
    assert beside.changed().keys() == {"made.csv"}
