"""What a function reaches, watched: whatever could make it another function is noticed."""

from __future__ import annotations

import functools
import math
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from easyremote import remote
from easyremote.serialize.reach import reach

number = 1
table = {"a": 1}
pair = (1, "two", (3.0, None))


class Own:
    """A class that travels by value."""


def helper(x: int) -> int:
    return x + number


def plain(x: int, y: int = 5, *, z: int = 7) -> float:
    return math.sqrt(helper(x) + y + z) + len(pair)


def reaches_missing() -> Any:
    return not_there_yet  # type: ignore[name-defined]  # noqa: F821


def recursive(x: int) -> int:
    return recursive(x - 1) if x else number


@remote
def under_remote(x: int) -> int:
    y = x + number
    return y


def calls_remote(x: int) -> int:
    return under_remote(x)


def closed_over(value: Any) -> Callable[[], Any]:
    def inner() -> Any:
        return value

    return inner


@pytest.mark.parametrize(
    "function", [helper, plain, recursive, calls_remote, closed_over(3), lambda: pair]
)
def test_a_function_of_what_does_not_change_is_watched(function: types.FunctionType) -> None:
    found = reach(function)
    assert found is not None
    assert found.is_unchanged()
    assert found.is_unchanged()


def reaches_dict() -> Any:
    return table


def reaches_class() -> Any:
    return Own()


def reaches_itself() -> Any:
    return reaches_itself.calls  # type: ignore[attr-defined]


def sets_a_global() -> None:
    global number
    number = 2


def sets_an_attribute_of_a_function() -> None:
    helper.calls = 1  # type: ignore[attr-defined]


def sees_all() -> Any:
    return globals()["table"]


def nonlocal_of(value: int) -> Callable[[], int]:
    def count() -> int:
        nonlocal value
        value += 1
        return value

    return count


@functools.lru_cache
def cached(x: int) -> int:
    return x


def calls_cached() -> int:
    return cached(1)


def default_list(found: list[int] = []) -> list[int]:  # noqa: B006
    return found


def inner_of_a_function() -> Callable[[], object]:
    def inside() -> object:
        return table

    return inside


LARGE = list(range(1000))


@pytest.mark.parametrize(
    "function",
    [
        reaches_class,
        calls_cached,
        closed_over(object()),
        closed_over((object(),)),
        closed_over([object()]),
        closed_over({"a": {"b": object()}}),
        closed_over(closed_over(Own())),
        closed_over([].append),
        closed_over(LARGE),
        closed_over(bytearray(3)),
    ],
)
def test_what_can_change_unseen_is_not_watched(function: types.FunctionType) -> None:
    assert reach(function) is None


@pytest.mark.parametrize(
    "function",
    [
        reaches_dict,
        sets_a_global,
        sets_an_attribute_of_a_function,
        sees_all,
        nonlocal_of(1),
        default_list,
        closed_over([1, 2]),
        closed_over(({3},)),
        inner_of_a_function,
        closed_over(closed_over({})),
    ],
)
def test_what_a_call_can_change_is_watched_and_not_fixed(function: types.FunctionType) -> None:
    found = reach(function)
    assert found is not None
    assert not found.is_fixed
    assert found.is_unchanged()


@pytest.mark.parametrize("function", [helper, plain, recursive, closed_over(3)])
def test_what_no_call_can_change_is_fixed(function: types.FunctionType) -> None:
    found = reach(function)
    assert found is not None
    assert found.is_fixed


def holds_itself() -> list[Any]:
    made: list[Any] = [1]
    made.append(made)
    return made


@pytest.mark.parametrize(
    ("container", "change"),
    [
        ([1, 2], lambda c: c.append(3)),
        ([1, 2], lambda c: c.reverse()),
        ({"a": 1}, lambda c: c.update(a=2)),
        ({"a": 1}, lambda c: c.update(b=2)),
        ({"a": [1]}, lambda c: c["a"].append(2)),
        ({1}, lambda c: c.add(2)),
        ({1}, lambda c: (c.clear(), c.add(True))),
        (([1],), lambda c: c[0].clear()),
        (holds_itself(), lambda c: c.append(1)),
    ],
)
def test_what_a_container_holds_is_compared(container: Any, change: Callable[[Any], Any]) -> None:
    found = reach(closed_over(container))
    assert found is not None
    assert found.is_unchanged()
    change(container)
    assert not found.is_unchanged()


def test_an_attribute_of_a_function_that_comes_or_changes_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = reach(reaches_itself)
    assert found is not None
    monkeypatch.setattr(reaches_itself, "calls", 1, raising=False)
    assert not found.is_unchanged()
    again = reach(reaches_itself)
    assert again is not None
    assert not again.is_fixed
    assert again.is_unchanged()
    monkeypatch.setattr(reaches_itself, "calls", 2)
    assert not again.is_unchanged()


CHANGES: dict[str, tuple[types.FunctionType, Callable[[pytest.MonkeyPatch], None]]] = {
    "a global": (helper, lambda m: m.setitem(globals(), "number", 2)),
    "a global of a helper": (plain, lambda m: m.setitem(globals(), "number", 2)),
    "the helper": (plain, lambda m: m.setitem(globals(), "helper", abs)),
    "a global that is gone": (helper, lambda m: m.delitem(globals(), "number")),
    "a global that comes": (
        reaches_missing,
        lambda m: m.setitem(globals(), "not_there_yet", 1),
    ),
    "code": (plain, lambda m: m.setattr(plain, "__code__", (lambda x, y, *, z: 1.0).__code__)),
    "code of a helper": (plain, lambda m: m.setattr(helper, "__code__", (lambda x: x).__code__)),
    "defaults": (plain, lambda m: m.setattr(plain, "__defaults__", (6,))),
    "defaults by name": (plain, lambda m: m.setattr(plain, "__kwdefaults__", {"z": 8})),
    "one default by name": (plain, lambda m: m.setitem(plain.__kwdefaults__, "z", 8)),
    "the name": (plain, lambda m: m.setattr(plain, "__name__", "other")),
    "the docstring": (plain, lambda m: m.setattr(plain, "__doc__", "Other.")),
    "an annotation": (plain, lambda m: m.setitem(plain.__annotations__, "x", float)),
    "a module that is loaded": (
        plain,
        lambda m: m.setitem(sys.modules, "xml.of_later", types.ModuleType("xml.of_later")),
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_seen(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function, change = CHANGES[what]
    found = reach(function)
    assert found is not None
    with monkeypatch.context() as patch:
        change(patch)
        assert not found.is_unchanged()
    assert found.is_unchanged()


def test_a_closure_that_changed_is_seen() -> None:
    value = 1

    def inner() -> int:
        return value

    found = reach(inner)
    assert found is not None
    assert found.is_unchanged()
    value = 2
    assert not found.is_unchanged()
