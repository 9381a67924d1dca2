"""A notebook in this process, beside a real gateway and node: fast, and its cells can be compared.

A cell that begins with ``%%R`` runs on the node in a `Notebook` of a node, and here in a plain one.
"""

from __future__ import annotations

import atexit
import itertools
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from tests.processes import Gateway

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Ran:
    """What one cell did."""

    stdout: str
    stderr: str
    value: Any
    error: BaseException | None


class Notebook:
    """Cells in a shell of this process.

    Parameters
    ----------
    target
        What follows ``%%remote`` in marked cells; None for a plain notebook.
    """

    def __init__(self, target: str | None) -> None:
        self.target = target
        InteractiveShell.clear_instance()
        main = types.ModuleType("__main__")
        # Its own module, so that what cells define is found in it, as in a kernel.
        self.shell: Any = InteractiveShell.instance(user_module=main)
        self._before = sys.modules["__main__"]
        sys.modules["__main__"] = main
        if target is not None:
            self.shell.run_line_magic("load_ext", "easyremote")

    def run(self, code: str, *, fails: bool = False) -> Ran:
        """Run a cell; its options may follow the mark, as in ``%%R --quiet``."""
        if code.startswith("%%R"):
            line, _, body = code.partition("\n")
            options = line.removeprefix("%%R")
            code = body if self.target is None else f"%%remote {self.target}{options}\n{body}"
        with capture_output() as shown:
            result = self.shell.run_cell(code, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        # An error of a magic that is one line for people has been shown already.
        assert fails == (error is not None), f"{code}\n{shown.stdout}{shown.stderr}\n{error!r}"
        return Ran(shown.stdout, shown.stderr, result.result, error)

    def __getitem__(self, name: str) -> Any:
        return self.shell.user_ns[name]

    def close(self) -> None:
        if self.target is not None:
            self.shell.run_line_magic("unload_ext", "easyremote")
        sys.modules["__main__"] = self._before
        atexit.unregister(self.shell.atexit_operations)
        self.shell.atexit_operations()
        InteractiveShell.clear_instance()


@pytest.fixture
def new_notebook(
    gateway: Gateway, node: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str | None], Notebook]]:
    monkeypatch.setenv("EASYREMOTE_HOME", str(gateway.home))
    for name in ("EASYREMOTE_GATEWAY", "EASYREMOTE_API_KEY", "EASYREMOTE_NODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    (tmp_path / "notebook").mkdir()
    monkeypatch.chdir(tmp_path / "notebook")
    monkeypatch.syspath_prepend(str(tmp_path / "notebook"))
    made: list[Notebook] = []

    def make(target: str | None) -> Notebook:
        while made:
            made.pop().close()
        made.append(Notebook(target))
        return made[-1]

    yield make
    while made:
        made.pop().close()


@pytest.fixture
def notebook(new_notebook: Callable[[str | None], Notebook]) -> Notebook:
    """A notebook whose marked cells run in a new session of the node."""
    return new_notebook(f"gpu-node -s s{next(_numbers)}")
