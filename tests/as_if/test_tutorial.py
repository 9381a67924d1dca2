"""What the Python tutorial and the data model show, with some cells on a node."""

from __future__ import annotations

import pytest

from tests.as_if.oracle import Case, Oracle, parameters


@pytest.mark.parametrize("case", parameters("tutorial"))
def test_a_case_is_the_same_on_a_node(case: Case, oracle: Oracle) -> None:
    oracle.check(case)
