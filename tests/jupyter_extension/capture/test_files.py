"""The texts of a cell that may be paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from easyremote_jupyter.capture.files import Paths, paths_in
from easyremote_jupyter.capture.local_modules import Package


@pytest.mark.parametrize(
    ("code", "paths"),
    [
        ("open('a.csv')", "a.csv"),
        ("open('data/' + 'a.csv')", "data/a.csv"),
        ("Path('data') / 'a.csv'", "data/a.csv"),
        ("Path('data') / 'b' / 'a.csv'", "data/b data/b/a.csv"),
        ("os.path.join('data', 'b', 'a.csv')", "data/b/a.csv"),
        ("join('data', 'a.csv')", "data/a.csv"),
        ("pathlib.Path('data', 'a.csv')", "data/a.csv"),
        ("Path('data').joinpath('a.csv')", "data/a.csv"),
        ("d = 'data'\nf'{d}/a.csv'", "data/a.csv"),
        ("d = Path('data')\nopen(d / 'a.csv')", "data/a.csv"),
        ("open(folder / 'a.csv'), open(name)", "here/a.csv b.csv"),
        ("for n in ['a.csv', 'b.csv']: open(n)", "a.csv b.csv"),
        ("def f():\n    return open('a.csv')", "a.csv"),
        ("!head -3 a.csv", "a.csv"),
        ("%run script.py --data a.csv", "script.py a.csv"),
        ("if x:\n    %run script.py", "script.py"),
        ("x =%run script.py", "script.py"),
        ("x = !wc a.csv", "a.csv"),
        ("# %%remote gpu-node\nx = 7 % y\nopen('a.csv')", "a.csv"),
        ("%%time\nopen('a.csv')", "a.csv"),
        ("%%bash\nwc 'a b.csv' c.csv", "c.csv"),
        ("f'{x}/a.csv'", ""),
        ("x + 'a.csv'", "a.csv"),
        ("f'{d:>3}'", ""),
        ("this is not Python", ""),
    ],
)
def test_paths_are_found_where_they_can_be_told(code: str, paths: str) -> None:
    found = paths_in(code, {"folder": Path("here"), "name": "b.csv", "n": 3}, ()).texts
    assert set(paths.split()) <= found
    assert not any("{" in text for text in found)


def test_functions_classes_and_modules_are_looked_through() -> None:
    space: dict[str, object] = {"__name__": "__main__"}
    exec(
        "def f():\n    def g(): return 'inner.csv'\n    return g, 'outer.csv'\n"
        "class A:\n    def m(self): return 'method.csv'\n"
        "    @staticmethod\n    def s(): return 's.csv'\n"
        "    @property\n    def p(self): return 'p.csv'",
        space,
    )
    module = Package("m", {"m.py": b"path = 'data' + '/x.csv'", "n.py": b"not Python at all"})
    found = paths_in("f(); A()", {"f": space["f"], "A": space["A"]}, [module]).texts
    assert {"inner.csv", "outer.csv", "method.csv", "s.csv", "p.csv", "data/x.csv"} <= found


def test_what_is_no_path_is_left_out() -> None:
    long, lines = "x" * 2000, "a\nb"
    assert paths_in(f"{long!r}, {lines!r}, '', 1, b'x'", {}, ()) == Paths()


@pytest.mark.parametrize(
    ("code", "pattern"),
    [
        ("os.listdir('data')", "data/*"),
        ("os.listdir()", "./*"),
        ("os.listdir('.')", "./*"),
        ("listdir('data')", "data/*"),
        ("os.walk('data')", "data/**"),
        ("glob.glob('data/*.csv')", "data/*.csv"),
        ("glob('*.csv')", "*.csv"),
        ("list(Path('data').glob('*.csv'))", "data/*.csv"),
        ("Path('data').rglob('*.csv')", "data/**/*.csv"),
        ("(Path('a') / 'b').iterdir()", "a/b/*"),
        ("d = 'data'\nos.listdir(d)", "data/*"),
        ("os.listdir(x)", None),
        ("x.glob('*.csv')", "*.csv"),
        ("'*', print('*')", None),
    ],
)
def test_patterns_are_found_where_a_folder_is_listed(code: str, pattern: str | None) -> None:
    expected = set() if pattern is None else {pattern}
    assert paths_in(code, {}, ()).patterns == expected


def test_a_function_that_lists_a_folder_is_looked_through() -> None:
    space: dict[str, object] = {"__name__": "__main__"}
    exec("import os, glob\ndef f(): return os.listdir('data')\ndef g(): glob.glob('*.csv')", space)
    found = paths_in("f(); g()", {"f": space["f"], "g": space["g"]}, ())
    assert found.patterns == {"data/*", "*.csv"}
