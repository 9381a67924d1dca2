"""Writes the parts of the READMEs that are made from the code: ``python -m tests.maps``.

A part lies between two comments, ``<!-- made: NAME -->`` and ``<!-- end -->``.
``tests/test_maps.py`` fails where one is not what this module would write.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from easyremote_jupyter import magics
from easyremote_jupyter.magics.options import PARSER
from tests.processes import REPOSITORY

PART = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
#: A magic that cells of an attached notebook become; nobody writes it.
HIDDEN = {"remote_attached"}


def modules() -> str:
    """Every module of ``easyremote``, with the first line of its docstring."""
    root = REPOSITORY / "easyremote"
    lines = []
    for folder in [root, *sorted(path for path in root.rglob("*") if path.is_dir())]:
        files = [path for path in sorted(folder.glob("*.py")) if _summary(path)]
        if files:
            lines += ["", f"**{folder.relative_to(REPOSITORY)}/**", "", "| | |", "|---|---|"]
            lines += [f"| `{path.name}` | {_cell(_summary(path))} |" for path in files]
    return "\n".join(lines[1:]) + "\n"


def _summary(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]


def options() -> str:
    """The options of ``%%remote``, from its parser."""
    rows = [("TARGET", "", _help(PARSER._actions[0]))]
    for action in PARSER._actions[1:]:
        names = ", ".join(f"`{name}`" for name in action.option_strings)
        rows.append((names, _value(action), _help(action)))
    return _table(("option", "value", "what it does"), rows)


def _help(action: argparse.Action) -> str:
    return (action.help or "").replace("%%", "%")  # argparse wants each % twice


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    value = action.metavar or "|".join(action.choices or ())
    return f"`{value}`" if action.nargs is None else f"`[{value}]`"


def the_magics() -> str:
    """The other magics, from their docstrings, which are what ``%name?`` shows."""
    rows: list[tuple[str, ...]] = []
    for name, sign, documented in sorted(_documented()):
        summary, _, rest = documented.partition("\n\n")
        usage = re.search(rf"``({sign}{name}\b.*?)``", summary)
        said = " ".join(summary.split())
        if usage:
            said = said.replace(f": {usage[0]}", "")
        rows.append((f"`{usage[1] if usage else sign + name}`", said))
        rows += [(f"&emsp;`{option}`", what) for option, what in _options_of(rest)]
    return _table(("magic", "what it does"), rows)


def _documented() -> Iterator[tuple[str, str, str]]:
    for found in pkgutil.iter_modules(magics.__path__, magics.__name__ + "."):
        module = importlib.import_module(found.name)
        for _, each in inspect.getmembers(module, inspect.isclass):
            if each.__module__ != module.__name__ or "magics" not in vars(each):
                continue
            for kind, sign in (("line", "%"), ("cell", "%%")):
                for name, method in each.magics[kind].items():
                    if name not in HIDDEN | {"remote"}:
                        text = inspect.getdoc(getattr(each, method))
                        assert text, f"{sign}{name} has no docstring"
                        yield name, sign, text


def _options_of(text: str) -> list[tuple[str, str]]:
    """The options that a docstring lists: each on a line, which may go on on the next."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        option = re.match(r"(--.*?)\s{2,}(.*)", line)
        if option:
            found.append((option[1], option[2]))
        elif found and line.startswith(" "):
            found[-1] = (found[-1][0], f"{found[-1][1]} {line.strip()}")
    return found


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [headings, tuple("---" for _ in headings), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, cells))} |" for cells in lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")


MADE: dict[str, Callable[[], str]] = {
    "modules": modules,
    "options": options,
    "magics": the_magics,
}
READMES = ("easyremote/README.md", "jupyter_extension/README.md")


def made(text: str) -> str:
    """The README with its parts as they are to be."""
    return PART.sub(lambda part: f"{part[1]}{MADE[part[2]]()}{part[3]}", text)


if __name__ == "__main__":
    for name in READMES:
        path = REPOSITORY / name
        path.write_text(made(path.read_text()))
