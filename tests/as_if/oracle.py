"""The oracle: a case runs with its marked cells on a node, and plainly, and both must be the same.

A file of cases has a line ``=== name`` before each case and a line ``---`` between its cells. A
cell that starts with ``%%R`` is marked. After the name, separated by ``|``, may stand:

``xfail 21 why``
    Wrong today, and which number of the work mends it. The mark goes when the case holds.
``fresh it changes the process``
    Runs in a session of its own: what it does can't be undone for the next case.
``known ROW, ROW``
    Differs, for the reasons in these rows of `tests.as_if.known.DIFFERENCES`.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.as_if.described import compared
from tests.as_if.known import DIFFERENCES
from tests.processes import LIMIT, REPOSITORY

__all__ = [
    "CASES",
    "MARK",
    "Case",
    "Oracle",
    "difference",
    "parameters",
    "read_cases",
    "start_oracle",
]

CASES = Path(__file__).parent / "cases"
#: What a marked cell starts with.
MARK = "%%R"
#: Seconds for both runs of a case. A case that hangs takes them all.
CASE_LIMIT = 80.0


@dataclass(frozen=True)
class Case:
    name: str
    cells: tuple[str, ...]
    #: Why the case does not hold today; empty where it does.
    xfail: str = ""
    #: The rows of `DIFFERENCES` in which it differs.
    known: tuple[str, ...] = ()
    #: Why it needs a session of its own; empty where the one of the case before will do.
    fresh: str = ""


def read_cases(path: Path) -> list[Case]:
    """The cases of a file."""
    with path.open(encoding="utf-8", newline="") as file:
        text = file.read()
    return [_case(part) for part in f"\n{text}".split("\n=== ")[1:]]


def _case(part: str) -> Case:
    head, _, body = part.partition("\n")
    name, *marks = (each.strip() for each in head.split("|"))
    cells = body.rstrip("\n").split("\n---\n")
    options = dict(mark.split(" ", 1) for mark in marks)
    assert options.keys() <= {"xfail", "known", "fresh"}, head
    known = [row.strip() for row in options.get("known", "").split(",") if row]
    xfail, fresh = options.get("xfail", ""), options.get("fresh", "")
    return Case(name, tuple(cells), xfail, tuple(known), fresh)


def parameters(*names: str) -> list[Any]:
    """The cases of these files, for `pytest.mark.parametrize`."""
    cases = [case for name in names for case in read_cases(CASES / f"{name}.cells")]
    return [
        pytest.param(
            case,
            id=case.name,
            marks=[pytest.mark.xfail(reason=case.xfail, raises=AssertionError)] * bool(case.xfail),
        )
        for case in cases
    ]


class Oracle:
    """Runs cases, each twice."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._number = 0
        #: The session of the cases that need none of their own.
        self._session = "cases-0"

    def run(self, case: Case) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the case showed and left on a node, and plainly."""
        self._number += 1
        runs = []
        for is_remote in (True, False):
            # Its last part is called as a session's folder on a node.
            folder = self._folder / f"{self._number}-{'remote' if is_remote else 'plain'}" / "work"
            folder.mkdir(parents=True)
            result = str(folder.with_suffix(".json"))
            runs.append(
                {
                    "cells": case.cells,
                    "is_remote": is_remote,
                    "session": "" if case.fresh else self._session,
                    "folder": str(folder),
                    "result": result,
                }
            )
        request = json.dumps({"runs": runs, "limit": CASE_LIMIT})
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{request}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline(), "the recorder has ended"
        remote, here = (_read(Path(str(each["result"]))) for each in runs)
        if "broken" in remote:  # who knows in which state it is
            self._session = f"cases-{self._number}"
        assert "cells" in here, f"the case itself is broken: {here}"
        return remote, here

    def check(self, case: Case) -> None:
        """Fail where the two runs differ in another way than the table of differences says."""
        remote, here = self.run(case)
        found = difference(remote, here)
        rows = [DIFFERENCES[name] for name in case.known]
        unknown = [each for each in found if not any(row.fits(each) for row in rows)]
        story = "\n".join([*found, f"notices: {_notices(remote)}"])
        assert not unknown, story
        for name, row in zip(case.known, rows, strict=True):
            assert any(map(row.fits, found)), f"it does not differ any more in {name!r}: {story}"
            is_said = _notices(remote) or any(cell["error"] for cell in remote["cells"])
            assert is_said or not row.is_said, f"it differs, and says nothing: {story}"


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"broken": f"did not end within {CASE_LIMIT} s"}
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _notices(run: dict[str, Any]) -> list[str]:
    return [notice for cell in run.get("cells", ()) for notice in cell["notices"]]


def difference(remote: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """How a run on a node differs from a plain one."""
    if "broken" in remote:
        return [f"the run on the node broke: {remote['broken']}"]
    parts = []
    for number, (there, plainly) in enumerate(zip(remote["cells"], here["cells"], strict=True), 1):
        if _shown(there) != _shown(plainly):
            parts.append(f"cell {number}:\n{_compared(_shown(there), _shown(plainly))}")
        parts += [f"cell {number}: {each}" for each in _errors_compared(there, plainly)]
    return [*parts, *compared(remote["space"], here["space"])]


def _errors_compared(there: dict[str, Any], plainly: dict[str, Any]) -> list[str]:
    nothing = {"names": {"error": "none"}, "nodes": []}
    return compared(there["error"] or nothing, plainly["error"] or nothing)


def _shown(cell: dict[str, Any]) -> dict[str, Any]:
    """What a cell showed: texts of the two streams, each in order with all the rest."""
    outputs = [each for each in cell["outputs"] if each[0] != "stderr"]
    errors = "".join(each[1] for each in cell["outputs"] if each[0] == "stderr")
    errors = re.sub(r"[^\n]*\r(?!\n)", "", errors)  # as a terminal shows it: a bar that went away
    return {"outputs": _merged(outputs), "stderr": errors}


def _merged(outputs: list[Any]) -> list[Any]:
    merged: list[Any] = []
    for each in outputs:
        if each[0] == "stdout" and merged and merged[-1][0] == "stdout":
            merged[-1] = ["stdout", merged[-1][1] + each[1]]
        elif each[0] == "update" and merged and merged[-1][::2] == each[::2]:
            merged[-1] = each  # of updates that follow at once only the last is sent
        elif each != ["stdout", ""]:
            merged.append(each)
    return merged


def _compared(remote: Any, here: Any) -> str:
    lines = [json.dumps(each, indent=1, sort_keys=True).splitlines() for each in (here, remote)]
    changes = difflib.unified_diff(*lines, "plainly", "on the node", n=2, lineterm="")
    return "\n".join(list(changes)[:80])


@contextlib.contextmanager
def start_oracle(folder: Path, environment: dict[str, str]) -> Iterator[Oracle]:
    """An oracle, whose cells find the gateway of that environment."""
    paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "jupyter_extension")])
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.as_if.recorder"],
        cwd=REPOSITORY,
        env={
            **environment,
            "PYTHONPATH": paths,
            "PYTHONHASHSEED": "0",
            "IPYTHONDIR": str(folder / "ipython"),
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Oracle(process, folder)
    finally:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        process.wait(LIMIT)
        process.stdout.close()
