"""``python -m tests.faults.network.stepped_clock FILE MODULE ...``: a wall clock that is set off.

It runs a module as ``python -m`` does, with a `time.time` that is as far off as the number in the
file says at that moment. The monotonic clock is the system's own. (What asks the system past
Python's `time.time`, as `datetime.now` does, sees the real time.)
"""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path


def step(offset: Path) -> None:
    """Have `time.time` be off by what the file says, in this process."""
    real = time.time

    def stepped() -> float:
        return real() + float(offset.read_text())

    time.time = stepped


if __name__ == "__main__":
    _, file, module, *arguments = sys.argv
    step(Path(file))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
