"""Second processes: what is dumped in one is loaded in another, on every Python that is here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import LIMIT, REPOSITORY
from tests.pythons import interpreter

PROGRAM = Path(__file__).with_name("program.py")
HERE = "{}.{}".format(*sys.version_info)
OTHER_PYTHONS = [each for each in ("3.11", "3.12", "3.13") if each != HERE]

#: Loads each payload of a JSON object (hex), calls it, and reports "ok" or the traceback.
CALLER = """
import json, sys, traceback
from easyremote.serialize.values import load
def attempt(payload):
    if payload.startswith("not dumped"):
        return payload
    try:
        return load(bytes.fromhex(payload))() or "ok"
    except BaseException:
        return traceback.format_exc()
print(json.dumps({name: attempt(payload) for name, payload in json.load(sys.stdin).items()}))
"""


def run(python: str, *arguments: str, stdin: str = "", cwd: Path | None = None) -> str:
    done = subprocess.run(
        [python, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def python_with_dill(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], str]:
    """The path of an interpreter of that version that has dill; skips where there is none."""
    made: dict[str, str] = {}

    def find(version: str) -> str:
        if version not in made:
            base = interpreter(version)
            if base is None:
                pytest.skip(f"no Python {version} on this machine")
            folder = tmp_path_factory.mktemp(f"python{version}")
            run(base, "-m", "venv", str(folder))
            python = str(folder / "bin" / "python")
            pip = [python, "-m", "pip", "install", "--quiet", "--retries=1", "--timeout=10", "dill"]
            done = subprocess.run(pip, capture_output=True, text=True, timeout=LIMIT)
            if done.returncode:
                pytest.skip(f"dill can't be installed for Python {version}: {done.stderr}")
            made[version] = python
        return made[version]

    return find


@pytest.fixture(scope="session")
def outcomes(python_with_dill: Callable[[str], str]) -> Callable[[str], dict[str, str]]:
    """What became of every check of program.py, dumped by its own process, on a target.

    A target is "bytecode" and "source" (this Python), a version like "3.12" (there as source), or
    "from 3.12" (dumped there as source, loaded here).
    """
    known: dict[str, dict[str, str]] = {}

    def outcomes_on(target: str) -> dict[str, str]:
        if target not in known:
            dumper = loader = sys.executable
            if target.startswith("from "):
                dumper = python_with_dill(target.removeprefix("from "))
            elif target[0] == "3":
                loader = python_with_dill(target)
            python = HERE if target == "bytecode" else "unknown"
            payloads = run(dumper, str(PROGRAM), python)
            known[target] = json.loads(run(loader, "-c", CALLER, stdin=payloads))
        return known[target]

    return outcomes_on
