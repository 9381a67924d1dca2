"""What a remote cell changes, it changes here: the same objects, by whatever name.

Each case of ``one_graph.txt`` runs with its ``%%R`` cells on a node, and once more plainly, in this
process; the last cell's value must be the same. ``%%R!`` is a cell that fails.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from tests.jupyter_extension.conftest import Kernel

CASES = {
    name: text.strip().split("\n---\n")
    for name, _, text in (
        case.partition("\n")
        for case in Path(__file__).with_name("one_graph.txt").read_text().split("### ")[1:]
    )
}


def plainly(cells: list[str]) -> object:
    space: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells[:-1]:
        mark, _, body = cell.partition("\n") if cell.startswith("%%R") else ("", "", cell)
        try:
            exec(body, space)
        except ZeroDivisionError:
            assert mark == "%%R!"
    tree = ast.parse(cells[-1])
    last = tree.body.pop()
    assert isinstance(last, ast.Expr)
    exec(compile(tree, "", "exec"), space)
    return eval(compile(ast.Expression(last.value), "", "eval"), space)


@pytest.mark.parametrize("name", CASES)
def test_as_if_it_ran_here(kernel: Kernel, name: str) -> None:
    cells = CASES[name]
    kernel.run("%reset -f\n%load_ext easyremote\n%remote_restart gpu-node")
    told = ""
    for cell in cells[:-1]:
        fails = cell.startswith("%%R!\n")
        there = cell.replace("%%R!\n", "%%R\n").replace("%%R\n", "%%remote gpu-node\n")
        told += kernel.run(there, fails=fails).text("stderr")
    value = kernel.run(cells[-1]).value
    expected = kernel_repr(plainly(cells))
    assert value == expected, told
    assert "has changed" not in told


def kernel_repr(value: object) -> str:
    from IPython.lib.pretty import pretty

    untyped: Any = pretty
    shown: str = untyped(value)
    return shown
