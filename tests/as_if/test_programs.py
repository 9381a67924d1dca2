"""Notebooks that a generator wrote are the same with some of their cells on a node.

``python -m tests.as_if.programs`` runs others, for as long as one wants.
"""

from __future__ import annotations

import random

import pytest

from tests.as_if.oracle import Oracle
from tests.as_if.programs import program

#: Those that a run in CI tries; a number that was wrong once stays here.
NUMBERS = range(20)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_generated_notebook_is_the_same_on_a_node(number: int, oracle: Oracle) -> None:
    oracle.check(program(random.Random(f"1/{number}")))
