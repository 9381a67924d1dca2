"""The hints for a module and for a file that are missing on a node."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from easyremote.errors import RemoteError
from easyremote_jupyter.magics.missing import (
    missing_file_hint,
    missing_module_hint,
    requirement_for,
)


def hint(message: str, type_name: str = "ModuleNotFoundError") -> str:
    return missing_module_hint(RemoteError(message, type_name=type_name))


def test_the_hint_has_the_version_that_is_installed_here() -> None:
    there = f"scikit-learn=={version('scikit-learn')}"
    assert hint("No module named 'sklearn'") == (
        f"Add --with {there} (the version that is installed here; or --with scikit-learn)"
    )


@pytest.mark.parametrize(
    ("module", "distribution"),
    [("cv2", "opencv-python-headless"), ("bs4", "beautifulsoup4"), ("er_absent", "er-absent")],
)
def test_a_module_that_is_not_here_either_has_the_name_it_is_known_by(
    module: str, distribution: str
) -> None:
    assert requirement_for(module).partition("==")[0] == distribution


@pytest.mark.parametrize(
    "message",
    [
        "No module named 'er_absent'",
        "The cell uses 'absent', but 'er_absent' is not installed on the node.",
        "A variable of the cell needs 'er_absent', which is not installed on the node.",
    ],
)
def test_all_ways_in_which_it_is_said_are_known(message: str) -> None:
    assert hint(message) == "Add --with er-absent"


def test_a_part_of_a_package_and_other_errors_have_none() -> None:
    assert hint("No module named 'numpy.absent'") == ""
    assert hint("name 'x' is not defined", "NameError") == ""


def test_a_module_of_the_folder_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "er_mine.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert "leave out --no-modules" in hint("No module named 'er_mine'")


def test_a_module_of_the_standard_library_is_not_to_be_installed() -> None:
    assert "standard library here" in hint("No module named 'graphlib'")


def test_a_file_that_is_here_is_named_with_the_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def file_hint(path: str, type_name: str = "FileNotFoundError") -> str:
        message = f"[Errno 2] No such file or directory: {path!r}"
        return missing_file_hint(RemoteError(message, type_name=type_name))

    (tmp_path / "a b.csv").touch()
    monkeypatch.chdir(tmp_path)
    assert file_hint("a b.csv") == "'a b.csv' is here, but was not sent: add --file 'a b.csv'"
    assert file_hint(f"{tmp_path}/a b.csv").endswith("a b.csv', and open it as 'a b.csv'")
    assert file_hint("absent.csv") == file_hint("a b.csv", "OSError") == ""
