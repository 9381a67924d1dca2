from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.cli.command import easyremote
from tests.processes import Gateway

ROWS = (
    "gateway and back",
    "function that does nothing",
    "cell that does nothing",
    "calls at once",
    "2 MB there and back",
)


def test_it_measures_every_row_through_the_users_own_gateway(
    gateway: Gateway, node: subprocess.Popen[str]
) -> None:
    done = easyremote(gateway.home, "bench", "--calls", "20", "--megabytes", "2")
    assert done.code == 0, done.err
    assert done.out.startswith(f"gpu-node through {gateway.address}")
    for title in ROWS:
        found = re.search(rf"^{title} +([\d.,]+) (ms|a second|MB/s)", done.out, re.MULTILINE)
        assert found, done.out
        assert float(found[1].replace(",", "")) > 0


def test_an_unknown_node_is_one_line(gateway: Gateway, node: subprocess.Popen[str]) -> None:
    done = easyremote(gateway.home, "bench", "gpu-nod", "--calls", "10")
    assert done.code == 1
    assert "'gpu-node'" in done.err, "the name that was meant"


def test_without_a_gateway_it_says_how_to_get_one(tmp_path: Path) -> None:
    done = easyremote(tmp_path, "bench")
    assert done.code == 1
    assert "easyremote login" in done.err or "easyremote up" in done.err
