"""Which packages a Python has."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from easyremote.packages import installed


def test_packages_have_the_versions_that_an_import_finds() -> None:
    found = installed()
    assert found["python"] == platform.python_version()
    assert found["scikit-learn"] == version("scikit-learn")


def test_of_two_versions_the_first_on_the_path_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "Er_Fake.x-9.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: TQDM\nVersion: 9\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert installed()["tqdm"] == "9"
