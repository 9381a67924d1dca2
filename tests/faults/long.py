"""``python -m tests.faults.long``: the faults of this folder, longer and more often.

It prints one line for each test, with its seed and the line that replays it. It ends with 1 if a
promise was broken. Each test makes what it needs in a folder of its own, and gives back what was
not as promised.
"""

from __future__ import annotations

import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from tests.faults import long_process

#: A test: it gets a folder and a seed, and says what was broken.
Test = Callable[[Path, int], list[str]]

#: The tests, by part: one line for each module that has some.
PARTS: dict[str, tuple[Test, ...]] = {
    "process": long_process.LONG,
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
    broken = 0
    for test in chosen:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            try:
                told = test(Path(folder) / "home", seed)
            except AssertionError as error:
                told = [f"{error}" or repr(error)]
        broken += bool(told)
        print(
            f"{test.__name__:28} {time.monotonic() - begun:6.1f} s, "
            f"{'; '.join(told[:5]) or 'no promise broken'}"
            f"   (python -m tests.faults.long --only {test.__name__} --seed {seed})",
            flush=True,
        )
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
