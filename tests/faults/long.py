"""``python -m tests.faults.long``: the faults of this folder, longer and more often.

It prints one line for each test, and the line that replays it. It ends with 1 if a promise was
broken.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click

from tests.faults import cells, detached, long_process
from tests.faults.history import History
from tests.faults.network import long as long_network
from tests.faults.scene import Scene, open_scene
from tests.journal import power

#: A test gets a gateway with two nodes, and gives back what came of its calls.
Test = Callable[[Scene], History]

#: The tests, by part. A module that has some lists them in its ``LONG``.
PARTS: Mapping[str, Sequence[Test]] = {
    "process": long_process.LONG,
    "network": long_network.LONG,
    "cells": cells.LONG,
    "detached": detached.LONG,
    "journal": power.LONG,
}


@click.command()
@click.option("--seed", type=int, default=0, help="Of a run that is to be replayed.")
@click.option("--only", default="", help="A part, or the name of one test.")
def main(seed: int, only: str) -> None:
    seed = seed or secrets.randbits(32)
    chosen = [
        test for part, tests in PARTS.items() for test in tests if only in ("", part, test.__name__)
    ]
    if not chosen:
        raise click.UsageError(f"There is no part and no test {only!r}.")
    broken = sum(bool(play(test, seed)) for test in chosen)
    sys.exit(bool(broken))


def play(test: Test, seed: int) -> list[str]:
    """Run one test; what it broke."""
    begun, lost = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as home, open_scene(Path(home) / "home", seed) as scene:
        scene.start_nodes("one", "two")
        try:
            history = test(scene)
            told, lost = history.broken(), len(history.errors)
        except AssertionError as error:
            told = [str(error) or repr(error)]
    print(
        f"{test.__name__:28} {time.monotonic() - begun:6.1f} s, {lost:3} lost, "
        f"{'; '.join(told[:5]) or 'no promise broken'}\n"
        f"    python -m tests.faults.long --only {test.__name__} --seed {seed}",
        flush=True,
    )
    return told


if __name__ == "__main__":
    main()
