"""The command line as a whole: help that teaches, errors of one line."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from easyremote.cli.main import cli
from tests.cli.command import easyremote

OTHERS = {"demo", "lab"}  # one has nothing to explain, the other is JupyterLab's


def commands() -> list[list[str]]:
    """Every command and subcommand."""
    found = []
    for name, command in sorted(cli.commands.items()):
        found.append([name])
        if isinstance(command, click.Group):
            found += [[name, inner] for inner in sorted(command.commands)]
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_the_help_of_every_command_shows_an_example(tmp_path: Path, command: list[str]) -> None:
    done = easyremote(tmp_path, *command, "--help")
    assert done.code == 0
    assert done.out.startswith(f"Usage: easyremote {' '.join(command)}")
    if command[0] not in OTHERS:
        assert f"\n    easyremote {' '.join(command)}" in done.out


def test_the_help_starts_with_the_first_steps(tmp_path: Path) -> None:
    done = easyremote(tmp_path, "--help")
    for words in ("easyremote demo", "easyremote up", "easyremote gateway --host", "doctor"):
        assert words in done.out
    for line in done.out.partition("Commands:")[2].splitlines():
        assert not line.endswith("...") or line.split()[0] in OTHERS, "a summary that is cut off"


def test_the_version_is_told(tmp_path: Path) -> None:
    assert easyremote(tmp_path, "--version").out.startswith("easyremote, version ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nodes"], "No gateway is configured. Start one here: easyremote up."),
        (["nosuch"], "No such command 'nosuch'"),
        (["call"], "Missing argument 'FUNCTION'"),
        (["gateway", "--port", "x"], "'x' is not a valid integer"),
        (["gateway", "--host", "0.0.0.0"], "without TLS would show every key to the network"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_told_without_a_traceback(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    done = easyremote(tmp_path, *arguments)
    assert done.code != 0
    assert words in done.err
    assert done.out == ""
