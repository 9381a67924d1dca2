"""``easyremote demo``: the main job, from start to end, as the README's first command runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest


@pytest.mark.timeout(300)
def test_the_demo_does_the_main_job(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "easyremote", "demo", "--output", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=280,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "models: 100%" in done.stdout
    assert "right in cross-validation" in done.stdout
    assert "ZeroDivisionError" in done.stdout
    assert "Nothing is left running" in done.stdout
    assert (tmp_path / "out" / "confusion-matrix.png").read_bytes().startswith(b"\x89PNG")
    notebook = nbformat.read(tmp_path / "out" / "01-first-remote-cell.ipynb", as_version=4)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")


def test_a_team_sees_a_fair_queue_and_why_each_waits(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "easyremote", "demo", "--team"],
        capture_output=True,
        text=True,
        timeout=110,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"eva +1 of +1  all done", done.stdout)
    assert re.search(r"was told: .* of \d+ for gpu-node.* of key anna", done.stdout)
    last = {
        name: float(s) for name, s in re.findall(r"(\w+) .* last after ([\d.]+) s", done.stdout)
    }
    assert set(last) == {"anna", "ben", "carla", "david", "eva"}
    assert last["anna"] == max(last.values())  # who floods waits for the others, not they for her
    assert "Nothing is left running" in done.stdout
