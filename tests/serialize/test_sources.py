"""Where the source can't be had, it says so; where it changed, nothing else is shipped."""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from easyremote.errors import CannotShip, VersionMismatch
from easyremote.serialize import sources
from easyremote.serialize.values import dump, load

HERE = sys.version_info[:2]
OTHER = (HERE[0], HERE[1] + 1)


def executed(code: str, filename: str = "<made by exec>") -> Any:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(code, filename, "exec"), names)
    return names["f"]


def shipped(function: Any, python: tuple[int, int] | None) -> Any:
    return load(b"".join(dump(function, python=python).parts))


def test_a_function_without_source_goes_to_the_same_version_only() -> None:
    f = executed("def f(x): return x + 1")
    assert shipped(f, HERE)(1) == shipped(f, None)(1) == 2
    with pytest.raises(CannotShip, match="source of f.*can't be had.*Define it in a notebook"):
        dump(f, python=OTHER)


def test_a_function_whose_file_changed_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "script.py"
    file.write_text("def f(x): return len(x)\n")
    f = executed(file.read_text(), str(file))
    assert shipped(f, OTHER)("ab") == 2
    for changed in ("def f(x): return max(x)\n", "\n\ndef f(x): return len(x)\n", "def f(:\n"):
        file.write_text(changed + "# of another size\n")
        with pytest.raises(CannotShip, match="can't be had"):
            dump(f, python=OTHER)
    file.unlink()
    with pytest.raises(CannotShip, match="can't be had"):
        dump(f, python=OTHER)


def test_source_is_parsed_by_one_thread_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    parse, was_alone = ast.parse, set[bool]()

    def noting(*args: Any, **kwargs: Any) -> Any:
        was_alone.add(sources._parsing.locked())
        return parse(*args, **kwargs)

    sources._functions_in.cache_clear()
    sources._made.clear()
    monkeypatch.setattr(ast, "parse", noting)
    assert shipped(fails, OTHER)
    assert was_alone == {True}
    assert not sources._parsing.locked()


def test_to_an_unknown_version_both_go_and_each_takes_what_it_can_run() -> None:
    recipe = sources.recipe(fails.__code__, globals(), None)
    assert sources.code(recipe) == fails.__code__
    source_only = sources.code(recipe._replace(python=(3, 2)))
    assert source_only.co_consts == fails.__code__.co_consts


def test_bytecode_of_another_version_without_its_source_is_refused_with_both_named() -> None:
    recipe = sources.recipe(executed("def f(): pass").__code__, {}, None)
    with pytest.raises(VersionMismatch, match=r"f\(\) came as bytecode of Python 3\.2; this is"):
        sources.code(recipe._replace(python=(3, 2)))


def test_the_same_code_is_the_same_bytes_whoever_holds_its_parts() -> None:
    code = executed(
        "def f(a):\n    name = 'a text'\n    return name, (1, 'b'), a.attribute"
    ).__code__
    before = sources.recipe(code, {}, HERE)
    held = [*code.co_consts, *code.co_names, *code.co_varnames]
    assert sources.recipe(code, {}, HERE) == before and held


# fmt: off
PAIRS = [lambda a: a + 1, lambda a: a + 2, lambda a: (lambda a: a * 3)(a), lambda *a, **k: (a, k)]
ÄÖ = "ä", lambda a: "ö" + a
MADE = (lambda n: (lambda a: a + n))(10)
SPREAD = [lambda a:
    (a,
     "two"), None]
# fmt: on


@pytest.mark.parametrize("python", [HERE, OTHER, None])
def test_lambdas_are_told_apart(python: tuple[int, int] | None) -> None:
    one, two, nested, rest = (shipped(each, python) for each in PAIRS)
    assert (one(1), two(1), nested(2), rest(1, b=2)) == (2, 3, 6, ((1,), {"b": 2}))
    assert shipped(ÄÖ[1], python)("x") == "öx"
    assert shipped(MADE, python)(1) == 11
    assert shipped(SPREAD[0], python)(1) == (1, "two")


def fails(number: int) -> float:
    return number / 0  # this very line


@pytest.mark.parametrize("python", [HERE, OTHER, None])
def test_a_traceback_shows_file_line_and_text(python: tuple[int, int] | None) -> None:
    there = shipped(fails, python)
    with pytest.raises(ZeroDivisionError) as caught:
        there(1)
    text = "".join(traceback.format_exception(caught.value))
    assert f'File "{__file__}", line {fails.__code__.co_firstlineno + 1}, in fails' in text
    assert "this very line" in text and inspect.getsource(there) == inspect.getsource(fails)


@pytest.mark.parametrize("python", [HERE, OTHER, None])
def test_another_file_of_that_name_is_not_hidden(
    tmp_path: Path, python: tuple[int, int] | None
) -> None:
    file = tmp_path / "script.py"
    file.write_text("def f(x):\n    return len(x)  # theirs\n")
    code = executed(file.read_text(), str(file)).__code__
    recipe = sources.recipe(code, {}, python)
    file.write_text("def g(x):\n    return max(x)  # ours, and longer\n")
    linecache.checkcache(str(file))
    made = sources.code(recipe)
    assert made.co_filename == f"<{file}>"
    assert "theirs" in linecache.getline(made.co_filename, 2)
    assert "ours" in linecache.getline(str(file), 2)


class Local:
    where = "on"

    def method(self) -> str:
        return "went " + self.where

    @property
    def decorated(self) -> str:
        return "went " + self.where


@pytest.mark.parametrize("further", [HERE, None, OTHER])
@pytest.mark.parametrize("first", [OTHER, None])
def test_what_came_with_its_source_can_go_on(first: Any, further: Any) -> None:
    there = shipped(Local().method, first)
    assert shipped(there, further)() == "went on"
    assert shipped(lambda: there.__self__.decorated, further)() == "went on"


def test_what_came_as_bytecode_goes_back_as_bytecode() -> None:
    there = shipped(Local().method, HERE)
    assert shipped(there, None)() == "went on"


def test_annotations_go_as_text_where_code_goes_as_source() -> None:
    assert shipped(fails, HERE).__annotations__ == fails.__annotations__
    assert shipped(fails, None).__annotations__ == {"number": "int", "return": "float"}


def test_the_source_of_a_function_is_looked_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    real = sources._from_source

    def noted(code: Any, lines: list[str]) -> Any:
        looked.append(code.co_filename)
        return real(code, lines)

    monkeypatch.setattr(sources, "_from_source", noted)
    files = [tmp_path / "one.py", tmp_path / "two.py"]
    for file in files:
        file.write_text("def f(x): return len(x)\n")
    functions = [executed(file.read_text(), str(file)) for file in files]
    for f, file in zip(functions, files, strict=True):
        for _ in range(3):
            recipe = sources.recipe(f.__code__, {}, None)
            assert recipe.filename == str(file)
        assert looked.count(str(file)) == 1
