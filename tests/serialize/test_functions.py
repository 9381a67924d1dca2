"""A function does on the other side what it does here; `program.py` holds the checks."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from .conftest import OTHER_PYTHONS, PROGRAM

CHECKS = re.findall(r"^def (check_\w+)", PROGRAM.read_text(), re.MULTILINE)
TARGETS = ["bytecode", "source", *OTHER_PYTHONS, *(f"from {each}" for each in OTHER_PYTHONS)]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("check", CHECKS)
def test_a_function_works_on_the_other_side(
    check: str, target: str, outcomes: Callable[[str], dict[str, str]]
) -> None:
    assert outcomes(target)[check] == "ok"
