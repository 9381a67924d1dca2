"""The installation from a clone where the npm registry can't be reached."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.processes import REPOSITORY, TOOL_LIMIT, tool_environment

#: Nothing listens here. One try is enough for a test: jlpm's retries take 15 s.
CLOSED = "https://127.0.0.1:9"
WHEEL = ("python", "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "-w", "wheels")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that git would bring, in a place of their own."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if not name.startswith("tests/") and (REPOSITORY / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, tmp_path / name)
    return tmp_path


def install(clone: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    folders = {
        "YARN_GLOBAL_FOLDER": str(clone / "yarn"),
        "TMPDIR": str(clone),
        "YARN_NPM_REGISTRY_SERVER": CLOSED,
        "YARN_HTTP_RETRY": "0",
    }
    return subprocess.run(
        WHEEL,
        cwd=clone,
        env=tool_environment(**folders, **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TOOL_LIMIT,
    )


def test_three_lines_say_what_could_not_be_had_and_what_to_do(clone: Path) -> None:
    done = install(clone)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) < 40, done.stdout
    said = [line.strip() for line in done.stdout.splitlines()]
    [first] = [line for line in said if "npm packages could not be downloaded" in line]
    assert "ECONNREFUSED" in first
    [log] = clone.glob("easyremote-jlpm-*.log")
    assert str(log) in first
    without, again = said[said.index(first) + 1 :][:2]
    assert "SKIP_JUPYTER_BUILDER=1 pip install" in without
    assert again.startswith("To try again")
    assert "Traceback" not in done.stdout


def test_the_installation_without_the_panel_needs_no_npm(clone: Path) -> None:
    done = install(clone, SKIP_JUPYTER_BUILDER="1")
    assert done.returncode == 0, done.stdout
    assert list((clone / "wheels").glob("easyremote-*.whl"))
