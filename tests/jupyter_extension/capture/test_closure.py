"""What `easyremote_jupyter.capture.closure` collects for the names of a cell."""

from __future__ import annotations

import functools

import pytest

from easyremote_jupyter.capture.closure import closure, evaluated, named_submodules

Namespace = dict[str, object]


def run(source: str) -> Namespace:
    space: Namespace = {"__name__": "__main__"}
    exec(source, space)
    return space


@pytest.mark.parametrize(
    ("source", "names", "variables", "imports"),
    [
        ("x = 1; y = 2", "x z", "x", {}),
        ("import numpy as np", "np", "", {"np": "numpy"}),
        ("import os.path as p", "p", "", {"p": "posixpath"}),
        ("from math import sqrt", "sqrt", "sqrt", {}),
        ("y = 1\ndef f(x): return x + y", "f", "f y", {}),
        ("import os\ndef f(): return os.sep", "f", "f", {"os": "os"}),
        ("def f(): return g()\ndef g(): return f()", "f", "f g", {}),
        ("data = 1\ndef f(x): return x.data", "f", "f", {}),
        ("k = 1\ndef f():\n    return [lambda: k for _ in 'a']", "f", "f k", {}),
        ("k = 1\nclass A:\n    def m(self): return k", "A", "A k", {}),
        ("k = 1\nclass A:\n    def m(self): return k\na = A()", "a", "a k", {}),
        ("k = 1\nclass A:\n    def m(self): return k\nclass B(A): pass", "B", "B k", {}),
        ("k = 1\nclass A:\n    @property\n    def m(self): return k", "A", "A k", {}),
        ("k = 1\nclass A:\n    @staticmethod\n    def m(): return k", "A", "A k", {}),
        ("k = 1\nclass A:\n    def m(self): return k\nm = A().m", "m", "m k", {}),
        ("k = 1\nfs = {'f': [lambda: k]}", "fs", "fs k", {}),
        ("k = 1\ng = lambda: k\ndef f(h=g): return h()", "f", "f k", {}),
        (
            "import functools\nk = 1\n@functools.lru_cache\ndef f(): return k",
            "f",
            "f k",
            {},
        ),
        ("import functools\nk = 1\nf = functools.partial(lambda a: a + k, 2)", "f", "f k", {}),
        ("k = 1\ndef d(f):\n    return lambda: f()\n@d\ndef g(): return k", "g", "g k", {}),
        ("import __main__", "__main__", "", {}),
        ("l = []; l.append(l)", "l", "l", {}),
    ],
)
def test_what_travels(source: str, names: str, variables: str, imports: dict[str, str]) -> None:
    found = closure(names.split(), run(source))
    assert set(found.variables) == set(variables.split())
    assert found.imports == imports


def test_functions_of_modules_travel_by_name_only() -> None:
    space: Namespace = {"wraps": functools.wraps, "WRAPPER_ASSIGNMENTS": 1}
    assert set(closure(["wraps"], space).variables) == {"wraps"}


def test_of_a_package_the_submodules_that_a_cell_names_are_found() -> None:
    import xml.etree.ElementTree  # so that they are loaded

    assert xml.etree.ElementTree is not None
    found = named_submodules(["xml", "json"], "root = xml.etree.ElementTree.parse('a.xml')")
    assert found == ["xml.etree", "xml.etree.ElementTree"]
    assert named_submodules(["xml"], "print(xml)") == []
    assert named_submodules(["no_such_package"], "no_such_package.inner") == []


EVALUATING = """
def show(*names): return [eval(name) for name in names]
def plain(x): return x.eval('y')
class Display:
    def __repr__(self): return eval('df1')
"""


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("show('df1', \"df2.T\")", {"df1", "df2", "T"}),
        ("Display('df1')", {"df1"}),
        ("eval('a + b')", {"a", "b"}),
        ("globals()['a']", {"a"}),
        ("plain('df1')", set()),
        ("x.eval('a')", set()),
        ("print('a')", set()),
    ],
)
def test_names_in_texts_count_where_texts_are_evaluated(cell: str, names: set[str]) -> None:
    space = run(EVALUATING)
    used = [value for name, value in space.items() if name in cell]
    assert evaluated(cell, used) == names
