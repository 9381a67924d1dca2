"""``python -m tests.benchmarks.crowd``: 3,000 calls at a time on 50 nodes; a pool beside threads.

Everything runs on loopback: the gateway in one process, 50 nodes in five, and three clients with
1,000 calls each, which is as many as a gateway takes of one client at a time. A registered function
that runs in a process of its own (``scaling``) must cost at most 1 ms more than one in a thread.
"""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections import Counter
from contextlib import ExitStack

from easyremote import Client
from tests.benchmarks.ours import gateway
from tests.benchmarks.serving import line, python, wait_for

NODES = 50
PROCESSES = 5
CLIENTS = 3
CALLS = 1000
#: Each node runs so many calls at a time: 3,000 calls, and half of them wait.
SLOTS = 30
WARM = 2000

NODE = f"""
import sys, time
from easyremote import ComputeNode
nodes = []
for number in range({NODES // PROCESSES}):
    node = ComputeNode(node_id=f"n{{sys.argv[1]}}-{{number}}", max_workers={SLOTS})
    @node.register
    def wait(seconds):
        time.sleep(seconds)
        return seconds
    nodes.append(node.start())
print("online")
sys.stdin.read()
"""

POOL = """
from easyremote import ComputeNode, Scaling
node = ComputeNode(node_id="pool", allow_code=True)
@node.register
def in_a_thread(value): return value
@node.register(scaling=Scaling(1, 1))
def in_a_process(value): return value
node.serve()
"""


def crowd() -> dict[str, float]:
    """3,000 calls of 0.5 s are submitted at once; how they end."""
    with ExitStack() as stack:
        stack.enter_context(gateway())
        started = [
            stack.enter_context(python("-c", NODE, str(number))) for number in range(PROCESSES)
        ]
        for process in started:
            line(process)
        clients = [stack.enter_context(Client()) for _ in range(CLIENTS)]
        wait_for(lambda: len(clients[0].list_nodes()) == NODES, "all nodes")
        began = time.perf_counter()
        jobs = [client.submit("wait", 0.5) for _ in range(CALLS) for client in clients]
        submitted = time.perf_counter() - began
        ends = Counter(type(job.exception()).__name__ for job in jobs)
        took = time.perf_counter() - began
        errors = sum(count for name, count in ends.items() if name != "NoneType")
        return {"submitted_s": submitted, "took_s": took, "errors": float(errors)}


def warm_ms() -> dict[str, float]:
    """A call of a function in a thread, and of the same one in a process, one at a time."""
    with gateway(), python("-c", POOL), Client() as client:
        wait_for(lambda: len(client.list_functions()) >= 2, "the node")
        taken: dict[str, list[float]] = {"in_a_thread": [], "in_a_process": []}
        for number in range(100 + WARM):
            for name, times in taken.items():  # by turns: both meet the same other work
                began = time.perf_counter()
                client.execute(name, number)
                times.append(time.perf_counter() - began)
        return {name: statistics.median(times[100:]) * 1e3 for name, times in taken.items()}


def main() -> None:
    print(f"{platform.python_implementation()} {platform.python_version()}, {sys.platform}\n")
    print("| | measured | budget |\n|---|---|---|")
    found = crowd()
    took, most = found["took_s"], CLIENTS * CALLS * 0.5 / (NODES * SLOTS)
    what = f"errors of {CLIENTS * CALLS:,} calls at a time on {NODES} nodes"
    print(f"| {what} | {found['errors']:g} | 0 |")
    print(f"| until all are over (their run-seconds alone: {most:.1f} s) | {took:.2f} s | |")
    print(f"| until all are submitted | {found['submitted_s']:.2f} s | |")
    warm = warm_ms()
    thread, process = warm["in_a_thread"], warm["in_a_process"]
    print(f"| a warm call in a thread | {thread:.2f} ms | |")
    print(f"| a warm call in a process, above that | {process - thread:.2f} ms | 1 ms |")


if __name__ == "__main__":
    main()
