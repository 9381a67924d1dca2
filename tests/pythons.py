"""Environments of other Pythons, made once, in pytest's cache."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import tomllib
from pathlib import Path

from filelock import FileLock

from easyremote.node.worker.environment import find_uv
from tests.processes import REPOSITORY

OWN = platform.python_version().rsplit(".", 1)[0]
MINORS = [minor for minor in ("3.11", "3.12", "3.13") if minor != OWN]
#: Making an environment downloads packages, the first time.
INSTALL_LIMIT = 600.0


def interpreter(minor: str) -> str | None:
    """A Python of this version that runs: one of pyenv's, or on the path."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = sorted(map(str, pyenv.glob(f"versions/{minor}.*/bin/python{minor}")), reverse=True)
    for python in [*found, shutil.which(f"python{minor}")]:
        if python and subprocess.run([python, "-c", ""], capture_output=True).returncode == 0:
            return python
    return None


def environment(python: str, folder: Path, needs: list[str] | None = None) -> Path:
    """A virtual environment with these packages, or with what we depend on; its Python."""
    if needs is None:
        project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
        needs = project["dependencies"]
    mark, own = folder / "installed", folder / "env" / "bin" / "python"
    wanted = hashlib.sha256(json.dumps([python, needs]).encode()).hexdigest()
    with FileLock(folder / "lock", timeout=INSTALL_LIMIT):  # another worker may be at it
        if not mark.exists() or mark.read_text() != wanted:
            for command in (
                [find_uv(), "venv", "--clear", "--python", python, str(folder / "env")],
                [find_uv(), "pip", "install", "--python", str(own), *needs],
            ):
                done = subprocess.run(
                    command, capture_output=True, text=True, timeout=INSTALL_LIMIT
                )
                assert done.returncode == 0, done.stderr
            mark.write_text(wanted)
    return own
