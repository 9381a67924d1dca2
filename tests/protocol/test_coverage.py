"""The gate: the example tests of the protocol reach every branch of it.

Without ``test_machine.py``: what only a search finds is not yet described by an example.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import REPOSITORY

#: Seconds: all examples run once more, under a tracer.
LIMIT = 400

pytestmark = pytest.mark.timeout(LIMIT + 20)


def test_the_examples_reach_every_line_and_branch_of_the_protocol(tmp_path: Path) -> None:
    coverage = [sys.executable, "-m", "coverage"]
    data = f"--data-file={tmp_path / 'coverage'}"
    report = tmp_path / "coverage.json"
    ignored = [f"--ignore=tests/protocol/{name}.py" for name in ("test_coverage", "test_machine")]
    measure = ["run", "--branch", "--source=easyremote/protocol", data, "-m", "pytest"]
    quietly = ["-q", "-p", "no:cacheprovider", "tests/protocol", *ignored]
    run([*coverage, *measure, *quietly])
    run([*coverage, "json", data, "-q", "-o", str(report)])
    files = json.loads(report.read_text())["files"]
    assert any(name.endswith("protocol/link.py") for name in files), "nothing was measured"
    missing = {
        name: {"lines": found["missing_lines"], "branches": found["missing_branches"]}
        for name, found in files.items()
        if found["missing_lines"] or found["missing_branches"]
    }
    assert not missing, f"add an example for what is not reached, or delete it: {missing}"


def run(command: list[str]) -> None:
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stdout + done.stderr
