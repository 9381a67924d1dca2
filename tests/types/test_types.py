"""The types of `@remote` and `@node.register`: what is right passes, what is wrong is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.processes import REPOSITORY

PROGRAM = Path(__file__).with_name("remote.py")


def run_mypy(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mypy", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=110,
    )


def test_decorated_functions_keep_their_signatures_and_wrong_calls_are_refused() -> None:
    done = run_mypy("--warn-unused-ignores", str(PROGRAM))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_wrong_call_is_refused_with_the_code_that_stands_beside_it(tmp_path: Path) -> None:
    text = PROGRAM.read_text()
    wrong = [
        number for number, line in enumerate(text.splitlines(), 1) if "  # type: ignore[" in line
    ]
    bare = tmp_path / "remote.py"
    bare.write_text(text.replace("# type: ignore[", "# wrong: ["))
    done = run_mypy(str(bare))
    told = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert [int(line.split(":")[1]) for line in told] == wrong, done.stdout
