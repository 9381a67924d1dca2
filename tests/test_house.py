"""The shape of the house: no circle among modules, no module or folder that is too large.

What a floor may import stands in the contracts of ``pyproject.toml``; `lint-imports` checks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grimp

from tests.processes import REPOSITORY

PACKAGES = {
    "easyremote": REPOSITORY / "easyremote",
    "easyremote_jupyter": REPOSITORY / "jupyter_extension" / "easyremote_jupyter",
}
#: A longer module wants to be two.
MOST_LINES = 400
#: Modules that may be longer, and why.
LONGER = {
    "easyremote/protocol/messages.py": "the wire's specification: more than half is docstrings",
}
#: A folder with more modules can't be read as a list.
MOST_MODULES = 20


def modules() -> Iterator[Path]:
    for folder in PACKAGES.values():
        yield from folder.rglob("*.py")


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    # The packages' own modules import lazily what they offer: they are no part of a circle.
    left = {
        module: graph.find_modules_directly_imported_by(module) - set(PACKAGES)
        for module in graph.modules - set(PACKAGES)
    }
    while free := [module for module, imports in left.items() if not imports & left.keys()]:
        for module in free:
            del left[module]
    assert sorted(left) == [], "these modules import each other, or import ones that do"


def test_no_module_is_longer_than_it_can_be_read() -> None:
    lines = {
        str(module.relative_to(REPOSITORY)): len(module.read_text().splitlines())
        for module in modules()
    }
    too_long = {name: count for name, count in lines.items() if count > MOST_LINES}
    assert too_long.keys() == LONGER.keys(), too_long


def test_no_folder_has_more_modules_than_can_be_listed() -> None:
    counts = {
        str(folder.relative_to(REPOSITORY)): len(list(folder.glob("*.py")))
        for package in PACKAGES.values()
        for folder in [package, *package.rglob("*/")]
        if folder.is_dir()
    }
    assert {name: count for name, count in counts.items() if count > MOST_MODULES} == {}
