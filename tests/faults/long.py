"""``python -m tests.faults.long``: the faults of this folder, longer and more often.

One test runs in this process. Several run in a process each, with a gateway and nodes of their own,
so most of them run at once. A table at the end has the figures of each, and the line that replays
it. It ends with 1 if a promise was broken; then the folder of that test's gateway and nodes stays.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from tests.faults import cells, detached, long_process
from tests.faults.history import Tally
from tests.faults.network import long as long_network
from tests.faults.scene import Test, open_scene
from tests.journal import power

#: The tests, by part. A module that has some lists them in its ``LONG``. The longest come first, so
#: that none of them is left alone at the end.
PARTS: Mapping[str, Sequence[Test]] = {
    "network": long_network.LONG,
    "detached": detached.LONG,
    "cells": cells.LONG,
    "sweep": long_process.SWEEP,
    "process": long_process.LONG,
    "journal": power.LONG,
}
#: Those whose figures others would spoil that run beside them: it compares milliseconds.
ALONE = (long_network.slow_reader,)
#: Seconds after which a test hangs.
HANGS = 3600
ROW = "{:24} {:>7} {:>7} {:>5} {:>6}  {}"
HEAD = ROW.format("test", "seconds", "calls", "lost", "broken", "replay")


@click.command()
@click.option("--seed", type=int, default=0, help="Of a run that is to be replayed.")
@click.option("--only", default="", help="A part, or the name of one test.")
@click.option(
    "--at-once",
    type=click.IntRange(1),
    default=os.cpu_count,
    show_default="the cores",
    help="How many tests run at once. Most of them wait most of the time.",
)
def main(seed: int, only: str, at_once: int) -> None:
    seed = seed or secrets.randbits(32)
    chosen = [
        test for part, tests in PARTS.items() for test in tests if only in ("", part, test.__name__)
    ]
    if not chosen:
        raise click.UsageError(f"There is no part and no test {only!r}.")
    if len(chosen) > 1:
        sys.exit(play_all(chosen, seed, at_once))
    signal.signal(signal.SIGALRM, _hang)
    signal.alarm(HANGS)
    sys.exit(play(chosen[0], seed))


def play(test: Test, seed: int) -> bool:
    """Run one test; whether it broke a promise. Its row of the table is the last line."""
    begun = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix=f"{test.__name__}-"))
    try:
        with open_scene(home / "home", seed) as scene:
            scene.start_nodes("one", "two")
            tally = test(scene)
    except Exception as error:  # whatever it is, the other tests have rows, too
        traceback.print_exc(file=sys.stdout)
        tally = Tally(broken=[f"{type(error).__name__}: {error}"])
    if tally.broken:
        print(*tally.broken, f"what was left is in {home}", sep="\n")
    else:
        shutil.rmtree(home)
    print(row(test.__name__, seed, time.monotonic() - begun, tally), flush=True)
    return bool(tally.broken)


def play_all(tests: Sequence[Test], seed: int, at_once: int) -> bool:
    """Run tests in processes of their own; whether one of them broke a promise."""
    print(f"{len(tests)} tests, {at_once} at once, seed {seed}", flush=True)
    rows: list[str] = []

    def play_apart(test: Test) -> bool:
        output, is_broken = run_apart(test.__name__, seed)
        print(*output, "", sep="\n", flush=True)
        rows.append(output[-1])
        return is_broken

    broken: list[bool] = []
    for count, is_alone in ((1, True), (at_once, False)):
        with ThreadPoolExecutor(count) as pool:
            broken += pool.map(play_apart, [each for each in tests if (each in ALONE) == is_alone])
    print(HEAD, *rows, f"{sum(broken)} of {len(rows)} tests broke a promise", sep="\n")
    return any(broken)


def run_apart(name: str, seed: int) -> tuple[list[str], bool]:
    """Run one test in a process of its own; what it said, its row last, and whether it broke."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "tests.faults.long", "--only", name, "--seed", str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    output = done.stdout.splitlines()
    if not output or not output[-1].startswith(name):
        gone = Tally(broken=[f"its process ended with {done.returncode}"])
        output += [*gone.broken, row(name, seed, time.monotonic() - begun, gone)]
    return output, done.returncode != 0


def row(name: str, seed: int, seconds: float, tally: Tally) -> str:
    figures = f"{seconds:.1f}", tally.calls, tally.lost, len(tally.broken)
    return ROW.format(name, *figures, f"python -m tests.faults.long --only {name} --seed {seed}")


def _hang(signum: int, frame: object) -> None:
    raise TimeoutError(f"not over after {HANGS} s")


if __name__ == "__main__":
    main()
