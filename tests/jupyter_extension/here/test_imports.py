"""What a remote cell imports exists here: imported at its first use."""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.completer import provisionalcompleter

from easyremote_jupyter.here.imports import DeferredModule, DeferredName, bind
from tests.jupyter_extension.here.conftest import Notebook

#: A module of the notebook's folder: it counts how often it is imported.
MODULE = """
import sys
from enum import Enum
class Colour(Enum):
    RED = 1
class Box:
    def __init__(self, x=1):
        self.x = x
class BoxError(Exception): pass
def double(x):
    return 2 * x
limit = 7
_hidden = 8
"""


@pytest.fixture
def module() -> Iterator[str]:
    """A module that no test has loaded, beside the notebook."""
    name = "thing_of_the_notebook"
    Path(f"{name}.py").write_text(MODULE)
    Path("parcel").mkdir()
    Path("parcel/__init__.py").touch()
    Path("parcel/inner.py").write_text("value = 5\n")
    yield name
    for each in [m for m in sys.modules if m.partition(".")[0] in (name, "parcel")]:
        del sys.modules[each]


def test_a_module_is_imported_when_a_local_cell_names_it(notebook: Notebook, module: str) -> None:
    notebook.run(f"%%R\nimport {module} as thing")
    assert module not in sys.modules
    notebook.run("1 + 1")
    assert module not in sys.modules
    assert notebook.run("type(thing).__name__, thing.double(4)").value == ("module", 8)
    assert notebook["thing"] is sys.modules[module]


def test_a_module_that_is_loaded_is_bound_as_it_is(notebook: Notebook) -> None:
    notebook.run("%%R\nimport pickle\nfrom pickle import dumps\nfrom types import ModuleType as M")
    assert notebook["pickle"] is pickle
    assert notebook["dumps"] is pickle.dumps
    assert notebook["M"] is types.ModuleType


def test_names_are_taken_out_of_the_module_when_they_are_used(
    notebook: Notebook, module: str
) -> None:
    notebook.run(f"%%R\nfrom {module} import Box, double as twice, limit, Colour")
    assert notebook["limit"] == 7
    assert module not in sys.modules
    assert notebook.run("twice(3), Box(2).x, [c.name for c in Colour]").value == (6, 2, ["RED"])
    assert notebook["Box"] is sys.modules[module].Box


def test_star_imports_bring_their_names(notebook: Notebook, module: str) -> None:
    notebook.run(f"%%R\nfrom {module} import *")
    assert module not in sys.modules
    assert notebook.run("double(limit)").value == 14
    assert "_hidden" not in notebook.shell.user_ns
    assert notebook.run("class Mine(Box): pass\nisinstance(Mine(), Box)").value is True


def test_star_imports_hide_builtins_as_they_do_here(notebook: Notebook) -> None:
    Path("own_sum.py").write_text("def sum(x): return 'own'\n")
    notebook.run("%%R\nfrom own_sum import *")
    assert notebook.run("sum([1])").value == "own"
    assert notebook.run("%%R\nsum([1])").value == "own"
    del sys.modules["own_sum"]


def test_a_submodule_is_there_with_its_package(notebook: Notebook, module: str) -> None:
    notebook.run("%%R\nimport parcel.inner")
    assert notebook.run("parcel.inner.value").value == 5


def test_a_submodule_is_there_where_only_the_package_was_loaded(
    notebook: Notebook, module: str
) -> None:
    notebook.run("import parcel")
    notebook.run("%%R\nimport parcel.inner")
    assert notebook.run("parcel.inner.value").value == 5
    notebook.run("%%R\nimport parcel.inner as p\nfrom parcel import inner")
    assert notebook.run("p is inner").value is True


@pytest.mark.parametrize(
    "code",
    [
        "def f(): return thing.double(2)\nf()",
        "(lambda: thing.double(2))()",
        "eval('thing.double(2)')",
        "class A:\n    def m(self): return thing.double(2)\nA().m()",
        "[thing.double(x) for x in [2]][0]",
        "%time thing.double(2)",
        "getattr(globals()['thing'], 'double')(2)",
    ],
)
def test_it_works_wherever_it_is_used(notebook: Notebook, module: str, code: str) -> None:
    notebook.run(f"%%R\nimport {module} as thing")
    assert notebook.run(code).value == 4


def test_a_function_that_is_only_defined_imports_nothing(notebook: Notebook, module: str) -> None:
    notebook.run(f"%%R\nimport {module} as thing\nfrom {module} import double")
    notebook.run("def f(): return thing.double(double(2))\nclass A:\n    def m(self): thing.x")
    assert module not in sys.modules
    assert notebook.run("%%R\nf()").value == 8
    assert module not in sys.modules
    assert notebook.run("f()").value == 8


def test_what_is_used_by_name_only_is_the_real_thing(notebook: Notebook, module: str) -> None:
    notebook.run(f"%%R\nfrom {module} import Box, BoxError, double\nimport {module} as thing")
    notebook.run(
        "import inspect, types, pickle\n"
        "facts = [isinstance(thing, types.ModuleType), thing.__name__, inspect.ismodule(thing),\n"
        "         inspect.signature(double).parameters.keys() == {'x'}, type(Box), \n"
        "         pickle.loads(pickle.dumps(Box)) is Box, vars(thing)['limit']]\n"
        "try:\n    raise BoxError\nexcept BoxError:\n    facts.append('caught')"
    )
    assert notebook["facts"] == [True, module, True, True, type, True, 7, "caught"]


def test_deferred_things_go_back_to_a_node(notebook: Notebook, module: str) -> None:
    notebook.run(f"%%R\nimport {module} as thing\nfrom {module} import Box, double")
    notebook.run("def f(x): return double(thing.limit), isinstance(x, Box)")
    assert notebook.run("%%remote gpu-node --fresh\nf(Box()), double(1), thing.limit").value == (
        (14, True),
        2,
        7,
    )
    assert module not in sys.modules


def test_a_cell_that_fails_leaves_its_imports(notebook: Notebook, module: str) -> None:
    notebook.run(f"%%R\nimport {module} as thing\nfrom {module} import double\n1 / 0", fails=True)
    assert notebook.run("thing.double(double(1))").value == 4


def test_a_name_that_has_another_value_by_then_comes_as_it_is(
    notebook: Notebook, module: str
) -> None:
    notebook.run(f"%%R\nfrom {module} import double\ndef double(x): return 'other'")
    assert notebook.run("double(1)").value == "other"


def test_completion_knows_a_module_before_its_first_use(notebook: Notebook, module: str) -> None:
    notebook.run(f"%%R\nimport {module} as thing")
    with provisionalcompleter():
        found = [each.text for each in notebook.shell.Completer.completions("thing.dou", 9)]
    assert [each.rpartition(".")[2] for each in found] == ["double"]


# -- what is not installed here


def test_what_is_not_installed_here_is_said_where_it_is_used() -> None:
    space: dict[str, object] = {}
    bind(space, {"tf": "not_here_pkg"}, {"Linear": ("not_here_pkg.nn", "Linear")})
    with pytest.raises(ModuleNotFoundError, match=r"^not_here_pkg is not installed here.*pip"):
        space["tf"].constant  # type: ignore[attr-defined] # noqa: B018 - the use itself
    with pytest.raises(ImportError, match="not_here_pkg is not installed here"):
        space["Linear"](3)  # type: ignore[operator]
    assert "not installed" in repr(space["tf"])


def test_a_local_cell_that_names_it_can_catch_that(notebook: Notebook) -> None:
    space = notebook.shell.user_ns
    bind(space, {"tf": "not_here_pkg"}, {"Linear": ("not_here_pkg.nn", "Linear")})
    code = "try:\n    {}\nexcept ImportError as e:\n    said = str(e)\nsaid.partition(':')[0]"
    for use in ("tf.constant(1)", "Linear(3)", "tf.nn", "class A(Linear): pass"):
        said = notebook.run(code.format(use)).value
        assert said == "not_here_pkg is not installed here, only on the node"


def test_another_version_here_is_an_import_error() -> None:
    space: dict[str, object] = {}
    bind(space, {}, {"f": ("colorsys", "not_in_this_version")})
    with pytest.raises(ImportError, match="colorsys here has no 'not_in_this_version'"):
        space["f"]()  # type: ignore[operator]


def test_a_part_that_breaks_is_not_taken_for_a_package_that_is_missing(tmp_path: Path) -> None:
    Path(tmp_path, "needs_more.py").write_text("import not_here_pkg\n")
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(ModuleNotFoundError, match="No module named 'not_here_pkg'"):
            DeferredModule(["needs_more"], {}).load()
    finally:
        sys.path.remove(str(tmp_path))


def test_other_attributes_of_a_deferred_module_are_the_modules_own() -> None:
    deferred = DeferredModule(["colorsys"], {})
    import colorsys

    assert (deferred.__name__, deferred.__file__) == ("colorsys", colorsys.__file__)
    assert isinstance(deferred, types.ModuleType)
    deferred.added = 1  # type: ignore[attr-defined]
    assert colorsys.added == 1  # type: ignore[attr-defined]
    del deferred.added
    assert not hasattr(colorsys, "added")
    assert dir(deferred) == dir(colorsys)
    assert pickle.loads(pickle.dumps(DeferredName("colorsys", "hls_to_rgb", {}))) is (
        colorsys.hls_to_rgb
    )
