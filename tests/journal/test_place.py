"""The folder of a journal: private, local."""

from __future__ import annotations

from pathlib import Path

import pytest

from easyremote.errors import StorageFailed, UsageError
from easyremote.journal import place
from easyremote.journal.journal import Journal


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse.rclone"])
def test_a_network_file_system_is_refused(tmp_path: Path, kind: str) -> None:
    """The type is injected: a test has no such file system."""
    with pytest.raises(UsageError, match=rf"network file system \({kind}\).*EASYREMOTE_HOME"):
        Journal.open(tmp_path, "calls", "", filesystem=lambda path: kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "apfs", "overlay", "tmpfs", ""])
def test_a_local_file_system_is_taken(tmp_path: Path, kind: str) -> None:
    Journal.open(tmp_path, "calls", "", filesystem=lambda path: kind).close()


def test_the_type_is_that_of_the_innermost_mount(tmp_path: Path) -> None:
    assert place.filesystem(Path("/proc/self")) == "proc"
    assert place.filesystem(tmp_path / "not there yet") == place.filesystem(tmp_path) != ""


def test_the_folder_and_its_files_are_the_owners_only(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o755)
    opened = Journal.open(folder, "calls", "CREATE TABLE IF NOT EXISTS t (x)")
    opened.write("INSERT INTO t VALUES (1)").result()
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    opened.close()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert set(modes.values()) == {0o600}
    assert "calls.db-wal" in modes


def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed, match="can't be made or made private"):
        Journal.open(tmp_path / "file" / "state", "calls", "")
