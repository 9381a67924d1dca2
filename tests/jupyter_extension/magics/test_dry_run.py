"""``--dry-run``: what would travel, said and not done."""

from __future__ import annotations

import pytest

from tests.jupyter_extension.conftest import Kernel


def test_a_dry_run_says_where_and_what_and_sends_nothing(kernel: Kernel) -> None:
    kernel.run("import math\nsmall, large = 1, bytes(3_000_000)\nfile = open('/dev/null')")
    kernel.run("%%remote gpu-node\nsmall")
    shown = kernel.run(
        "%%remote gpu-node --dry-run\nprint('ran')\nroot = math.sqrt(small)\nlen(large)\nfile"
    )
    lines = shown.text().splitlines()
    assert lines[0].startswith("Would run on gpu-node, session ")
    assert lines[0].endswith(". Nothing was sent.")
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[1:-2]}
    assert rows["large"] == "bytes 3.0 MB would be sent"
    assert rows["math"] == "module would be imported there (math)"
    assert rows["small"].endswith("is there already")
    assert rows["file"].startswith("TextIOWrapper can't be sent: ")
    assert lines[-2] == "To send: 3.0 MB."
    assert lines[-1] == "Comes back: root."
    assert kernel.run("'root' in globals()").value == "False"
    shown = kernel.run("%%remote gpu-node --no-auto-in\nlarge", fails=True)
    assert shown.reply["ename"] == "NameError"


@pytest.mark.parametrize(
    ("options", "back"),
    [
        ("-o mine=theirs,other", "theirs as mine, other"),
        ("-o '*'", "all that is new"),
        ("--fresh", "theirs"),
    ],
)
def test_a_dry_run_says_what_would_come_back(kernel: Kernel, options: str, back: str) -> None:
    text = kernel.run(f"%%remote gpu-node {options} --dry-run\ntheirs = 1").text()
    assert f"Nothing to send but the cell.\nComes back: {back}.\n" in text


def test_a_dry_run_knows_what_the_node_has_from_elsewhere(kernel: Kernel) -> None:
    kernel.run("import os\nframe = os.urandom(2_000_000)")
    kernel.run("%%remote gpu-node/first\nlen(frame)")
    text = kernel.run("%%remote gpu-node/second --dry-run\nlen(frame)").text()
    assert "2.0 MB" in text and "would be sent, the rest is there" in text
    assert "To send: 2.0 MB" not in text


def test_a_dry_run_takes_a_reference_for_what_it_is(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node\nstays = bytes(30_000_000)")
    rows = kernel.run("%%remote gpu-node --dry-run\nlen(stays)").text().splitlines()
    assert "can't be sent" not in rows[1]
    assert "MB" not in rows[-2]


def test_a_dry_run_of_a_line_gives_nothing(kernel: Kernel) -> None:
    assert "Would run on gpu-node" in kernel.run("%remote gpu-node --dry-run 1 + 1").text()
