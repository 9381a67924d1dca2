"""Modules that came to a session, in this process."""

from __future__ import annotations

import colorsys
import importlib
import math
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from easyremote.errors import UsageError
from easyremote.node.worker.modules import Modules, ModulesMissing, imported


@pytest.fixture
def modules() -> Iterator[Modules]:
    path, loaded = list(sys.path), set(sys.modules)
    yield Modules()
    sys.path[:] = path
    for name in set(sys.modules) - loaded:
        del sys.modules[name]


def version(number: int) -> tuple[bytes, dict[str, bytes]]:
    return bytes([number]), {"er_came/__init__.py": f"number = {number}".encode()}


def number() -> Any:
    return importlib.import_module("er_came").number


def test_what_came_can_be_imported_and_a_new_version_replaces_it(modules: Modules) -> None:
    assert modules.install({"er_came": version(1)}) == []
    assert number() == 1
    assert modules.install({"er_came": version(2)}) == ["er_came"]
    assert number() == 2


def test_a_version_that_was_here_needs_no_files(modules: Modules) -> None:
    modules.install({"er_came": version(1)})
    modules.install({"er_came": version(2)})
    modules.install({"er_came": (bytes([1]), None)})
    assert number() == 1


def test_the_same_version_leaves_what_was_imported_alone(modules: Modules) -> None:
    modules.install({"er_came": version(1)})
    loaded = importlib.import_module("er_came")
    assert modules.install({"er_came": version(1)}) == []
    assert importlib.import_module("er_came") is loaded


def test_what_was_left_out_and_is_not_here_is_missing_and_nothing_changes(modules: Modules) -> None:
    modules.install({"er_came": version(1)})
    with pytest.raises(ModulesMissing):
        modules.install({"er_came": (bytes([9]), None)})
    assert number() == 1


def test_a_file_outside_of_the_folder_is_refused(modules: Modules) -> None:
    with pytest.raises(UsageError, match="outside"):
        modules.install({"er_came": (bytes([7]), {"../er_out.py": b""})})


# -- what a cell takes out of modules


def test_a_name_that_is_the_modules_own_is_told_with_its_origin() -> None:
    space = {"root": math.sqrt, "pi": math.pi, "math": math, "sqrt": abs}
    statements = [
        ("math", "sqrt", "root"),
        ("math", "pi", "pi"),
        ("math", "", "math"),  # a module goes back as one
        ("math", "sqrt", "sqrt"),  # it has another value by now
        ("math", "tan", "tan"),  # the cell failed before
        ("no_such_module", "x", "x"),
    ]
    assert imported(statements, space) == {"root": ("math", "sqrt"), "pi": ("math", "pi")}


def test_a_star_means_all_that_is_public() -> None:
    space = {name: getattr(colorsys, name) for name in colorsys.__all__ if name != "hls_to_rgb"}
    found = imported([("colorsys", "*", "*")], {**space, "hls_to_rgb": None, "_v": 1})
    assert found == {name: ("colorsys", name) for name in space}
    assert "pi" in imported([("math", "*", "*")], {"pi": math.pi})
