"""The maps inside the repository: they name what there is, and what is made is up to date."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from easyremote_jupyter.magics import file_magics, job_magics
from tests import maps
from tests.processes import REPOSITORY

MAPS = [
    "CONTRIBUTING.md",
    "easyremote/README.md",
    "jupyter_extension/README.md",
    "labextension/README.md",
    "notebooks/README.md",
    "tests/README.md",
]
#: A path in backticks: it has a slash or a known ending, and nothing that no path has.
PATH = re.compile(r"`((?:[\w.-]+/)*[\w.-]+(?:/|\.(?:py|tsx?|md|css|mjs|ipynb|toml|json)))`")
#: Where the paths of a map begin, beside its own folder and the repository.
ROOTS = ("", "jupyter_extension", "jupyter_extension/easyremote_jupyter")
QUESTION = re.compile(r"^\| (.*\?) \| `(\S+)` \| `(\S+)` \|", re.MULTILINE)


@pytest.mark.parametrize("name", MAPS)
def test_a_map_names_nothing_that_is_not_there(name: str) -> None:
    text = (REPOSITORY / name).read_text()
    # What is made names modules by their folder's heading; the code itself is the proof of it.
    text = maps.PART.sub("", text)
    bases = [(REPOSITORY / name).parent, *(REPOSITORY / root for root in ROOTS)]
    named = set(PATH.findall(text))
    assert named
    gone = [path for path in named if not any((base / path).exists() for base in bases)]
    assert [path for path in gone if not _is_beside(path, text, bases)] == []


def _is_beside(path: str, text: str, bases: list[Path]) -> bool:
    """Whether it is a file of a folder that the same line names."""
    lines = [line for line in text.splitlines() if f"`{path}`" in line]
    return all(
        any(
            ((base / other).parent / path).exists() or (base / other / path).exists()
            for base in bases
            for other in PATH.findall(line)
        )
        for line in lines
    )


@pytest.mark.parametrize("name", maps.READMES)
def test_what_is_made_from_the_code_is_up_to_date(name: str) -> None:
    text = (REPOSITORY / name).read_text()
    assert maps.PART.search(text)
    assert maps.made(text) == text, "run `python -m tests.maps`"


@pytest.mark.parametrize(
    ("parser", "documented"),
    [
        (job_magics._JOBS, job_magics.JobMagics.remote_jobs),
        (job_magics._JOB, job_magics.JobMagics.remote_job),
        (job_magics._CANCEL, job_magics.JobMagics.remote_cancel),
        (file_magics._FETCH, file_magics.FileMagics.remote_fetch),
    ],
    ids=lambda value: getattr(value, "prog", ""),
)
def test_the_docstring_of_a_magic_lists_the_options_that_it_reads(
    parser: object, documented: object
) -> None:
    read = set(parser._option_string_actions)  # type: ignore[attr-defined]
    text = inspect.getdoc(documented) or ""
    listed = {option.split()[0] for option, _ in maps._options_of(text)}
    assert listed == read


def test_twenty_questions_have_answers_that_are_there() -> None:
    found = QUESTION.findall((REPOSITORY / "tests" / "README.md").read_text())
    assert len(found) == 20
    missing = [
        (question, file, name) for question, file, name in found if name not in _names_in(file)
    ]
    assert missing == []


def _names_in(file: str) -> set[str]:
    text = (REPOSITORY / file).read_text()
    if file.endswith(".py"):
        return set(_names(ast.parse(text).body))
    return set(re.findall(r"^export (?:function|const|class|interface|type) (\w+)", text, re.M))


def _names(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    for each in body:
        match each:
            case ast.ClassDef():
                yield prefix + each.name
                yield from _names(each.body, f"{each.name}.")
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield prefix + each.name
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield prefix + name
