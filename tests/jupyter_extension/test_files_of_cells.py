"""Files that go with cells, and those that cells leave: in real kernels."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jupyter_extension.conftest import Kernel, notebook_environment
from tests.processes import Gateway, wait_until


@pytest.fixture(autouse=True)
def folder(kernel: Kernel, tmp_path: Path) -> Iterator[Path]:
    """The kernel's folder, while a test runs."""
    kernel.run(f"%cd -q {tmp_path}")
    yield tmp_path
    kernel.run("%cd -q /")


def made(path: Path, size: int = 10) -> bytes:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data := os.urandom(size))
    return data


def write(kernel: Kernel, name: str, size: int, session: str = "out") -> None:
    code = f"import os\nos.makedirs(os.path.dirname('outputs/{name}'), exist_ok=True)\n"
    code += f"_ = open('outputs/{name}', 'wb').write(os.urandom({size}))"
    kernel.run(f"%%remote gpu-node -s {session}\n{code}")


# -- files that go


def test_files_of_the_option_are_opened_there_under_their_paths(
    kernel: Kernel, folder: Path
) -> None:
    a, b = made(folder / "data" / "a.bin"), made(folder / "b.bin")
    made(folder / "c.bin")
    shown = kernel.run(
        "%%remote gpu-node --file data/a.bin,b.bin --file c.bin\nimport os\n"
        "found = open('data/a.bin', 'rb').read(), open('b.bin', 'rb').read()\nos.listdir()"
    )
    assert {"data", "b.bin", "c.bin", "outputs"} <= set(json.loads(shown.value.replace("'", '"')))
    assert ast.literal_eval(kernel.run("found").value or "") == (a, b)
    assert shown.text("stderr") == ""
    assert kernel.run("%remote gpu-node --file b.bin len(open('b.bin').name)").value == "5"


def test_a_file_is_a_variable_of_the_cell(kernel: Kernel, folder: Path) -> None:
    data = made(folder / "train.bin")
    kernel.run("import easyremote\ntrain = easyremote.file('train.bin')")
    assert kernel.run("%%remote gpu-node\nopen(train, 'rb').read()").value == repr(data)
    data = made(folder / "train.bin")
    assert kernel.run("%%remote gpu-node\nopen(train, 'rb').read()").value == repr(data)
    assert kernel.run("%%remote gpu-node\nsame = train").text("stderr") == ""
    assert kernel.run("same == train").value == "True"
    kernel.run("%remote_put gpu-node/put train")
    assert kernel.run("%%remote gpu-node/put --no-auto-in\ntrain.name").value == "'train.bin'"


def test_a_large_file_is_announced_has_a_bar_and_is_sent_once(kernel: Kernel, folder: Path) -> None:
    made(folder / "large.bin", 20_000_000)
    cell = "%%remote gpu-node --file large.bin\nimport os\nos.path.getsize('large.bin')"
    shown = kernel.run(cell)
    assert shown.value == "20000000"
    assert "Sending to gpu-node: large.bin (file, 20.0 MB)" in shown.text("stderr")
    bar = [*shown.of("display_data"), *shown.of("update_display_data")][-1]["data"]
    assert "large.bin to gpu-node: 100%" in bar["text/plain"]
    assert "easyremote-progress" in bar["text/html"]
    again = kernel.run(cell)
    assert (again.text("stderr"), again.of("display_data")) == ("", [])


def test_more_than_a_gigabyte_has_to_be_wanted(kernel: Kernel, folder: Path) -> None:
    made(folder / "huge.bin", 3_000_000)
    kernel.run(
        "import easyremote_jupyter.places.shipping as s\nlimit, s.FORCED_MIN = s.FORCED_MIN, 2e6"
    )
    shown = kernel.run("%%remote gpu-node --file huge.bin\n1", fails=True)
    assert "huge.bin (file, 3.0 MB). Nothing was sent." in shown.text("stderr")
    assert kernel.run("%%remote gpu-node --file huge.bin --force-push\n1").value == "1"
    assert kernel.run("s.FORCED_MIN = limit\nlimit").value == "1000000000"


def test_a_dry_run_shows_files_with_their_sizes(kernel: Kernel, folder: Path) -> None:
    made(folder / "new.bin", 2_000_000)
    made(folder / "known.bin", 1_500)
    kernel.run("import easyremote\nnew = easyremote.file('new.bin')")
    kernel.run("%%remote gpu-node --file known.bin\n1")
    text = kernel.run("%%remote gpu-node --file known.bin --dry-run\nnew").text()
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in text.splitlines()[1:-2]}
    assert rows["new.bin"] == "file 2.0 MB 2.0 MB would be sent"
    assert rows["known.bin"] == "file 1.5 kB is there already"
    assert "To send: 2.0 MB." in text
    assert "new.bin" not in kernel.run("%remote_files gpu-node").value


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--file absent.csv", "There is no file 'absent.csv'."),
        ("--file .", "'.' is a folder, and files travel one by one"),
        ("--file", "--file needs a value: --file A,B."),
    ],
)
def test_slips_are_one_line(kernel: Kernel, line: str, message: str) -> None:
    shown = kernel.run(f"%%remote gpu-node {line}\n1", fails=True)
    assert message in shown.text("stderr")
    assert shown.text("stderr").count("\n") == 1


def test_a_file_that_is_here_and_was_not_sent_is_named_with_the_option(
    kernel: Kernel, folder: Path
) -> None:
    made(folder / "here.csv")
    # A name that is computed can't be told before the cell runs.
    shown = kernel.run("%%remote gpu-node\nopen('here' + chr(46) + 'csv')", fails=True)
    assert "'here.csv' is here, but was not sent: add --file here.csv" in shown.traceback
    shown = kernel.run("%%remote gpu-node\nopen('nowhere.csv')", fails=True)
    assert "--file" not in shown.traceback


def test_a_background_cell_has_its_files(kernel: Kernel, folder: Path) -> None:
    data = made(folder / "behind.bin", 2_000_000)
    kernel.run(
        "%%remote gpu-node --bg job --file behind.bin\nimport hashlib\n"
        "hashlib.sha256(open('behind.bin', 'rb').read()).hexdigest()"
    )
    assert kernel.run("job.result(30)").value == repr(hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("option", ["", "--bg job"])
def test_an_interrupt_stops_the_sending_and_the_next_run_sends_the_rest(
    kernel: Kernel, gateway: Gateway, folder: Path, option: str
) -> None:
    data = made(folder / "stopped.bin", 100_000_000)
    part = f"{hashlib.sha256(data).hexdigest()}.part"

    def interrupt() -> None:
        wait_until(lambda: any((gateway.home / "files").glob(f"*/{part}")))
        kernel._manager.interrupt_kernel()

    threading.Thread(target=interrupt).start()
    shown = kernel.run(f"%%remote gpu-node --file stopped.bin {option}\n1", fails=True)
    assert shown.reply["ename"] == "KeyboardInterrupt", shown.story()
    assert " of the 100.0 MB of stopped.bin are on gpu-node; the next run" in shown.traceback
    assert len(shown.traceback.splitlines()) == 1
    (there,) = (gateway.home / "files").glob(f"*/{part}")
    size = there.stat().st_size
    assert 0 < size < 100_000_000
    shown = kernel.run("%%remote gpu-node --file stopped.bin --dry-run\n1")
    assert "To send: 100.0 MB" not in shown.text()
    code = "import hashlib\nhashlib.sha256(open('stopped.bin', 'rb').read()).hexdigest()"
    shown = kernel.run(f"%%remote gpu-node --file stopped.bin\n{code}")
    assert shown.value == repr(hashlib.sha256(data).hexdigest())


# -- files that come


def test_files_are_listed_with_size_and_time(kernel: Kernel, folder: Path) -> None:
    assert "No files" in kernel.run("%remote_files gpu-node/listed").value
    made(folder / "sent.csv")
    kernel.run("%%remote gpu-node/listed --file sent.csv\n1")
    write(kernel, "plots/a.png", 1_500, "listed")
    shown = kernel.run("%remote_files gpu-node/listed")
    rows = [line.split() for line in shown.value.splitlines()]
    assert rows[0] == ["Name", "Size", "Time"]
    assert [(row[0], row[1:3], row[-1]) for row in rows[1:]] == [
        ("sent.csv", ["10", "B"], "sent"),
        ("outputs/plots/a.png", ["1.5", "kB"], rows[2][-1]),
    ]
    assert rows[1][3] == time.strftime("%Y-%m-%d")
    assert (
        "<td style='text-align:left'>outputs/plots/a.png</td>"
        in (shown.of("execute_result")[0]["data"]["text/html"])
    )


def test_outputs_are_fetched_with_a_bar_and_never_over_others(kernel: Kernel, folder: Path) -> None:
    write(kernel, "model.bin", 9_000_000)
    write(kernel, "plots/a.png", 10)
    shown = kernel.run("%remote_fetch gpu-node/out model.bin")
    assert shown.text() == "model.bin (9.0 MB)\n"
    bar = [*shown.of("display_data"), *shown.of("update_display_data")][-1]["data"]["text/plain"]
    assert "model.bin from gpu-node: 100%" in bar
    assert (folder / "model.bin").stat().st_size == 9_000_000
    text = kernel.run("%remote_fetch gpu-node/out '*' --to got").text()
    assert text == "got/model.bin (9.0 MB)\ngot/plots/a.png (10 B)\n"
    (folder / "model.bin").write_text("mine")
    shown = kernel.run("%remote_fetch gpu-node/out model.bin", fails=True)
    assert "model.bin is another file than the output of that name" in shown.text("stderr")
    assert shown.text("stderr").count("\n") == 1
    assert (folder / "model.bin").read_text() == "mine"
    kernel.run("%remote_fetch gpu-node/out model.bin --overwrite")
    assert (folder / "model.bin").stat().st_size == 9_000_000


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "%remote_fetch: the following arguments are required: NAME"),
        ("gpu-node", "%remote_fetch gpu-node NAME ...: which file? %remote_files gpu-node"),
        ("gpu-node/out absent", "No file in outputs/ is called absent."),
        ("gpu-node/out ../../etc/passwd", "No file in outputs/ is called ../../etc/passwd."),
        ("gpu-node/unused x", "There is no session unused on 'gpu-node', so it has no files."),
        ("gpu-node/out 'x", "No closing quotation"),
    ],
)
def test_slips_of_the_magic_are_one_line(kernel: Kernel, line: str, message: str) -> None:
    write(kernel, "model.bin", 10)
    shown = kernel.run(f"%remote_fetch {line}", fails=True)
    assert message in shown.story()
    assert len((shown.text("stderr") or shown.traceback).splitlines()) == 1


def test_a_restart_says_which_files_go_with_the_session(kernel: Kernel, folder: Path) -> None:
    for number in range(5):
        write(kernel, f"{number}.bin", 1, "ends")
    text = kernel.run("%remote_restart gpu-node/ends").text()
    assert text == (
        "The session on gpu-node has ended, and its outputs/ with it (0.bin, 1.bin, 2.bin and 2 "
        "more); the next cell starts it anew.\n"
    )
    assert "No files" in kernel.run("%remote_files gpu-node/ends").value


def test_outputs_are_fetched_while_a_cell_runs(kernel: Kernel, folder: Path) -> None:
    gate = folder / "gate"
    kernel.run(
        "%%remote gpu-node/busy --bg job\nimport os, time\n"
        "_ = open('outputs/early', 'w').write('x')\n"
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.02)"
    )
    wait_until(lambda: "outputs/early" in kernel.run("%remote_files gpu-node/busy").value)
    kernel.run("%remote_fetch gpu-node/busy early")
    gate.touch()
    assert (folder / "early").read_text() == "x"
    kernel.run("job.result(30)")


def test_a_kernel_that_is_killed_while_it_sends_leaves_what_came_to_the_next(
    kernel: Kernel, gateway: Gateway, folder: Path
) -> None:
    data = made(folder / "killed.bin", 100_000_000)
    part = f"{hashlib.sha256(data).hexdigest()}.part"
    doomed = Kernel(notebook_environment(gateway))
    doomed._client.execute(f"%%remote gpu-node/killed --file {folder / 'killed.bin'}\n1")
    wait_until(lambda: any((gateway.home / "files").glob(f"*/{part}")))
    doomed.kill()
    shown = kernel.run("%%remote gpu-node/killed --file killed.bin --dry-run\n1")
    assert "To send: 100.0 MB" not in shown.text()
    code = "import hashlib\nhashlib.sha256(open('killed.bin', 'rb').read()).hexdigest()"
    shown = kernel.run(f"%%remote gpu-node/killed --file killed.bin\n{code}")
    assert shown.value == repr(hashlib.sha256(data).hexdigest())
