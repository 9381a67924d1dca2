"""What a remote cell leaves behind exists here: imports, values, random numbers, files."""

from __future__ import annotations

import pytest

from tests.as_if.oracle import Case, Oracle, parameters


@pytest.mark.parametrize("case", parameters("here"))
def test_a_case_is_the_same_on_a_node(case: Case, oracle: Oracle) -> None:
    oracle.check(case)
