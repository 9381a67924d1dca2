"""``python -m tests.benchmarks``: EasyRemote beside the bare relay, in one run, with ratios.

Each side has a gateway and a node in processes of their own; the two are measured in turns, and the
medians of the rounds are printed as a Markdown table. What the peers (Ray, Dask, ipyparallel, RPyC)
do is not measured here yet.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import psutil

ROUNDS = 3
LIMIT = 60.0

NODE = """
from easyremote import ComputeNode
node = ComputeNode(node_id="bench", allow_code=True)
@node.register
def nothing(): pass
@node.register
def echo(value): return value
@node.register
def hundred_ms(value):
    import time
    end = time.perf_counter() + 0.1
    while time.perf_counter() < end: pass
node.serve()
"""


@contextmanager
def process(*command: str) -> Iterator[subprocess.Popen[str]]:
    started = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    try:
        yield started
    finally:
        started.terminate()
        started.wait(LIMIT)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure_relay() -> dict[str, float]:
    port = str(free_port())
    module = "tests.benchmarks.relay"
    with ExitStack() as stack:
        for role in ("gateway", "node"):
            started = stack.enter_context(process("-m", module, role, port))
            assert started.stdout is not None
            started.stdout.readline()
        command = [sys.executable, "-m", module, "client", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
        found: dict[str, float] = json.loads(done.stdout)
        return found


def median_seconds(function: Callable[[], Any], count: int) -> list[float]:
    times = []
    for _ in range(count):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return sorted(times)


def measure_ours() -> dict[str, float]:
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        os.environ["EASYREMOTE_HOME"] = home
        gateway = stack.enter_context(process("-u", "-m", "easyremote", "gateway", "--port", "0"))
        assert gateway.stdout is not None
        gateway.stdout.readline()
        node = stack.enter_context(process("-c", NODE))
        from easyremote.client.client import Client

        client = Client()
        stack.callback(client.close)
        deadline = time.monotonic() + LIMIT
        while not any(each.state == "online" for each in client.list_nodes()):
            assert time.monotonic() < deadline, "the node did not come online"
            time.sleep(0.05)
        return measure_calls(client) | measure_rest(client, gateway.pid, node.pid)


def measure_calls(client: Any) -> dict[str, float]:
    median_seconds(lambda: client.execute("nothing"), 500)
    times = median_seconds(lambda: client.execute("nothing"), 2000)

    async def waited() -> list[float]:
        found = []
        for _ in range(1000):
            began = time.perf_counter()
            await client.execute_async("nothing")
            found.append(time.perf_counter() - began)
        return sorted(found)

    awaited = asyncio.run(waited())
    count = 20_000
    began = time.perf_counter()
    for job in [client.call("nothing") for _ in range(count)]:
        job.result()
    found = {
        "p50_ms": times[1000] * 1e3,
        "p99_ms": times[1980] * 1e3,
        "async_p50_ms": awaited[500] * 1e3,
        "calls_s": count / (time.perf_counter() - began),
    }
    for megabytes in (1, 10, 100):
        array = np.random.default_rng(0).integers(0, 255, megabytes * 1_000_000, dtype=np.uint8)
        took = median_seconds(lambda array=array: client.execute("echo", array), 5)[2]
        found[f"echo_{megabytes}_mb_s"] = megabytes / took
    return found


def measure_rest(client: Any, gateway: int, node: int) -> dict[str, float]:
    from easyremote.client.session import Session

    session = Session(client, "bench")
    request = {"code": "pass", "count": 1, "variables": {}, "imports": {}, "outputs": "none"}
    session.submit_cell(request).result(LIMIT)
    cells = median_seconds(lambda: session.submit_cell(request).result(LIMIT), 300)
    megabyte = np.zeros(1_000_000, dtype=np.uint8)
    far = median_seconds(lambda: client.execute("hundred_ms", megabyte), 20)[10]
    idle = psutil.Process(node)
    before, began = sum(idle.cpu_times()[:2]), time.perf_counter()
    time.sleep(3)
    used = (sum(idle.cpu_times()[:2]) - before) / (time.perf_counter() - began)
    command = [sys.executable, "-c", "import easyremote"]
    bare = [sys.executable, "-c", "pass"]
    importing = median_seconds(lambda: subprocess.run(command, check=True), 5)[2]
    starting = median_seconds(lambda: subprocess.run(bare, check=True), 5)[2]
    return {
        "cell_ms": cells[150] * 1e3,
        "overhead_100ms_1mb": far / 0.1 - 1,
        "idle_cpu": used,
        "node_rss_mb": idle.memory_info().rss / 1e6,
        "gateway_rss_mb": psutil.Process(gateway).memory_info().rss / 1e6,
        "import_ms": (importing - starting) * 1e3,
    }


ROWS = [
    ("no-op call, p50", "p50_ms", "ms", "at most 0.5 ms and 3x"),
    ("no-op call, p99", "p99_ms", "ms", ""),
    ("no-op call awaited, p50", "async_p50_ms", "ms", ""),
    ("calls a second, one client", "calls_s", "/s", "25,000"),
    ("1 MB array up and back", "echo_1_mb_s", "MB/s", ""),
    ("10 MB array up and back", "echo_10_mb_s", "MB/s", ""),
    ("100 MB array up and back", "echo_100_mb_s", "MB/s", "85 % of the relay"),
    ("no-op cell", "cell_ms", "ms", "2 ms"),
    ("100 ms function with 1 MB, overhead", "overhead_100ms_1mb", "fraction", "0.05"),
    ("node, idle CPU", "idle_cpu", "of a core", "0.01"),
    ("node, RSS after all this", "node_rss_mb", "MB", ""),
    ("gateway, RSS after all this", "gateway_rss_mb", "MB", ""),
    ("import easyremote", "import_ms", "ms", "80 ms"),
]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main() -> None:
    ours, relay = [], []
    for _ in range(ROUNDS):
        relay.append(measure_relay())
        ours.append(measure_ours())
    print(f"{platform.python_implementation()} {platform.python_version()}, ", end="")
    print(f"{os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}, medians of {ROUNDS} rounds\n")
    print("| | EasyRemote | bare relay | ratio | budget |\n|---|---|---|---|---|")
    for title, key, unit, budget in ROWS:
        mine = statistics.median(each[key] for each in ours)
        theirs = [each[key] for each in relay if key in each]
        beside = f"{_number(statistics.median(theirs))} {unit}" if theirs else ""
        ratio = f"{mine / statistics.median(theirs):.2f}" if theirs else ""
        print(f"| {title} | {_number(mine)} {unit} | {beside} | {ratio} | {budget} |")


if __name__ == "__main__":
    main()
