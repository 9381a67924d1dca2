"""Files that go to a node: with a real gateway and a real node."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import easyremote
from easyremote.client.client import Client
from easyremote.client.files.sending import PIECE, FilePeer, missing, named_files, send
from easyremote.errors import CannotShip, EasyRemoteError, RemoteError, UsageError
from easyremote.events import Progress
from easyremote.protocol.requests import AskForFiles, WritePiece
from easyremote.serialize.files import File, file
from tests.processes import LIMIT, Gateway, end, start_gateway, until_there, wait_until


@pytest.fixture(autouse=True)
def at_home(
    gateway: Gateway,
    node: subprocess.Popen[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[None]:
    """This process is one of the gateway's user, in a folder of its own."""
    monkeypatch.setenv("EASYREMOTE_HOME", str(gateway.home))
    monkeypatch.delenv("EASYREMOTE_NODE", raising=False)
    monkeypatch.chdir(tmp_path)
    yield


def made(name: str, size: int) -> Path:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(os.urandom(size))
    return path


def stored(gateway: Gateway) -> list[Path]:
    return sorted((gateway.home / "files").glob("*/*"))


def part_of(path: Path, gateway: Gateway) -> int:
    """How much of a file is on the node's disk, unfinished."""
    digest = file(path).content.digest.hex()
    sizes = [each.stat().st_size for each in stored(gateway) if each.name == f"{digest}.part"]
    return sum(sizes)


# -- what arrives


def test_files_are_opened_there_under_their_paths() -> None:
    made("data/a.bin", 10)
    Path("b.csv").write_text("x\n1\n")
    code = "open('data/a.bin', 'rb').read(), open('b.csv').read()"
    found = easyremote.run(code, files=["data/a.bin", Path("b.csv")])
    assert found == (Path("data/a.bin").read_bytes(), "x\n1\n")
    Path("b.csv").write_text("y\n2\n")
    assert easyremote.run("open('b.csv').read()", files=["b.csv"]) == "y\n2\n"


def test_a_file_is_a_value_like_others_wherever_it_is_held() -> None:
    path = made("data/c.bin", 10)
    code = "[open(x, 'rb').read() for x in (f, inside['deep'][0])]"
    found = easyremote.run(code, f=file(path), inside={"deep": [file(path)]})
    assert found == [path.read_bytes()] * 2
    assert easyremote.run("f", f=file(path)) == file(path)
    code = "f.content == easyremote.file('data/c.bin').content"
    assert easyremote.run(code, f=file(path), files=[path], easyremote=easyremote)


def test_one_of_the_session_does_not_come_back_as_a_value(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = "open('outputs/x', 'w').write('of its own'); easyremote.file('outputs/x')"
    ref = easyremote.run(code, easyremote=easyremote)
    assert isinstance(ref, easyremote.RemoteRef)
    assert "the file x is on the node only: %remote_fetch" in capsys.readouterr().err


def test_a_shipped_function_and_a_reference_take_files(client: Client) -> None:
    path = made("shipped.bin", 2_000)

    def size(f: File) -> int:
        return os.path.getsize(f)

    job = client.ship(size, (file(path),), {}, node_id="gpu-node")
    assert job.result() == 2_000
    remote_size = easyremote.remote(node_id="gpu-node")(size)
    assert remote_size(file(path)) == 2_000
    stays = easyremote.run("bytes(30_000_000)")
    assert stays.call(lambda value, f: len(open(f, "rb").read()), file(path)) == 2_000


def test_where_files_can_not_go_is_said_before_anything_is_sent(client: Client) -> None:
    path = made("nowhere.bin", 10)
    with pytest.raises(CannotShip, match=r"nowhere.bin\) go to a node that is named: @remote"):
        client.submit(os.path.getsize, file(path))
    with pytest.raises(CannotShip, match="nowhere.bin goes along with cells.*pass its path"):
        client.execute("add", file(path), 1)
    with pytest.raises(UsageError, match="There is no file 'absent'"):
        easyremote.run("1", files=["absent"])
    with pytest.raises(UsageError, match="is a folder"):
        easyremote.run("1", files=["."])
    made("one/same", 1)
    made("two/same", 2)
    with pytest.raises(UsageError, match="Two files would be called same"):
        easyremote.run("1", files=[os.path.abspath("one/same"), os.path.abspath("two/same")])


def test_names_there_are_the_paths_as_they_are_written(tmp_path: Path) -> None:
    made("data/a", 1)
    os.mkdir("sub")
    os.chdir("sub")
    names = named_files(["../data/a"]), named_files([str(tmp_path / "data/a")])
    os.chdir("..")
    assert [*map(list, names), list(named_files(["./data//a"]))] == [["a"], ["a"], ["data/a"]]


def test_an_empty_file_and_one_with_an_odd_name_arrive() -> None:
    Path("empty").touch()
    odd = os.fsdecode(b"od\xff d\n'.bin")
    made(odd, 3)
    code = "import os\n[os.path.getsize(n) for n in names]"
    assert easyremote.run(code, files=["empty", odd], names=["empty", odd]) == [0, 3]


def test_a_session_that_made_a_file_of_that_name_keeps_it() -> None:
    made("own.csv", 1)
    with easyremote.session() as s:
        s.run("_ = open('own.csv', 'w').write('mine')")
        with pytest.raises(UsageError, match="has made a 'own.csv' of its own"):
            s.run("1", files=["own.csv"])
        assert s.run("open('own.csv').read()") == "mine"


# -- how it is sent


def test_what_is_there_is_not_sent_again(client: Client) -> None:
    path = made("once.bin", 3 * PIECE)
    peer = FilePeer(client, "gpu-node", "once")
    (away,) = missing(peer, [file(path)])
    assert away.there == 0
    shown: list[float] = []
    send(peer, [away], lambda state: shown.append(state.n))
    assert shown == [0, PIECE, 2 * PIECE, 3 * PIECE]
    assert missing(FilePeer(client, "gpu-node", "other"), [file(path)]) == []


def test_a_file_arrives_while_a_cell_runs(tmp_path: Path) -> None:
    path, gate = made("meanwhile.bin", 100), tmp_path / "gate"
    with easyremote.session() as s:
        code = f"import pathlib, time\n{until_there(gate)}"
        running = threading.Thread(target=s.run, args=(code,))
        running.start()
        peer = s._engine.files
        send(peer, missing(peer, [file(path)]), lambda state: None)
        assert missing(peer, [file(path)]) == []
        gate.touch()
        running.join(LIMIT)


def test_a_bar_shows_how_far_a_large_file_is(capsys: pytest.CaptureFixture[str]) -> None:
    easyremote.run("1", files=[made("large.bin", 2 * PIECE)])
    assert "large.bin to gpu-node: 100%" in capsys.readouterr().err
    easyremote.run("1", files=[made("small.bin", 1000)])
    assert capsys.readouterr().err == ""


PROGRAM = """
import easyremote, sys
from easyremote.client.files import sending
sending.PIECE = 100_000  # many pieces, so that it can be stopped between two
try:
    easyremote.run("1", "gpu-node", files=[sys.argv[1]])
except KeyboardInterrupt as error:
    print(*error._render_traceback_())
"""


def test_an_interrupt_says_how_far_it_is_and_the_next_run_sends_the_rest(
    gateway: Gateway, client: Client
) -> None:
    path = made("stopped.bin", 60_000_000)
    sender = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path)],
        env=gateway.environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: part_of(path, gateway) > 0)
    sender.send_signal(signal.SIGINT)
    out, _ = sender.communicate(timeout=LIMIT)
    assert " of the 60.0 MB of stopped.bin are on gpu-node; the next run sends the rest" in out
    (away,) = missing(FilePeer(client, "gpu-node", "next"), [file(path)])
    assert 0 < away.there < 60_000_000
    code = "import hashlib; hashlib.sha256(open('stopped.bin', 'rb').read()).digest()"
    assert easyremote.run(code, files=[path]) == file(path).content.digest


def test_a_node_that_is_killed_meanwhile_goes_on_where_it_was(tmp_path: Path) -> None:
    own = start_gateway(tmp_path / "home")
    nodes = [own.start_node("gpu-node")]
    client, path = own.client(), made("killed.bin", 40_000_000)
    try:
        peer, failed = FilePeer(client, "gpu-node", "s"), list[EasyRemoteError]()

        def kill(state: Progress) -> None:
            if state.n and len(nodes) == 1:
                nodes[0].kill()
                nodes[0].wait(LIMIT)
                nodes.append(own.start_node("gpu-node"))

        try:
            send(peer, missing(peer, [file(path)]), kill)
        except EasyRemoteError as error:
            failed.append(error)
        assert [type(error).__name__ for error in failed] == ["CallLost"]
        (away,) = missing(peer, [file(path)])
        assert away.there >= PIECE
        send(peer, [away], lambda state: None)
        assert missing(peer, [file(path)]) == []
    finally:
        client.close()
        for node in nodes:
            end(node)
        end(own.process)


def test_a_file_that_changes_while_it_is_sent_is_told(client: Client, gateway: Gateway) -> None:
    peer = FilePeer(client, "gpu-node", "changes")
    for change in (lambda path: made(str(path), 9_000_000), lambda path: os.truncate(path, 10)):
        path = made("changes.bin", 9_000_000)
        (away,) = missing(peer, [file(path)])
        change(path)
        with pytest.raises(UsageError, match=r"changes.bin has changed while it was sent"):
            send(peer, [away], lambda state: None)
    path.unlink()
    with pytest.raises(UsageError, match="changes.bin was removed while it was sent"):
        send(peer, [away], lambda state: None)


def test_a_part_that_was_damaged_is_sent_anew(client: Client, gateway: Gateway) -> None:
    path = made("damaged.bin", 2 * PIECE)
    peer = FilePeer(client, "gpu-node", "damaged")
    content = file(path).content
    peer.send(WritePiece(content, 0, bytes(PIECE))).result()
    (away,) = missing(peer, [file(path)])
    assert away.there == PIECE
    send(peer, [away], lambda state: None)
    assert missing(peer, [file(path)]) == []


def test_a_file_without_room_for_it_is_refused_before_it_is_sent(client: Client) -> None:
    path = Path("sparse.bin")
    path.touch()
    what = file(path).content._replace(size=10**15)
    with pytest.raises(UsageError, match="GB of disk free, and 1000000.0 GB are to come"):
        FilePeer(client, "gpu-node", "room").send(AskForFiles((what,))).result()


def test_code_that_damages_a_file_costs_only_another_sending() -> None:
    path = made("hurt.bin", 100)
    code = "import os; os.chmod(f, 0o600); _ = open(f, 'r+b').write(b'x'); open(f, 'rb').read(1)"
    assert easyremote.run(code, "gpu-node/first", f=file(path)) == b"x"
    assert easyremote.run("open(f, 'rb').read()", "gpu-node/second", f=file(path)) == (
        path.read_bytes()
    )


def test_a_node_without_code_takes_no_files(gateway: Gateway) -> None:
    strict = gateway.start_node("strict-node", "--no-code")
    try:
        with pytest.raises(EasyRemoteError, match="no cells and no shipped code"):
            easyremote.run("1", "strict-node", files=[made("refused.bin", 1)])
    finally:
        end(strict)


def test_the_folder_of_a_session_goes_with_it() -> None:
    with easyremote.session() as s:
        folder = Path(s.run("import os; os.getcwd()"))
        assert folder.is_dir() and os.listdir(folder) == ["outputs"]
        with pytest.raises(RemoteError):
            s.run("open('absent')")
    wait_until(lambda: not folder.exists())
