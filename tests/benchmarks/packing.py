"""``python -m tests.benchmarks.packing``: what values cost to pack, beside cloudpickle, in one run.

The two take turns, and the medians are printed as a Markdown table with the budgets. cloudpickle
comes with ``pip install -e '.[bench]'``.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import cloudpickle

from easyremote.serialize.blobs import pack
from easyremote.serialize.values import dump

ROUNDS = 9


@dataclass
class Row:
    """A class of the user's, with fields."""

    number: int
    text: str


class Own:
    """A class of the user's."""

    def __init__(self, after: object = None) -> None:
        self.after = after


#: What is packed, and how many times cloudpickle's time that may take.
VALUES: list[tuple[str, object, float]] = [
    ("100,000 instances of a dataclass", [Row(each, "x") for each in range(100_000)], 1.3),
    ("a million ints beside an own instance", [list(range(1_000_000)), Own()], 1.3),
    (
        "a dict of 200,000 beside a lambda",
        ({each: str(each) for each in range(200_000)}, lambda: 1),
        1.3,
    ),
]


def seconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def depth(packs: Callable[[object], object]) -> int:
    """How many instances in a row, each in the one before, can be packed."""
    chain, count = Own(), 1
    while True:
        try:
            packs(chain)
        except Exception:  # RecursionError, or an error of ours that is made of it
            return count - 1
        chain, count = Own(chain), count + 1


def main() -> None:
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, medians of {ROUNDS}\n")
    print("| | EasyRemote | with its digest | cloudpickle | ratio | budget |")
    print("|---|---|---|---|---|---|")
    for title, value, budget in VALUES:
        ways: list[Callable[[object], object]] = [
            dump,
            lambda value: pack({"value": value}).digest,
            lambda value: cloudpickle.dumps(value, 5),
        ]
        taken: list[list[float]] = [[], [], []]
        for _ in range(ROUNDS):
            for way, times in zip(ways, taken, strict=True):
                times.append(seconds(lambda way=way, value=value: way(value)))  # type: ignore[misc]
        ours, digest, theirs = map(statistics.median, taken)
        cells = [f"{each * 1e3:.0f} ms" for each in (ours, digest, theirs)]
        print(f"| {title} | {' | '.join(cells)} | {ours / theirs:.2f} | {budget} |")
    ours_deep, theirs_deep = depth(dump), depth(lambda value: cloudpickle.dumps(value, 5))
    print(f"| depth, own instances | {ours_deep} | | {theirs_deep} | | as cloudpickle |")


if __name__ == "__main__":
    main()
