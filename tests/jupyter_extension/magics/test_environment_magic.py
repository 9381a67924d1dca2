"""``%remote_env``: what is installed there, and what differs from here."""

from __future__ import annotations

from easyremote_jupyter.magics.environment_magic import EnvironmentTable
from tests.jupyter_extension.conftest import Kernel

THERE = {"python": "3.12.1", "numpy": "2.0", "same": "1", "torch": "2.5"}
HERE = {"python": "3.11.7", "numpy": "1.26", "same": "1", "mine<b>": "3"}


def test_the_table_shows_what_differs_with_python_first() -> None:
    assert repr(EnvironmentTable("gpu", THERE, HERE)).splitlines() == [
        "Packages on gpu that are as here: 1; that differ: 4 (--all shows all)",
        "Package  There   Here",
        "python   3.12.1  3.11.7",
        "mine<b>          3",
        "numpy    2.0     1.26",
        "torch    2.5",
    ]


def test_all_shows_what_is_the_same_too() -> None:
    table = EnvironmentTable("gpu", THERE, HERE, shows_all=True)
    assert [row.name for row in table] == ["python", "mine<b>", "numpy", "same", "torch"]


def test_html_marks_what_differs_and_escapes() -> None:
    table = EnvironmentTable("gpu", THERE, HERE, shows_all=True)._repr_html_()
    assert "bold'>mine&lt;b&gt;</td>" in table
    assert "bold'>same" not in table and ">same<" in table


def test_without_a_difference_there_is_one_line() -> None:
    table = EnvironmentTable("gpu", HERE, HERE)
    assert repr(table) == "Packages on gpu that are as here: 4; that differ: 0 (--all shows all)"
    assert "<table>" not in table._repr_html_()


def test_a_kernel_and_its_node_are_compared_with_what_a_session_installed(
    kernel: Kernel, registry: None
) -> None:
    kernel.run("%%remote -s differs --with humanize\nimport humanize")
    shown = kernel.run("%remote_env gpu-node/differs")
    assert "that differ: 1 " in shown.value
    assert "humanize" in shown.value
    assert "<table>" in shown.of("execute_result")[0]["data"]["text/html"]
    assert "numpy" in kernel.run("%remote_env gpu-node --all").value
