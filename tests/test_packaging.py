"""What is shipped, and that both languages pass their own checks."""

from __future__ import annotations

import json
import re
import subprocess
import zipfile
from pathlib import Path

import pytest
from packaging.version import Version

import easyremote
from tests.processes import LABEXTENSION, REPOSITORY, run_tool

BUNDLE_LIMIT_BYTES = 60_000


@pytest.fixture(scope="module")
def wheel(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """The files of the wheel, with the panel that was built for this run, and their sizes."""
    folder = tmp_path_factory.mktemp("wheel")
    command = ("python", "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation")
    run_tool(*command, "--wheel-dir", str(folder), SKIP_JUPYTER_BUILDER="1")
    [path] = folder.glob("easyremote-*.whl")
    with zipfile.ZipFile(path) as archive:
        return {entry.filename: entry.compress_size for entry in archive.infolist()}


def test_both_languages_have_one_version() -> None:
    package = json.loads((LABEXTENSION / "package.json").read_text())
    assert Version(package["version"]) == Version(easyremote.__version__)
    source = (LABEXTENSION / "src" / "core" / "version.ts").read_text()
    assert f"VERSION = '{easyremote.__version__}';" in source


def test_the_lock_file_names_no_registry() -> None:
    assert not re.search(r"https?://", (LABEXTENSION / "yarn.lock").read_text())


def test_the_typescript_is_strict_linted_and_formatted() -> None:
    run_tool("jlpm", "check", cwd=LABEXTENSION)


def test_the_typescript_tests_pass() -> None:
    run_tool("jlpm", "test", cwd=LABEXTENSION)


def test_imports_only_go_down_the_floors() -> None:
    run_tool("lint-imports")


def test_the_wheel_holds_both_packages_and_nothing_else_of_python(wheel: dict[str, int]) -> None:
    tops = {name.split("/")[0] for name in wheel if name.endswith(".py")}
    assert tops == {"easyremote", "easyremote_jupyter"}
    assert "easyremote/py.typed" in wheel


def test_the_wheel_holds_the_panel_once_and_small(wheel: dict[str, int]) -> None:
    scripts = {name: size for name, size in wheel.items() if name.endswith(".js")}
    assert scripts
    assert all("/share/jupyter/labextensions/easyremote/static/" in name for name in scripts)
    assert sum(scripts.values()) <= BUNDLE_LIMIT_BYTES


def test_the_wheel_enables_the_server_extension(wheel: dict[str, int]) -> None:
    ending = ".data/data/etc/jupyter/jupyter_server_config.d/easyremote.json"
    assert [name for name in wheel if name.endswith(ending)]


def test_ci_runs_what_the_readme_says() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    [block] = re.findall(r"<!-- tests -->\n```\w*\n(.*?)```", readme, re.DOTALL)
    assert "tests.browser" in block
    assert "pytest" in block
    [script] = re.findall(r"awk '(.*)' README.md", (REPOSITORY / ".ci" / "run").read_text())
    awk = ["awk", script, str(REPOSITORY / "README.md")]
    assert subprocess.run(awk, capture_output=True, text=True, check=True).stdout == block
