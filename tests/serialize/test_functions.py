"""A function does on the other side what it does here; `program.py` holds the checks."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from easyremote.serialize.values import dump, load

from .conftest import OTHER_PYTHONS, PROGRAM

CHECKS = re.findall(r"^def (check_\w+)", PROGRAM.read_text(), re.MULTILINE)
TARGETS = ["bytecode", "source", *OTHER_PYTHONS, *(f"from {each}" for each in OTHER_PYTHONS)]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("check", CHECKS)
def test_a_function_works_on_the_other_side(
    check: str, target: str, outcomes: Callable[[str], dict[str, str]]
) -> None:
    assert outcomes(target)[check] == "ok"


class Stub:
    """Stands for what our own decorator makes of a function."""

    __module__ = "easyremote.client.remote"

    def __init__(self, function: Callable[..., Any]) -> None:
        self.__wrapped__ = function

    def __reduce__(self) -> Any:
        raise AssertionError("the stub was shipped")


@Stub
def countdown(n: int) -> list[int]:
    return [n, *countdown(n - 1)] if n else []  # type: ignore[operator]  # the fake isn't callable


@pytest.mark.parametrize("python", [sys.version_info[:2], None])
def test_a_function_under_our_decorator_calls_its_own_body(python: Any) -> None:
    there = load(b"".join(dump(countdown.__wrapped__, python=python).parts))
    assert there(3) == [3, 2, 1]


def test_an_installed_function_travels_by_reference() -> None:
    dumped = dump(re.match)
    assert dumped.size < 50 and load(dumped.parts[0]) is re.match
