"""Background cells and long cells in IPython on a terminal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.jupyter_extension.test_frontends import Terminal, terminal
from tests.processes import until_there

__all__ = ["terminal"]  # a fixture

pytestmark = pytest.mark.usefixtures("node")


def test_a_background_cell_tells_its_end_before_the_next_prompts_cell(
    terminal: Terminal, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    terminal.run(
        "%%remote gpu-node --bg fit", "import time, pathlib", "print('beg' + 'un')",
        until_there(gate), "x = 6 * 7",
    )  # fmt: skip
    assert re.search("queued|running", terminal.run("%remote_jobs"))
    gate.touch()
    assert "done" in terminal.run("%remote_jobs --wait 30")
    assert "42" in terminal.run("x")
    assert "begun" in terminal.run("%remote_job fit")


def test_a_job_that_has_ended_is_told_of_once(terminal: Terminal) -> None:
    terminal.run("%%remote gpu-node --bg quick", "1 + 1")
    # It may have ended before the first of these begins.
    text = terminal.run("quick.exception(30)") + terminal.run("1")
    assert re.search(r"\[gpu-node quick \w{8} · done · 00:0\d: %remote_job \w{8} shows all\]", text)
    assert "shows all" not in terminal.run("2")


def test_a_long_cell_says_where_it_ran_and_how_long(terminal: Terminal) -> None:
    text = terminal.run("%%remote gpu-node", "import time", "time.sleep(3)")
    assert re.search(r"gpu-node 00:0[34]", text)
    assert text.count("gpu-node 00:") == 1


def test_text_and_a_bar_do_not_tear_each_other(terminal: Terminal) -> None:
    text = terminal.run(
        "%%remote gpu-node", "import time", "from tqdm import tqdm",
        "for n in tqdm(range(5), desc='steps'): print('line', n); time.sleep(0.2)",
    )  # fmt: skip
    lines = [line.split("\r")[-1] for line in text.replace("\r\n", "\n").split("\n")]
    assert [line for line in lines if line.startswith("line ")] == [
        f"line {n}" for n in range(5)
    ], text
    assert "steps: 100%" in text
