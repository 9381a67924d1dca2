"""A session that has died says what it held, and is made anew by the cells that made it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.jupyter_extension.conftest import Kernel


def run(kernel: Kernel, session: str, code: str, *, cell: str = "", fails: bool = False) -> str:
    """Run a cell of a session; what it wrote on stderr, or its traceback."""
    shown = kernel.run(f"%%remote gpu-node/{session}\n{code}", fails=fails)
    return shown.traceback if fails else shown.text("stderr")


def test_a_session_that_dies_says_what_it_held_and_how_it_is_made_anew(kernel: Kernel) -> None:
    kernel.run("here = 5")
    run(kernel, "dying", "handle = open('/dev/null')\ncopied = here + 1")
    run(kernel, "dying", "big = bytearray(20_000_000)")
    told = run(kernel, "dying", "import os\nos._exit(3)", fails=True)
    assert "WorkerCrashed" in told
    assert "Gone with it: big (bytearray, 20.0 MB), handle (TextIOWrapper)." in told
    assert "%remote_restart gpu-node/dying --again runs the cells again that made it." in told
    assert "copied" not in told
    told = run(kernel, "dying", "here")
    assert "Lost there: big (bytearray, 20.0 MB), handle (TextIOWrapper)." in told
    assert "%remote_restart gpu-node/dying --again makes it anew." in told


def test_a_session_that_held_nothing_of_its_own_says_no_more_than_that_it_died(
    kernel: Kernel,
) -> None:
    kernel.run("here = 5")
    run(kernel, "empty", "here")
    told = run(kernel, "empty", "import os\nos._exit(3)", fails=True)
    assert "Gone with it" not in told


def test_the_cells_that_made_it_run_again_in_their_order_each_once(
    kernel: Kernel, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    note = f"import pathlib\nlog = pathlib.Path({str(log)!r})\n"
    kernel.run("start = 1")
    run(
        kernel,
        "made",
        f"{note}log.open('a').write('first ')\nlock = __import__('threading').Lock()",
    )
    run(kernel, "made", "log.open('a').write('second ')\nmiddle = start + 1")
    run(kernel, "made", "1 / 0", fails=True)
    run(kernel, "made", "log.open('a').write('third ')\nlast = middle + 1\nlast")
    kernel.run("%remote gpu-node/made log.open('a').write('expression ')")
    run(kernel, "made", "import os\nos._exit(3)", fails=True)
    log.write_text("")
    kernel.run("start = 10")
    shown = kernel.run("%remote_restart gpu-node/made --again")
    assert log.read_text() == "first second third "
    assert shown.text() == "The session on gpu-node is made anew: 3 cells ran again.\n"
    notices = shown.text("stderr")
    assert [line for line in notices.splitlines() if line.startswith("[")] == [
        "[1/3] import pathlib",
        "[2/3] log.open('a').write('second ')",
        "[3/3] log.open('a').write('third ')",
    ]
    assert "is new" not in notices
    assert kernel.run("last").value == "12"
    assert kernel.run("%%remote gpu-node/made\nlock.locked(), last").value == "(False, 12)"


def test_it_stops_at_the_first_that_fails_and_says_which(kernel: Kernel, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.touch()
    run(kernel, "failing", "good = 1")
    run(kernel, "failing", f"open({str(gone)!r})\n'read'")
    ran = tmp_path / "ran"
    run(kernel, "failing", f"import pathlib\npathlib.Path({str(ran)!r}).touch()")
    for file in (gone, ran):
        file.unlink()
    shown = kernel.run("%remote_restart gpu-node/failing --again", fails=True)
    assert shown.reply["ename"] == "FileNotFoundError"
    assert f"Stopped at cell 2 of 3: open({str(gone)!r})"[:60] in shown.text("stderr")
    assert ". 1 did not run." in shown.text("stderr")
    assert not ran.exists()


def test_a_plain_restart_is_a_new_beginning(kernel: Kernel) -> None:
    run(kernel, "plain", "old = 1")
    kernel.run("%remote_restart gpu-node/plain")
    shown = kernel.run("%remote_restart gpu-node/plain --again")
    assert shown.text() == "No cell of this notebook has run in that session on gpu-node.\n"


def test_a_cell_in_the_background_runs_again_in_its_turn_and_nobody_is_told_twice(
    kernel: Kernel,
) -> None:
    kernel.run("%%remote gpu-node/behind --bg job\nfirst = 1\n'value'")
    kernel.run("job.result(60)")
    run(kernel, "behind", "second = first + 1")
    kernel.run("%remote_restart gpu-node/behind --again")
    assert kernel.run("%%remote gpu-node/behind\nsecond").value == "2"


@pytest.mark.parametrize("line", ["--agian", "gpu-nod --again"])
def test_slips_are_one_line(kernel: Kernel, line: str) -> None:
    shown = kernel.run(f"%remote_restart {line}", fails=True)
    assert "There is no" in shown.story()
