"""One gateway, one node and one oracle for the cases of a file."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.as_if.oracle import Oracle, start_oracle
from tests.processes import Gateway


@pytest.fixture(scope="module")
def oracle(
    gateway: Gateway, node: subprocess.Popen[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Oracle]:
    with start_oracle(tmp_path_factory.mktemp("oracle"), gateway.environment()) as started:
        yield started
