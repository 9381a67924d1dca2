"""After each test, what always holds of a call table holds of every one that the test made."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.gateway.desk import Desk


@pytest.fixture(autouse=True)
def invariants() -> Iterator[None]:
    Desk.made.clear()
    yield
    for desk in Desk.made:
        desk.calls.table.check_invariants()
