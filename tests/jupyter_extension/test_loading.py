"""``%load_ext easyremote`` needs only what the package depends on, and imports little of that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import REPOSITORY, TOOL_LIMIT, environment

#: What takes long to import, and is of use only in a first call, a bar, or another process.
LATER = ["aiohttp", "dill", "ipywidgets", "jupyter_server", "matplotlib", "numpy", "pandas"]
LATER += ["tornado", "tqdm", "uvloop", "zipfile"]  # the last one comes with importlib.metadata

PROGRAM = """
import sys
from importlib.abc import MetaPathFinder

blocked = set(sys.argv[1].split(",")) - {""}

class Blocking(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocking())
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", sys.argv[2])
assert "remote" in shell.magics_manager.magics["cell"]
print(*sorted({name.partition(".")[0] for name in sys.modules}), sep=",")
shell.run_line_magic("unload_ext", sys.argv[2])
"""


def modules_after_loading(tmp_path: Path, extension: str, *blocked: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, ",".join(blocked), extension],
        env={
            **environment(tmp_path),
            "IPYTHONDIR": str(tmp_path),
            "PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "jupyter_extension"))),
        },
        capture_output=True,
        text=True,
        timeout=TOOL_LIMIT,
    )
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stdout + done.stderr
    return set(done.stdout.splitlines()[-1].split(","))


@pytest.mark.parametrize("extension", ["easyremote", "easyremote_jupyter"])
def test_it_loads_where_no_jupyter_is_installed(tmp_path: Path, extension: str) -> None:
    blocked = ["jupyter_server", "tornado", "ipywidgets", "ipykernel", "zmq", "jupyter_client"]
    loaded = modules_after_loading(tmp_path, extension, *blocked)
    assert "easyremote_jupyter" in loaded


def test_it_imports_nothing_that_takes_long(tmp_path: Path) -> None:
    assert modules_after_loading(tmp_path, "easyremote") & set(LATER) == set()
