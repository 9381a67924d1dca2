"""Builds the panel for a wheel or an sdist: hatch calls `build_panel`, as `pyproject.toml` says.

The npm packages come from a registry. Where the registry can't be reached, the installation of
EasyRemote ends with three lines, not with all that jlpm writes about a thousand packages
(`tests/test_first_command.py`).
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

LABEXTENSION = Path(__file__).parent
#: jlpm writes this before the error of a package that it could not download, after three retries.
FAILED = "YN0001: │ "
NOT_DOWNLOADED = (
    "The panel for JupyterLab was not built, because its npm packages could not be downloaded"
    " ({cause}; the whole log is {log}).\n"
    "To install without the panel, put SKIP_JUPYTER_BUILDER=1 before the command:"
    " SKIP_JUPYTER_BUILDER=1 pip install '.[demo]'\n"
    "To try again, give the same command when the npm registry can be reached;"
    " YARN_NPM_REGISTRY_SERVER=https://... names another registry."
)


def build_panel(target_name: str, version: str) -> None:
    """Download the npm packages and build `labextension/dist`."""
    jlpm = shutil.which("jlpm")
    if jlpm is None:
        raise SystemExit("The panel was not built: jlpm is missing; install jupyter-builder.")
    # A wheel needs half of the packages; a developer's checkout needs the tools and tests, too.
    packages = ["install"] if version == "editable" else ["workspaces", "focus", "--production"]
    _install([jlpm, *packages])
    if subprocess.run([jlpm, "run", "build:prod"], cwd=LABEXTENSION).returncode:
        raise SystemExit("The panel was not built: its errors are above.")


def _install(command: list[str]) -> None:
    """Run jlpm, and end it at its first error: the download has failed then.

    jlpm itself would retry every other package, which takes minutes.
    """
    with (
        tempfile.NamedTemporaryFile(
            "w", prefix="easyremote-jlpm-", suffix=".log", encoding="utf-8", delete=False
        ) as log,
        subprocess.Popen(
            command,
            cwd=LABEXTENSION,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            cause = _first_failure(process.stdout, log)
            if not cause and process.wait():
                cause = f"{' '.join(command)} ended with code {process.returncode}"
        finally:
            _end(process)
    if cause:
        raise SystemExit(NOT_DOWNLOADED.format(cause=cause, log=log.name))
    Path(log.name).unlink()


def _first_failure(lines: Iterable[str], log: IO[str]) -> str:
    for line in lines:
        log.write(line)
        if FAILED in line:
            return line.partition(FAILED)[2].strip()
    return ""


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is not None:
        return
    if os.name == "posix":  # jlpm starts Node in a process of its own
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
