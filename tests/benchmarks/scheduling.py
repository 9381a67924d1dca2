"""``python -m tests.benchmarks.scheduling``: what the scheduler costs, and how fair it is.

The scheduler runs alone, in simulated time, without sockets. The medians of the rounds are printed
as a Markdown table with the budgets. What a decision costs must hardly depend on how many nodes
there are, and on how many calls wait.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
import tracemalloc
from collections.abc import Callable
from itertools import cycle, islice

from easyremote.gateway.callers import Access
from easyremote.gateway.records import GatewayCall
from easyremote.protocol.messages import Cancel
from tests.gateway.desk import Desk
from tests.gateway.scheduling.farm import Farm, Machine, jain, keep_busy, makespan

ROUNDS = 5
DECISIONS = 2000
NODES = (10, 1000, 10_000)
QUEUED = (10, 1000, 100_000)
KEYS = (1, 50, 500)
LENGTHS = (0.5, 1.0, 4.0, 10.0)


def a_call(farm: Farm, number: int, key: str, node: str = "") -> GatewayCall:
    target = node, "f", Access.LINK
    call_id = number.to_bytes(16, "big")
    return GatewayCall(number, call_id, key, target, created=farm.now, turn=number)


def place_us(nodes: int) -> float:
    """A node is found for a call, on so many nodes of which nine in ten are full."""
    farm = Farm()
    for number in range(nodes):
        node = farm.node(f"n{number}", "f", slots=4)
        node.runs["f"] = 1.0
        busy = 4 if number % 10 else number % 4
        for _ in range(busy):
            farm.call(node=node.node_id)
    calls = [a_call(farm, 10**9 + number, "ann") for number in range(DECISIONS)]
    for call in calls[:500]:
        farm.scheduler.place(call, 0.0)
    began = time.perf_counter()
    for call in calls:
        farm.scheduler.place(call, 0.0)
    return (time.perf_counter() - began) / DECISIONS * 1e6


def next_us(queued: int, keys: int, node: str = "n") -> float:
    """A call is over and the next one begins, with so many calls in the queue at any time."""
    farm = Farm()
    farm.node("n", "f", slots=4)
    names = [f"key-{number}" for number in range(min(keys, queued))]
    for key in islice(cycle(names), queued + 4):
        farm.call("f", node, key=key)
    running = list(farm.placed)
    taken = 0.0
    for number in range(DECISIONS):
        over = running.pop(0)
        began = time.perf_counter()
        farm.finish(over)
        taken += time.perf_counter() - began
        running.append(farm.placed[-1])
        farm.call("f", node, key=names[number % len(names)])
    return taken / DECISIONS * 1e6


def cancel_us(queued: int = 100_000) -> float:
    """One of so many queued calls is cancelled, when all of them are."""
    farm = Farm()
    farm.node("n", "f", slots=1)
    calls = [farm.call(key=f"key-{number % 50}") for number in range(queued)]
    began = time.perf_counter()
    for call in calls:
        farm.scheduler.remove(call)
    return (time.perf_counter() - began) / queued * 1e6


def table_cancel_us(queued: int = 100_000) -> float:
    """The same at the gateway, with the call's record, its timers and its outcome."""
    desk = Desk()
    desk.node("n", "f", slots=1)
    clients = [desk.client(f"key-{number}") for number in range(queued // 1000)]
    for client in clients:
        for _ in range(1000):
            client.submit()
    began = time.perf_counter()
    for client in clients:
        for number in list(client.client.calls):
            client.say(Cancel(number))
    return (time.perf_counter() - began) / queued * 1e6


def bytes_a_call(queued: int = 20_000) -> float:
    """Memory of one queued call, its record included; its SUBMIT is not."""
    farm = Farm()
    farm.node("n", "f", slots=1)
    calls = [a_call(farm, number, f"key-{number % 50}") for number in range(10)]
    tracemalloc.start()
    for number in range(10, queued):
        call = a_call(farm, number, f"key-{number % 50}")
        calls.append(call)
        farm.scheduler.enqueue(call)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / queued


def fairness(keys: int) -> float:
    """Jain's index over keys with calls of all lengths, of which the first floods."""
    farm = Farm()
    for number in range(4):
        machine = Machine(speed=1.0 + number)
        farm.node(f"n{number}", *(f"f{each}" for each in LENGTHS), slots=2, machine=machine)
    for number in range(keys):
        length = LENGTHS[number % len(LENGTHS)]
        outstanding = 500 if number == 0 else max(8, int(20 / length))
        keep_busy(farm, f"key-{number}", f"f{length}", length, outstanding)
    farm.run(until=30.0 * keys)
    return jain([farm.used[f"key-{number}"] for number in range(keys)])


def longest_wait() -> float:
    """How long a short call waits at the longest behind a flood, in running calls of the flood."""
    farm = Farm()
    farm.node("n", "f", slots=1)
    for _ in range(1000):
        farm.call(key="flood", seconds=1.0)
    for moment in range(1, 200):
        farm.at(4.3 * moment, lambda: farm.call(key="ann", seconds=0.1))
    farm.run()
    return max(farm.waits["ann"])


def alone() -> dict[str, float]:
    """What the table of all sides shows."""
    return {"place_us": place_us(NODES[-1]), "next_us": next_us(QUEUED[-1], 1)}


#: Title, what is measured, unit, budget.
ROWS: list[tuple[str, Callable[[], float], str, str]] = [
    *(
        (f"a node is found, of {nodes:,}", lambda nodes=nodes: place_us(nodes), "us", "")
        for nodes in NODES
    ),
    *(
        (
            *(f"the next call begins, {queued:,} in the queue, {keys} keys",),
            lambda queued=queued, keys=keys: next_us(queued, keys),
            *("us", ""),
        )
        for queued in QUEUED
        for keys in KEYS
        if keys <= queued
    ),
    ("one of 100,000 queued calls is cancelled", cancel_us, "us", ""),
    ("one of 100,000 queued calls is cancelled, at the gateway", table_cancel_us, "us", ""),
    ("memory of a queued call", bytes_a_call, "bytes", ""),
    ("Jain's index, 5 keys on 4 uneven nodes", lambda: fairness(5), "", "0.98"),
    ("Jain's index, 50 keys on 4 uneven nodes", lambda: fairness(50), "", "0.98"),
    ("longest wait behind a flood, in calls of the flood", longest_wait, "", "1"),
    ("makespan on 4 uneven nodes, to the optimum", lambda: makespan(7), "", "1.15"),
]


def main() -> None:
    print(f"{platform.python_implementation()} {platform.python_version()}, ", end="")
    print(f"{os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}, medians of {ROUNDS} rounds\n")
    print("| | measured | to the first of its kind | budget |\n|---|---|---|---|")
    first: dict[str, float] = {}
    for title, measure, unit, budget in ROWS:
        times = ROUNDS if unit == "us" else 1  # the others are the same each time
        found = statistics.median(measure() for _ in range(times))
        kind = title.split(",")[0]
        ratio = f"{found / first[kind]:.2f} x" if kind in first else ""
        first.setdefault(kind, found)
        print(f"| {title} | {found:.4g} {unit} | {ratio} | {budget} |", flush=True)


if __name__ == "__main__":
    main()
