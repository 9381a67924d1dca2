"""Files beside the notebook: those that a cell names go along, and what it writes comes back."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from easyremote_jupyter.places import beside
from tests.jupyter_extension.here.conftest import Notebook

TABLE = "a,b\n1,2\n3,4\n"


@pytest.fixture
def data(notebook: Notebook) -> Path:
    """``data/births.csv`` beside the notebook."""
    Path("data").mkdir()
    path = Path("data/births.csv")
    path.write_text(TABLE)
    return path


# -- what goes along


@pytest.mark.parametrize(
    "code",
    [
        "open('data/births.csv').read()",
        "from pathlib import Path\n(Path('data') / 'births.csv').read_text()",
        "import os\nopen(os.path.join('data', 'births.csv')).read()",
        "folder = 'data'\nopen(folder + '/births.csv').read()",
        "name = 'births.csv'\nopen(f'data/{name}').read()",
        "from pathlib import Path\nPath('data', 'births.csv').open().read()",
        "from pathlib import Path\nbase = Path('data')\n(base.joinpath('births.csv')).read_text()",
        "open('./data/births.csv').read()",
        "''.join(open(each).read() for each in ['data/births.csv'])",
        "found = !cat data/births.csv\nfound.n + '\\n'",
        "import csv\nwith open('data/births.csv') as f:\n    rows = f.read()\nrows",
        "def f():\n    return open('data/births.csv').read()\nf()",
        "import easyremote\nopen(easyremote.file('data/births.csv')).read()",
    ],
)
def test_a_file_that_a_cell_names_goes_along(notebook: Notebook, data: Path, code: str) -> None:
    assert notebook.run(f"%%R\n{code}").value == TABLE


def test_a_file_that_a_function_here_names_goes_along(notebook: Notebook, data: Path) -> None:
    Path("loading.py").write_text("def load(): return open('data/births.csv').read()\n")
    notebook.run(
        "def f(): return open('data/births.csv').read()\n"
        "class A:\n    def m(self): return f()\n"
        "path = 'data/births.csv'\nfrom pathlib import Path\nfolder = Path('data')"
    )
    assert notebook.run("%%R\nf(), A().m()").value == (TABLE, TABLE)
    assert notebook.run("%%R\nimport loading\nloading.load()").value == TABLE
    assert notebook.run("%%R\nopen(path).read()").value == TABLE
    assert notebook.run("%%R\n(folder / 'births.csv').read_text()").value == TABLE


def test_pandas_reads_it(notebook: Notebook, data: Path) -> None:
    ran = notebook.run("%%R\nimport pandas as pd\npd.read_csv('data/births.csv').b.sum()")
    assert (ran.value, ran.stderr) == (6, "")


def test_it_goes_once_and_again_after_a_change(
    notebook: Notebook, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[list[str]] = []
    missing = beside.Beside.missing

    def noted(self: beside.Beside, *args: object, **kwargs: object) -> object:
        found = missing(self, *args, **kwargs)  # type: ignore[arg-type]
        sent.append(sorted(found))
        return found

    monkeypatch.setattr(beside.Beside, "missing", noted)
    cell = "%%R\nopen('data/births.csv').read()"
    notebook.run(cell)
    notebook.run(cell)
    data.write_text("new")
    assert notebook.run(cell).value == "new"
    data.write_text("newer")
    ran = notebook.run("%%R\nname = 'births'\nopen(f'data/{name}.' + 'csv').read()")
    assert ran.value == "newer"
    data.unlink()
    assert notebook.run("%%R\nimport os\nos.path.exists('data/births.csv')").value is False
    assert sent == [["data/births.csv"], [], ["data/births.csv"], ["data/births.csv"], []]


def test_a_large_file_is_announced_and_a_very_large_one_asked_for(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("big.bin").write_bytes(os.urandom(2_000_000))
    cell = "import os\nos.path.getsize('big.bin')"
    ran = notebook.run(f"%%R\n{cell}")
    assert ran.value == 2_000_000
    assert "Sending to gpu-node: big.bin (file, 2.0 MB)" in ran.stderr
    monkeypatch.setattr(beside, "UNASKED_MAX", 1_000_000)
    assert notebook.run(f"%%R\n{cell}").value == 2_000_000, "it is there already"
    Path("big.bin").write_bytes(os.urandom(2_000_001))
    assert notebook.run("%%R\n1").value == 1, "a cell that does not name it is not concerned"
    ran = notebook.run(f"%%R\n{cell}", fails=True)
    assert str(ran.error) == (
        "The cell names big.bin, a file of 2.0 MB. Nothing was sent. Add --file big.bin or "
        "--force-push to send it, or --no-files to go without."
    )
    assert notebook.run(f"%%R --no-files\n{cell}").value == 2_000_000
    assert notebook.run(f"%%R --force-push\n{cell}").value == 2_000_001
    Path("big.bin").write_bytes(os.urandom(2_000_002))
    assert notebook.run(f"%%R --file big.bin\n{cell}").value == 2_000_002


@pytest.mark.parametrize(
    "name", ["../outside.txt", "~/x", "data", "nothing.csv", "x" * 300, "a\0b"]
)
def test_what_is_no_file_below_the_folder_does_not_go(notebook: Notebook, name: str) -> None:
    Path("data").mkdir()
    Path("../outside.txt").write_text("outside")
    assert notebook.run(f"%%R\nimport os\nos.path.isfile({name!r})").value is False


def test_no_files_turns_it_off(notebook: Notebook, data: Path) -> None:
    cell = "import os\n_ = open('mine.txt', 'w').write('x')\nos.path.exists('data/births.csv')"
    assert notebook.run(f"%%R --no-files\n{cell}").value is False
    assert not Path("mine.txt").exists()
    notebook.run("%%R\n1")
    assert not Path("mine.txt").exists()


def test_a_dry_run_names_the_file(notebook: Notebook, data: Path) -> None:
    ran = notebook.run("%%R --dry-run\nopen('data/births.csv')")
    assert "births.csv" in ran.stdout


@pytest.mark.parametrize(
    "code",
    [
        "import os\nsorted(os.listdir('data'))",
        "import glob\nsorted(glob.glob('data/*.csv'))",
        "from pathlib import Path\nsorted(map(str, Path('data').iterdir()))",
        "from pathlib import Path\nsorted(map(str, Path('data').rglob('*')))",
        "import os\nsorted((root, sorted(files)) for root, _, files in os.walk('data'))",
        "import os\ndef f():\n    return sorted(os.listdir('data'))\nf()",
        "import os\n[open(f'data/{n}').read() for n in os.listdir('data') if n[-3:] == 'csv']",
    ],
)
def test_a_folder_that_a_cell_lists_is_there_with_its_files(
    notebook: Notebook, data: Path, code: str
) -> None:
    Path("data/second.csv").write_text("x")
    Path("data/sub").mkdir()
    Path("data/sub/third.csv").write_text("y")
    Path("data/empty").mkdir()
    assert notebook.run(f"%%R\n{code}").value == notebook.run(code).value


def test_a_folder_of_very_many_files_is_not_listed_there(
    notebook: Notebook, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "LISTED_MAX", 2)
    for number in range(3):
        Path(f"data/{number}").touch()
    ran = notebook.run("%%R\nimport os\nlen(os.listdir('data'))", fails=True)
    assert "The cell lists data/*: more than 2 files. Nothing was sent." in str(ran.error)


# -- what comes back


WRITING = {
    "open": "with open('out.txt', 'w') as f: f.write('x')\ndel f",
    "to_csv": "import pandas as pd\npd.DataFrame({'a': [1]}).to_csv('out.txt', index=False)",
    "savefig": "import matplotlib.pyplot as plt\nplt.plot([1])\n"
    "plt.savefig('out.txt', format='svg')\nplt.close()",
    "path": "from pathlib import Path\nPath('out.txt').write_text('y'); None",
    "shell": "!echo hello > out.txt",
    "folder": "import os, pathlib\nos.makedirs('new/inner')\n"
    "pathlib.Path('new/inner/out.txt').write_text('z')",
    "empty folder": "import os\nos.makedirs('new/empty')\nopen('out.txt', 'x').close()",
    "rename": "import os, pathlib\npathlib.Path('first.txt').touch()\n"
    "os.rename('first.txt', 'out.txt')",
    "computed": "import pathlib\nfor i in range(2): pathlib.Path(f'out{i}.txt').write_text(str(i))",
}


@pytest.mark.parametrize("how", WRITING)
def test_what_a_cell_writes_comes_back(
    new_notebook: Callable[[str | None], Notebook], how: str, tmp_path: Path
) -> None:
    def written(target: str | None) -> set[tuple[str, int]]:
        folder = tmp_path / str(target)
        folder.mkdir()
        os.chdir(folder)
        ran = new_notebook(target).run(f"%%R\n{WRITING[how]}")
        assert ran.stderr == ""
        return {(str(path), path.stat().st_mode) for path in Path().rglob("*")}

    assert written(f"gpu-node -s w{WRITING[how].__hash__()}") == written(None)


def test_it_replaces_the_file_that_the_cell_was_sent(notebook: Notebook, data: Path) -> None:
    notebook.run("%%R\nopen('data/births.csv', 'a').write('5,6\\n')")
    assert data.read_text() == TABLE + "5,6\n"
    notebook.run("%%R\nopen('data/births.csv', 'a').write('7,8\\n')")
    assert data.read_text() == TABLE + "5,6\n7,8\n"
    data.write_text(data.read_text().upper())
    assert notebook.run("%%R\nlen(open('data/births.csv').readlines())").value == 5


def test_it_never_replaces_a_file_that_has_changed_here(notebook: Notebook, data: Path) -> None:
    Path("other.txt").write_text("mine")
    ran = notebook.run("%%R\nopen('other' + str('.txt'), 'w').write('theirs')")
    assert Path("other.txt").read_text() == "mine"
    assert (
        "other.txt here is not the file that gpu-node knew: it was kept, and what the cell has "
        "written stays there"
    ) in ran.stderr


def test_a_cell_that_fails_leaves_what_it_has_written(notebook: Notebook) -> None:
    notebook.run("%%R\nopen('log.txt', 'w').write('x')\n1 / 0", fails=True)
    assert Path("log.txt").read_text() == "x"


def test_a_fresh_session_and_a_job_in_the_background_leave_it_too(notebook: Notebook) -> None:
    notebook.run("%%remote gpu-node --fresh\nopen('fresh.txt', 'w').write('x')")
    assert Path("fresh.txt").read_text() == "x"
    notebook.run("%%R --bg job\nopen('job.txt', 'w').write('y')")
    notebook.run("job.result()")
    assert Path("job.txt").read_text() == "y"


def test_a_large_one_stays_and_can_be_fetched(notebook: Notebook) -> None:
    ran = notebook.run("%%R\nimport os\n_ = open('model.bin', 'wb').write(os.urandom(17_000_000))")
    assert "model.bin (17.0 MB) stays on gpu-node: %remote_fetch" in ran.stderr
    assert not Path("model.bin").exists()
    session = notebook.target.rpartition(" ")[2] if notebook.target else ""
    notebook.run(f"%remote_fetch gpu-node/{session} model.bin")
    assert Path("model.bin").stat().st_size == 17_000_000
    assert notebook.run("%%R\n1").stderr == ""


def test_what_is_removed_there_stays_here_and_is_told(notebook: Notebook, data: Path) -> None:
    ran = notebook.run("%%R\nimport os\nos.remove('data/births.csv')")
    assert "data/births.csv was removed on gpu-node; it is still here" in ran.stderr
    assert data.exists()


def test_hidden_files_links_and_outputs_stay(notebook: Notebook) -> None:
    notebook.run(
        "%%R\nimport os\nopen('.hidden', 'w').write('x')\nos.symlink('/etc/passwd', 'link')\n"
        "open('outputs/kept.txt', 'w').write('x')\nopen('came.txt', 'w').write('x')"
    )
    assert {path.name for path in Path().iterdir()} == {"came.txt"}


def test_a_name_that_leads_out_of_the_folder_is_refused(notebook: Notebook) -> None:
    said: list[str] = []
    what = {"digest": b"1", "size": 1, "data": b"x"}
    known = beside.Beside()
    known.came({"../evil.txt": what, "/evil.txt": what}, "gpu-node", said.append)
    assert not Path("../evil.txt").exists()
    assert len(said) == 2
    assert all("was not brought here" in line for line in said)


def test_a_file_sent_by_option_gives_way_to_one_that_is_written(notebook: Notebook) -> None:
    Path("x.txt").write_text("one")
    assert notebook.run("%%R\nopen('x.txt').read()").value == "one"
    assert notebook.run("%%R --file x.txt\nopen('x.txt').read()").value == "one"
    notebook.run("%%R\nopen('x.txt', 'a').write(' two')")
    assert Path("x.txt").read_text() == "one two"
