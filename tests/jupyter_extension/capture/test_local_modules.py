"""The notebook's own modules: which a cell needs, and what becomes of them in a session."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from easyremote.errors import UsageError
from easyremote_jupyter.capture import local_modules as modules
from easyremote_jupyter.capture.local_modules import Sent, local_modules
from tests.jupyter_extension.conftest import Kernel, notebook_environment
from tests.processes import Gateway


def needed(folder: Path, code: str, **imports: str) -> dict[str, list[str]]:
    found = local_modules(code, imports, {}, [folder])
    return {package.name: sorted(package.files) for package in found}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A module, a package that imports it, a folder without __init__.py, and what is not ours."""
    files = {
        "single.py": "x = 1",
        "whole/__init__.py": "",
        "whole/sub/__init__.py": "def f():\n    import single",
        "whole/data.csv": "1,2",
        "whole/__pycache__/a.py": "",
        "bare/inner.py": "import json, numpy",
        "empty/readme.txt": "",
        "random.py": "",
        "lib/python3/site-packages/installed.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


WHOLE = {"single": ["single.py"], "whole": ["whole/__init__.py", "whole/sub/__init__.py"]}


@pytest.mark.parametrize(
    "code",
    [
        "import whole",
        "import os, whole.sub as w",
        "from whole.sub import f",
        "def g():\n    from whole import sub",
        "!ls\nimport whole",
        "%time import whole",
        "%%time\nimport whole",
        "%%capture out\nimport whole",
    ],
)
def test_the_whole_package_goes_with_what_it_imports_itself(folder: Path, code: str) -> None:
    assert needed(folder, code) == WHOLE


def test_a_folder_without_init_is_a_package_if_it_has_sources(folder: Path) -> None:
    assert needed(folder, "from bare import inner\nimport empty") == {"bare": ["bare/inner.py"]}


@pytest.mark.parametrize(
    "code", ["import random", "import numpy", "import absent", "import easyremote", "x = 'import'"]
)
def test_the_standard_library_and_what_is_installed_stay(folder: Path, code: str) -> None:
    assert needed(folder, code) == {}


def test_a_virtual_environment_in_the_folder_is_not_local(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(folder / "lib/python3/site-packages")
    assert needed(folder, "import installed") == {}


def test_every_folder_on_the_path_is_local_that_is_not_of_python_or_installed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder), str(tmp_path / "shared")])
    (tmp_path / "shared/tools.py").write_text("x = 1")
    found = local_modules("import tools, single, json, numpy, ipykernel", {}, {})
    assert [each.name for each in found] == ["single", "tools"]
    assert not [root for root in modules.roots() if "python3" in str(root)]


def test_a_cell_with_a_wrong_syntax_needs_nothing(folder: Path) -> None:
    assert needed(folder, "import single; x = (") == {}


def test_a_module_that_is_a_variable_goes_and_so_does_what_a_function_imports(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert needed(folder, "s.x", s="single") == {"single": ["single.py"]}
    namespace: dict[str, object] = {"__name__": "__main__"}
    exec("def f():\n    def g():\n        import single\n    return g", namespace)
    (found,) = local_modules("f()", {}, {"f": namespace["f"]}, [folder])
    assert found.name == "single"


def test_a_package_that_is_too_large_is_refused_by_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modules, "SIZE_MAX", 10)
    assert needed(folder, "import whole") == {}  # a framework beside the notebook's folder
    monkeypatch.chdir(folder)
    with pytest.raises(UsageError, match="'whole' are 2 files.*--no-modules"):
        needed(folder, "import whole")


def test_files_are_sent_to_a_process_once_and_again_when_they_change(folder: Path) -> None:
    told: list[str] = []
    sent = Sent()

    def files(process: str | None) -> object:
        wire = sent.wire(local_modules("import single", {}, {}, [folder]), process, told.append)
        return wire["modules"]["single"][1]

    assert files(None) == {"single.py": b"x = 1"}
    sent.arrived("one")
    assert files("one") is None
    assert files("another") is not None
    sent.arrived("one")
    (folder / "single.py").write_text("x = 22")
    assert files("one") == {"single.py": b"x = 22"}
    assert told == ["Sent single (1 file, 5 B)"] * 2 + ["Sent single (1 file, 6 B)"]


# -- in a real kernel, with a node that runs elsewhere


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "shapes").mkdir()
    (folder / "shapes/__init__.py").write_text("from .flat import Square, fails\n")
    (folder / "shapes/flat.py").write_text(
        "class Square:\n    def __init__(self, side):\n        self.side = side\n\n"
        "def fails():\n    raise ValueError('here')\n"
    )
    return folder


@pytest.fixture(scope="module")
def kernel(gateway: Gateway, node: subprocess.Popen[str], place: Path) -> Iterator[Kernel]:
    started = Kernel(notebook_environment(gateway))
    started.run(f"%cd -q {place}")
    yield started
    started.close()


def test_a_cell_imports_a_local_package_there_and_says_what_was_sent(kernel: Kernel) -> None:
    shown = kernel.run("%%remote -s first\nfrom shapes.flat import Square\nSquare(3).side")
    assert shown.value == "3"
    assert shown.text("stderr") == "Sent shapes (2 files, 144 B)\n"
    assert kernel.run("%%remote -s first\nimport shapes\nshapes.Square(4).side").value == "4"


def test_it_is_sent_once(kernel: Kernel) -> None:
    kernel.run("%%remote -s once\nimport shapes")
    shown = kernel.run("%%remote -s once\nimport shapes")
    assert shown.text("stderr") == ""


def test_a_changed_module_is_sent_and_imported_again(kernel: Kernel, place: Path) -> None:
    (place / "moving.py").write_text("value = 1")
    assert kernel.run("%%remote\nimport moving\nmoving.value").value == "1"
    (place / "moving.py").write_text("value = 2")  # as long as before, and at once
    shown = kernel.run("%%remote\nimport moving\nmoving.value")
    assert shown.value == "2"
    assert shown.text("stderr") == "Sent moving (1 file, 9 B)\n"
    (place / "moving.py").write_text("value = 1")
    shown = kernel.run("%%remote\nimport moving\nmoving.value")
    assert (shown.value, shown.text("stderr")) == ("1", "")


def test_tracebacks_and_inspect_have_the_source(kernel: Kernel) -> None:
    shown = kernel.run("%%remote\nimport shapes\nshapes.fails()", fails=True)
    assert "raise ValueError('here')" in shown.traceback
    assert "flat.py" in shown.traceback
    code = "%%remote\nimport inspect, shapes\ninspect.getsource(shapes.fails)"
    assert "raise ValueError" in kernel.run(code).value


def test_instances_are_of_the_modules_own_class_on_both_sides(kernel: Kernel) -> None:
    kernel.run("import shapes\nsquare = shapes.Square(2)")
    code = "%%remote -s both\nback = shapes.Square(5)\nisinstance(square, shapes.Square)"
    assert kernel.run(code).value == "True"
    assert kernel.run("isinstance(back, shapes.Square), back.side").value == "(True, 5)"


def test_a_new_process_gets_the_modules_again(kernel: Kernel) -> None:
    kernel.run("%%remote -s again\nimport shapes")
    kernel.run("%remote_restart gpu-node/again")
    shown = kernel.run("%%remote -s again\nimport shapes\nshapes.Square(1).side")
    assert shown.value == "1"
    assert "Sent shapes" in shown.text("stderr")


def test_no_modules_keeps_them_here_and_the_error_says_so(kernel: Kernel) -> None:
    shown = kernel.run("%%remote -s without --no-modules\nimport shapes", fails=True)
    assert shown.reply["ename"] == "ModuleNotFoundError"
    assert "leave out --no-modules" in shown.traceback
    assert "Sent" not in shown.text("stderr")


def test_a_module_that_is_missing_there_has_the_option_to_add(kernel: Kernel) -> None:
    shown = kernel.run("%%remote\nimport er_absent", fails=True)
    assert "Add --with er-absent" in shown.traceback
