"""Sources: `inspect` finds on a node what it finds here."""

from __future__ import annotations

import pytest

from tests.as_if.oracle import Case, Oracle, parameters


@pytest.mark.parametrize("case", parameters("sources"))
def test_a_case_is_the_same_on_a_node(case: Case, oracle: Oracle) -> None:
    oracle.check(case)
