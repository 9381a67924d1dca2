"""The folders of a node's processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from easyremote.errors import UsageError
from easyremote.node.folders import own_folder, remove_folders, remove_left_folders

CODE = "from easyremote.node.folders import own_folder; print(own_folder('modules'))"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def folder_of_a_process() -> Path:
    made = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    return Path(made.stdout.strip())


def test_each_process_has_a_folder_that_nobody_else_reads() -> None:
    one, other = folder_of_a_process(), folder_of_a_process()
    assert one != other
    assert one.is_dir() and one.parent.stat().st_mode & 0o077 == 0
    assert one.parent.parent == other.parent.parent


def test_one_goes_with_its_process_and_all_with_the_node() -> None:
    one, other = folder_of_a_process(), folder_of_a_process()
    remove_folders(os.getpid(), int(one.parent.name))
    assert (one.parent.exists(), other.exists()) == (False, True)
    remove_folders(os.getpid())
    assert not other.parent.parent.exists()


def test_what_a_killed_node_left_goes_with_the_next(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = tmp_path / f"easyremote-node-{ended.pid}"
    left.mkdir()
    living = tmp_path / f"easyremote-node-{os.getppid()}"
    living.mkdir()
    remove_left_folders()
    assert (left.exists(), living.exists()) == (False, True)


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"easyremote-node-{os.getppid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="belongs to somebody else"):
        own_folder("modules")
