"""The first hundred cases: what was found wrong in notebooks, each with its kind."""

from __future__ import annotations

import pytest

from tests.as_if.oracle import Case, Oracle, parameters


@pytest.mark.parametrize("case", parameters("first"))
def test_a_case_is_the_same_on_a_node(case: Case, oracle: Oracle) -> None:
    oracle.check(case)
