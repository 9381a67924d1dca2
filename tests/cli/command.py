"""`python -m easyremote ...` as a user runs it: in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.processes import LIMIT, environment


@dataclass(frozen=True)
class Done:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str


def easyremote(home: Path, *arguments: str, stdin: str = "", **variables: str) -> Done:
    """Run a command of the user whose keys are in ``home``."""
    done = subprocess.run(
        [sys.executable, "-m", "easyremote", *arguments],
        env=environment(home) | variables,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)
