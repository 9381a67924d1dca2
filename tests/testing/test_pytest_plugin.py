"""The fixtures `easyremote_node` and `easyremote_client`, in a pytest of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.processes import TOOL_LIMIT, environment

TESTS = """
import os
import pytest
from easyremote import remote

@remote(node_id="test-node")
def add(a, b): ...

@remote
def where():
    import os
    return os.getpid()

def test_registered_functions(easyremote_node, easyremote_client):
    easyremote_node.register_function("add", lambda a, b: a + b)
    assert easyremote_client.execute("add", 1, 2) == 3
    assert add(1, 2) == 3

def test_each_test_has_a_node_of_its_own(easyremote_node, easyremote_client):
    assert len(easyremote_node.functions) == 0
    assert [node.state for node in easyremote_client.list_nodes()] == ["online"]

def test_functions_that_are_sent(easyremote_client):
    assert where() != os.getpid()

def test_without_them_nothing_is_imported():
    pass
"""


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "easyremote.pytest_plugin"]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", "-W", "error", *options, str(folder)],
        env=environment(folder) | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TOOL_LIMIT,
    )


def test_tests_run_against_a_real_gateway_and_node(tmp_path: Path) -> None:
    (tmp_path / "test_program.py").write_text(TESTS)
    done = run(tmp_path)
    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_it_costs_other_tests_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_none.py").write_text(
        "import sys\n\ndef test_none():\n"
        "    assert not {'aiohttp', 'easyremote.client.client', 'msgspec'} & set(sys.modules)\n"
    )
    done = run(tmp_path)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
