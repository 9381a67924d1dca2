"""The comparison of two namespaces: it sees every kind of difference, and nothing where none is."""

from __future__ import annotations

import collections
import enum
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.as_if.described import cleaned, compared, described


class Box:
    def __init__(self, content: object = None) -> None:
        self.content = content


class Slotted:
    __slots__ = ("x",)

    def __init__(self, x: int) -> None:
        self.x = x


class Colour(enum.Enum):
    RED = 1


def shared() -> dict[str, Any]:
    first = [1]
    return {"a": first, "b": {"a": first}}


def not_shared() -> dict[str, Any]:
    return {"a": [1], "b": {"a": [1]}}


def ring(length: int) -> Box:
    first = box = Box()
    for _ in range(length):
        box.content = Box()
        box = box.content
    box.content = first
    return first


def view(is_one: bool) -> dict[str, Any]:
    memory = np.zeros(4)
    return {"all": memory, "half": memory[:2] if is_one else memory[:2].copy()}


def adding(number: int) -> Callable[[int], int]:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(f"def add(x): return x + {number}", namespace)
    function: Callable[[int], int] = namespace["add"]
    return function


def chained(cause: BaseException | None) -> ValueError:
    error = ValueError("bad", 2)
    error.__cause__ = cause
    return error


SAME: list[Callable[[], dict[str, Any]]] = [
    shared,
    not_shared,
    lambda: {"r": ring(3), "c": Colour.RED, "d": collections.Counter("aab"), "m": collections},
    lambda: {"long": ring(3000)},
    lambda: view(True),
    lambda: view(False),
    lambda: {"e": chained(KeyError("k")), "o": OSError(2, "no", "file")},
    lambda: {"f": adding(1), "s": {3, 1}, "z": Slotted(2)},
]

DIFFERENT: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"x": 1}, {"x": 2}, "x: int 1 on the node, int 2 here"),
    ({"x": 1}, {"x": 1.0}, "x: int 1 on the node, float 1.0 here"),
    ({"x": 1}, {}, "x: int 1 on the node, (missing) here"),
    (shared(), not_shared(), "b['a']#0: it is shared with others in another way than here"),
    (view(True), view(False), "half memory: it is shared with others in another way than here"),
    ({"b": Box(1)}, {"b": Box([])}, "b.content: int 1"),
    ({"b": Slotted(1)}, {"b": Slotted(3)}, "['x']#0: int 1"),
    ({"l": [1, 2]}, {"l": [1]}, "l length: int 2"),
    ({"d": {1: 2, 3: 4}}, {"d": {3: 4, 1: 2}}, "d key 0: int 1"),
    ({"e": chained(None)}, {"e": chained(KeyError("k"))}, "e cause: NoneType None"),
    ({"e": KeyError("k")}, {"e": LookupError("k")}, "e class: str 'KeyError'"),
    ({"e": OSError(2, "no", "a")}, {"e": OSError(2, "no", "b")}, "e text:"),
    ({"f": adding(1)}, {"f": adding(2)}, "f constants:"),
    ({"c": int}, {"c": type("int", (), {"__module__": "builtins"})}, "(a copy) here"),
]


@pytest.mark.parametrize("make", SAME)
def test_equal_namespaces_do_not_differ(make: Callable[[], dict[str, Any]]) -> None:
    assert compared(described(make()), described(make())) == []


@pytest.mark.parametrize(("there", "here", "told"), DIFFERENT)
def test_a_difference_is_found_and_named(
    there: dict[str, Any], here: dict[str, Any], told: str
) -> None:
    found = compared(described(there), described(here))
    assert any(told in each for each in found), found


def test_text_loses_what_two_processes_can_not_have_in_common() -> None:
    text = "<X object at 0x7f0012345678> in <ipython-input-3-0a1b2c> took 12.5 ms \x1b[31mred\udce9"
    assert cleaned(text) == "<X object at 0xADDRESS> in CELL took TIME red\ufffd"


def test_what_a_bar_writes_over_a_longer_text_is_no_difference() -> None:
    assert cleaned("2/2 [00:00<00:00, 99.1it/s] \n") == "2/2 [TIME]\n"


def test_how_long_a_library_says_that_it_took_is_no_difference() -> None:
    assert cleaned("Done 2 out of 2 | elapsed:    0.1s finished") == (
        "Done 2 out of 2 | elapsed:TIME finished"
    )
