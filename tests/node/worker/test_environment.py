"""Layers of packages, made by the real uv; each session is a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from easyremote.errors import UsageError
from easyremote.node.policy import INSTALL_VARIABLE
from easyremote.node.worker import environment
from easyremote.node.worker.environment import Environment, find_uv

START = """
import sys
from easyremote.errors import UsageError
from easyremote.node.worker.environment import Environment
said = []
session = Environment(said.append)
"""


def in_a_session(home: Path, code: str, **variables: str) -> str:
    """What a session's process printed; of an error of ours its text."""
    body = f"{START}try:\n    " + code.replace("\n", "\n    ")
    done = subprocess.run(
        [sys.executable, "-c", f"{body}\nexcept UsageError as error:\n    print(error)"],
        env={**os.environ, "EASYREMOTE_HOME": str(home), **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def layers(home: Path) -> list[str]:
    return [each.name for each in (home / "environments").iterdir()]


def test_what_is_wanted_can_be_imported_and_the_nodes_own_is_left_alone(
    tmp_path: Path, registry: None
) -> None:
    code = "session.add(['humanize'])\nimport humanize\nprint(humanize.__file__, said[0])"
    shown = in_a_session(tmp_path, code)
    assert shown.startswith(str(tmp_path / "environments"))
    assert shown.endswith("Installing humanize ...")


def test_the_second_time_nothing_is_installed(tmp_path: Path, registry: None) -> None:
    code = "session.add(['humanize'])\nimport humanize\nprint(len(said))"
    assert in_a_session(tmp_path, code) == "2"
    assert in_a_session(tmp_path, code) == "0"
    assert len(layers(tmp_path)) == 1


def test_what_the_node_has_is_not_installed_again(tmp_path: Path, registry: None) -> None:
    code = "session.add(['tqdm', 'numpy'])\nimport numpy\nprint(said[1], numpy.__file__)"
    shown = in_a_session(tmp_path, code)
    assert shown.startswith("nothing to add")
    assert str(tmp_path) not in shown


def test_what_a_session_wants_later_comes_to_what_it_has(tmp_path: Path, registry: None) -> None:
    code = (
        "session.add(['humanize'])\nimport humanize\nsession.add(['iniconfig<2'])\n"
        "import iniconfig, humanize.lists\nprint(iniconfig.__file__, said[2])"
    )
    shown = in_a_session(tmp_path, code)
    assert str(tmp_path) in shown
    assert "Installing iniconfig<2" in shown


def test_another_version_of_what_is_imported_is_refused(tmp_path: Path, registry: None) -> None:
    shown = in_a_session(tmp_path, "import tqdm\nsession.add(['tqdm==4.66.1'])")
    assert "'tqdm' is imported in this session in version" in shown
    assert "%remote_restart" in shown


def test_what_can_not_be_resolved_fails_with_uvs_words_and_leaves_nothing(
    tmp_path: Path, registry: None
) -> None:
    shown = in_a_session(tmp_path, "session.add(['humanize<1', 'humanize>2'])")
    assert "uv says: No solution found" in shown
    assert "you require humanize" in shown
    assert layers(tmp_path) == []


def test_an_owner_can_forbid_it(tmp_path: Path) -> None:
    shown = in_a_session(tmp_path, "session.add(['humanize'])", **{INSTALL_VARIABLE: "no"})
    assert "forbids to install packages (humanize)" in shown


def test_without_uv_the_error_says_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="-m pip install uv"):
        find_uv()


def test_an_option_is_never_taken_for_a_requirement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASYREMOTE_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="uv says"):
        Environment(lambda text: None).add(["--version"])
    assert environment.home() == tmp_path
