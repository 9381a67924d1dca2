"""Files that come from a node: with a real gateway and a real node."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import easyremote
from easyremote.client.files.fetching import _matching, fetch, safe_target
from easyremote.client.files.sending import PIECE, FilePeer, TransferInterrupted
from easyremote.client.remote_session import RemoteSession
from easyremote.errors import NotFound, ProtocolError, UsageError
from easyremote.events import Progress
from easyremote.protocol.link import Link
from easyremote.protocol.messages import Finished, Message, Submit
from tests.client.lying_gateway import lying_gateway
from tests.processes import Gateway

WRITE = "import os; data = os.urandom(size); _ = open(f'outputs/{name}', 'wb').write(data)"


@pytest.fixture
def s(
    gateway: Gateway,
    node: subprocess.Popen[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[RemoteSession]:
    monkeypatch.setenv("EASYREMOTE_HOME", str(gateway.home))
    monkeypatch.chdir(tmp_path)
    with easyremote.session("gpu-node") as session:
        yield session


def write(s: RemoteSession, name: str, size: int) -> bytes:
    data: bytes = s.run(WRITE, out=["data"], name=name, size=size)["data"]
    return data


def interrupted(state: Progress) -> None:
    """Takes the states of a bar until half of a file is here."""
    if state.n >= 2 * PIECE:
        raise KeyboardInterrupt  # as a signal would be, between two pieces


def test_files_are_those_that_were_sent_and_the_outputs(s: RemoteSession) -> None:
    assert s.files() == []
    Path("a.csv").write_text("x")
    s.run("_ = open('beside', 'w').write('x')", files=["a.csv"])
    write(s, "model.bin", 10)
    assert [(f.name, f.size, f.is_sent) for f in s.files()] == [
        ("a.csv", 1, True),
        ("model.bin", 10, False),
    ]
    assert abs(s.files()[1].time - Path("a.csv").stat().st_mtime) < 60


def test_outputs_are_fetched_by_name_and_by_pattern(s: RemoteSession) -> None:
    s.run("import os; os.mkdir('outputs/plots')")
    data = {name: write(s, name, 10) for name in ("model.bin", "plots/a.png", "plots/b.png")}
    assert s.fetch("model.bin") == [Path("model.bin")]
    assert s.fetch("outputs/model.bin", "*.png", to="got") == [
        *(Path("got/model.bin"), Path("got/plots/a.png"), Path("got/plots/b.png"))
    ]
    for name, content in data.items():
        assert Path("got", name).read_bytes() == content
    with pytest.raises(NotFound, match="is called modle.bin. Did you mean 'model.bin'?.*There: "):
        s.fetch("modle.bin")


def test_what_is_here_is_never_overwritten_without_being_asked(s: RemoteSession) -> None:
    data = write(s, "a.bin", 10), write(s, "b.bin", 10)
    Path("b.bin").write_text("mine")
    with pytest.raises(UsageError, match="b.bin is another file.*nothing was fetched.*overwrite"):
        s.fetch("*")
    assert not Path("a.bin").exists() and Path("b.bin").read_text() == "mine"
    s.fetch("*", overwrite=True)
    assert Path("b.bin").read_bytes() == data[1]
    before = Path("b.bin").stat()
    assert s.fetch("*") == [Path("a.bin"), Path("b.bin")]  # the same already
    assert Path("b.bin").stat() == before
    os.remove("a.bin")
    os.mkdir("a.bin")
    with pytest.raises(UsageError, match="a.bin is another file"):
        s.fetch("a.bin", overwrite=True)


def test_an_interrupted_one_goes_on_where_it_was(
    s: RemoteSession, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write(s, "large.bin", 4 * PIECE + 1)

    with pytest.raises(TransferInterrupted, match="8.0 MB of the 16.0 MB of large.bin are here"):
        fetch(s._engine.files, ["large.bin"], ".", overwrite=False, show=interrupted)
    (part,) = Path().iterdir()
    assert part.stat().st_size >= 2 * PIECE
    shown: list[float] = []
    fetch(
        *(s._engine.files, ["large.bin"], "."),
        overwrite=False,
        show=lambda state: shown.append(state.n),
    )
    assert shown[0] == 2 * PIECE
    assert [path.name for path in Path().iterdir()] == ["large.bin"]
    assert Path("large.bin").read_bytes() == data
    s.fetch("large.bin", to="again")
    assert "large.bin from gpu-node: 100%" in capsys.readouterr().err


def test_a_part_that_was_damaged_is_fetched_anew(s: RemoteSession) -> None:
    data = write(s, "large.bin", 3 * PIECE)
    with pytest.raises(TransferInterrupted):
        fetch(s._engine.files, ["large.bin"], ".", overwrite=False, show=interrupted)
    (part,) = Path().iterdir()
    part.write_bytes(bytes(100))
    s.fetch("large.bin")
    assert Path("large.bin").read_bytes() == data


def test_one_that_changes_meanwhile_is_told_and_leaves_nothing(s: RemoteSession) -> None:
    write(s, "changes.bin", 2 * PIECE)

    def change(state: Progress) -> None:
        if not state.n:
            write(s, "changes.bin", 2 * PIECE)

    with pytest.raises(UsageError, match="changes.bin has changed while it was fetched"):
        fetch(s._engine.files, ["changes.bin"], ".", overwrite=False, show=change)
    assert list(Path().iterdir()) == []


def test_empty_and_oddly_named_ones_are_fetched(s: RemoteSession) -> None:
    odd = os.fsdecode(b"od\xff d\n'")
    assert write(s, "empty", 0) == b""
    data = write(s, odd, 5)
    s.fetch("empty", odd)
    assert (Path("empty").read_bytes(), Path(odd).read_bytes()) == (b"", data)


OUT = ["../x", "/etc/x", "a/../../x", "..", ".", "", "a//b", "a/", "./a", "a/./b", "a\0b"]


@pytest.mark.parametrize("name", OUT)
def test_a_name_of_the_node_is_one_of_a_file_below_the_folder_here(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="can't be the name of a file in"):
        safe_target(tmp_path, name)


def test_a_name_of_the_node_never_leads_out_of_the_folder_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "out").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="would lead out of"):
        safe_target(tmp_path / "here", "out/x")


@pytest.mark.parametrize(
    "name",
    ["NUL", "con.txt", "a/COM1", "C:x", "C:/x", "a\\..\\..\\x", "file:stream", "\\\\host\\x"],
)
def test_a_name_that_is_special_on_windows_is_refused_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be the name of a file in"):
        safe_target(tmp_path, name, on_windows=True)
    assert safe_target(tmp_path, name, on_windows=False).name


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("*", ["a", "plots/b"]),
        ("plots/*", ["plots/b"]),
        ("*b", ["plots/b"]),
        (".*", [".bashrc", ".ssh/keys", ".git/config", ".git/.hook"]),
        ("plots/.*", ["plots/.hidden"]),
        ("plots/.hidden", ["plots/.hidden"]),
        (".git/*", [".git/config"]),
        (".git/.*", [".git/.hook"]),
        ("[.]bashrc", []),
        ("?bashrc", []),
    ],
)
def test_what_is_hidden_comes_only_where_it_is_asked_for(pattern: str, meant: list[str]) -> None:
    names = ["a", "plots/b", "plots/.hidden", ".bashrc", ".ssh/keys", ".git/config", ".git/.hook"]
    if meant:
        assert _matching([pattern], names) == meant
    else:
        with pytest.raises(NotFound):
            _matching([pattern], names)


def test_a_pattern_brings_no_hidden_file_that_a_node_has_made(s: RemoteSession) -> None:
    s.run("import os; os.makedirs('outputs/.ssh')")
    write(s, "seen", 1)
    hidden = {name: write(s, name, 1) for name in (".bashrc", ".ssh/authorized_keys")}
    assert s.fetch("*") == [Path("seen")]
    assert [path.name for path in Path().iterdir()] == ["seen"]
    s.fetch(*hidden, to="asked")
    assert {name: Path("asked", name).read_bytes() for name in hidden} == hidden


def lying(
    files: list[dict[str, object]], what: object = b"", piece: object = b""
) -> Callable[[Link, Submit], Iterator[Message]]:
    """A node (by way of its gateway) that tells this of its files."""

    def answer(link: Link, message: Submit) -> Iterator[Message]:
        operation = msgspec.msgpack.decode(message.payload.data)["type"]
        told = {
            "list": {"type": "files", "files": files},
            "describe": {"type": "content", "content": what},
            "read": {"type": "piece", "data": piece},
        }[operation]
        body = msgspec.msgpack.encode(told)
        yield Finished(message.call, link.offer((body,), len(body), "msgpack"))

    return answer


FILE = {"name": b"x", "size": 3, "time": 0.0, "is_sent": False}
DIGEST = hashlib.sha256(b"abc").digest()
LIES: dict[str, tuple[Any, ...]] = {
    "no files": (7,),
    "a name of text": ([FILE | {"name": 3}],),
    "no time": ([FILE | {"time": float("nan")}],),
    "a time that no clock shows": ([FILE | {"time": 1e300}],),
    "below nothing": ([FILE | {"size": -1}],),
    "no content": ([FILE], None),
    "no digest": ([FILE], (b"", 3)),
    "a size below nothing": ([FILE], (DIGEST, -3)),
    "a size that no disk has": ([FILE], (DIGEST, 2**62)),
    "no bytes": ([FILE], (DIGEST, 3), 7),
    "more than a piece": ([FILE], (DIGEST, 3), bytes(PIECE + 1)),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_a_node_tells_of_its_files_is_not_believed(
    lie: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with lying_gateway(lying(*LIES[lie])) as gateway, gateway.client() as client:
        peer = FilePeer(client, "n", "s")
        with pytest.raises(ProtocolError, match="An answer is not what was asked for"):
            fetch(peer, ["*"], ".", overwrite=False, show=print)
    assert [path for path in tmp_path.iterdir() if not path.name.endswith(".part")] == []


def test_a_part_is_never_written_through_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    Path(f".x.{DIGEST.hex()[:16]}.part").symlink_to(victim)
    answer = lying([FILE], (DIGEST, 3), b"abc")
    with lying_gateway(answer) as gateway, gateway.client() as client:
        with pytest.raises(UsageError, match="x can't be written"):
            fetch(FilePeer(client, "n", "s"), ["x"], ".", overwrite=False, show=print)
    assert victim.read_text() == "mine"


def test_names_of_a_node_are_shown_without_what_a_terminal_obeys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    evil = FILE | {"name": b"\x1b]0;owned\x07"}
    with lying_gateway(lying([evil])) as gateway, gateway.client() as client:
        with pytest.raises(NotFound) as caught:
            fetch(FilePeer(client, "n", "s"), ["y"], ".", overwrite=False, show=print)
    assert str(caught.value).isprintable()


def test_a_place_that_can_not_be_written_to_is_told(s: RemoteSession) -> None:
    s.run("import os; os.mkdir('outputs/plots')")
    write(s, "plots/a.png", 1)
    Path("plots").touch()
    with pytest.raises(UsageError, match="plots is no folder"):
        s.fetch("plots/a.png", to="plots")
    with pytest.raises(UsageError, match="plots/a.png can't be written: "):
        s.fetch("plots/a.png")


def test_outputs_are_fetched_while_a_cell_runs_and_gone_with_the_session(
    s: RemoteSession, tmp_path: Path
) -> None:
    data = write(s, "first.bin", 10)
    job = s._engine.submit_cell({"code": "import time; time.sleep(600)", "count": 1})
    s.fetch("first.bin")
    assert not job.done()
    assert Path("first.bin").read_bytes() == data
    s.end()
    assert s.files() == []
