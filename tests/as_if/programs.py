"""Writes small notebooks over shared mutable objects, and moves some of their cells to a node.

``python -m tests.as_if.programs [MINUTES] [SEED]`` runs such notebooks for long, against a gateway
and node of its own; it prints the seed, and every notebook that is not the same on the node.
"""

from __future__ import annotations

import random
import secrets
import sys
import tempfile
import time
from pathlib import Path

from tests.as_if.oracle import MARK, Case, Oracle, difference, start_oracle
from tests.processes import end, start_gateway

__all__ = ["program"]

START = """\
class Box:
    made = 0
    def __init__(self, content): self.content = content; Box.made += 1
    def put(self, x): self.content = x; return self
def grow(items, by=[0]):
    by[0] += 1
    items.append(by[0])
    return items
def count():
    global total
    total += 1
    return total
import numpy as np
total = 0
a, b = [1], [2, 3]
d = {'a': a, 'n': 1}
s = {1, 2}
box = Box(a)
arr = np.arange(4.0)
half = arr[:2]
it = iter(range(100))"""

#: A line each; {x} and {y} are names of lists, {n} is a number.
LINES = [
    "{x}.append({n})",
    "{x} = {y}",
    "{x} = {y} + [{n}]",
    "{x} += [{n}]",
    "{x} = list({y})",
    "{x}.clear()",
    "d['{x}'] = {y}",
    "d['n'] += {n}",
    "{x} = d.get('{y}', [])",
    "d.pop('{x}', None)",
    "s.add({n})",
    "s = s | {{{n}}}",
    "box.put({x})",
    "box = Box({x})",
    "box.content = {y}",
    "other = box",
    "box.extra = {n}",
    "Box.made += {n}",
    "grow({x})",
    "count()",
    "total = {n}",
    "arr[{k}] = {n}",
    "half[0] += {n}",
    "half = arr[:{k} + 1]",
    "arr = arr + {n}",
    "{x}.append(next(it))",
    "grow.calls = {n}",
    "pair = ({x}, {y})",
    "deep = {{'x': [{x}, {y}]}}",
    "for i in range({k}): {x}.append(i)",
    "if len({x}) > 2: {x}.pop()",
    "try: {x}.remove({n})\nexcept ValueError as error: b.append(str(error))",
    "def grow(items, by=[{n}]):\n    items.insert(0, by[0])\n    return items",
    "raise KeyError({n}, '{x}')",
    "del {x}; {x} = [{n}]",
    "made = [Box(v).content for v in {x}]",
]

TELL = (
    "print(a, b, d, sorted(s), box.content, Box.made, total, arr, half, "
    "a is b, box.content is a, d.get('a') is a)"
)


def program(choose: random.Random) -> Case:
    """A notebook; the same for the same random numbers."""
    cells = []
    for _ in range(choose.randint(2, 6)):
        lines = [_line(choose) for _ in range(choose.randint(1, 3))]
        if choose.random() < 0.7:
            lines.insert(0 if any("raise" in line for line in lines) else len(lines), TELL)
        mark = f"{MARK}\n" if choose.random() < 0.5 else ""
        cells.append(mark + "\n".join(lines))
    return Case("program", (START, *cells, TELL))


def _line(choose: random.Random) -> str:
    x, y = choose.choice("ab"), choose.choice("ab")
    return choose.choice(LINES).format(x=x, y=y, n=choose.randint(1, 9), k=choose.randint(0, 3))


def main(minutes: float, seed: int) -> int:
    """Run notebooks for so long; how many were not the same."""
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory() as folder:
        gateway = start_gateway(Path(folder))
        node = gateway.start_node("gpu-node")
        try:
            with start_oracle(Path(folder), gateway.environment()) as oracle:
                return _run(oracle, seed, time.monotonic() + 60 * minutes)
        finally:
            end(node)
            end(gateway.process)


def _run(oracle: Oracle, seed: int, until: float) -> int:
    number = wrong = 0
    while time.monotonic() < until:
        case = program(random.Random(f"{seed}/{number}"))
        if found := difference(*oracle.run(case)):
            wrong += 1
            print(f"--- {seed}/{number}", *case.cells[1:], *found, sep="\n---\n", flush=True)
        number += 1
    print(f"{number} notebooks, {wrong} not the same")
    return wrong


if __name__ == "__main__":
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    sys.exit(bool(main(minutes, int(sys.argv[2]) if len(sys.argv) > 2 else secrets.randbits(32))))
