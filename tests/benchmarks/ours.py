"""EasyRemote: a gateway and a node in processes of their own, and what only we are measured at."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from easyremote import Client, remote
from easyremote.client.job import RemoteJob
from easyremote.client.session import Session
from tests.benchmarks.measure import add_one, each, latency, total
from tests.benchmarks.serving import (
    APART,
    Served,
    cpu_share,
    line,
    put_on_cores,
    python,
    resident_mb,
    wait_for,
)

CALLS = 20_000

#: Calls of functions that are sent, which are slower than those of registered ones.
SHIPPED = 10_000

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
def serve() -> Iterator[Served]:
    with gateway() as served, python("-c", NODE) as node:
        with Client() as client:
            wait_for(lambda: _online(client) == 1, "the node")
        served.processes["node"] = node.pid
        yield served


@contextmanager
def gateway() -> Iterator[Served]:
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        os.environ["EASYREMOTE_HOME"] = home
        started = stack.enter_context(python("-m", "easyremote", "gateway", "--port", "0"))
        line(started)
        yield Served("", {"gateway": started.pid})


def _online(client: Client) -> int:
    return sum(node.state == "online" for node in client.list_nodes())


@remote
def nothing() -> None:
    """The registered function, as a program calls it."""


@remote
def echo(value: int) -> int: ...


@remote
def sent(value: int) -> int:
    """A function with a body, which is sent."""
    return value + 1


class connect:
    """A client, as `tests.benchmarks.measure.Connection` and `Tasks` describe."""

    TASKS = SHIPPED

    def __init__(self, address: str) -> None:
        self._client = Client().connect()
        self._shell: Any = None

    def nothing(self) -> None:
        self._client.execute("nothing")

    async def awaited(self) -> None:
        await self._client.execute_async("nothing")

    def burst(self, count: int) -> None:
        for job in [self._client.call("nothing") for _ in range(count)]:
            job.result()

    def echo(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        back: np.ndarray[Any, Any] = self._client.execute("echo", array)
        return back

    def tasks(self, values: Iterable[int]) -> list[int]:
        return [job.result() for job in [self._client.submit(add_one, each) for each in values]]

    def on_array(self, array: np.ndarray[Any, Any], count: int) -> list[float]:
        return [job.result() for job in [self._client.submit(total, array) for _ in range(count)]]

    def cell(self) -> None:
        if self._shell is None:
            from IPython.core.interactiveshell import InteractiveShell

            self._shell = InteractiveShell.instance()
            self._shell.run_line_magic("load_ext", "easyremote")
        self._shell.run_cell("%%remote bench\npass").raise_error()

    def more(self) -> dict[str, float]:
        session = Session(self._client, "bench")
        request = {"code": "pass", "count": 1, "variables": {}, "imports": {}, "outputs": "none"}
        cells = each(lambda: session.submit_cell(request).result(60), 300, 20)
        megabyte = np.zeros(1_000_000, dtype=np.uint8)
        far = each(lambda: self._client.execute("hundred_ms", megabyte), 20, 2)
        stub = each(nothing, 2000, 100)
        called = each(lambda: sent(1), 1000, 100)
        return {
            "bare_cell_p50_ms": cells[150] * 1e3,
            "overhead": far[10] / 0.1 - 1,
            "stub_p50_ms": stub[1000] * 1e3,
            "sent_p50_ms": called[500] * 1e3,
            **self._documented(),
        }

    def _documented(self) -> dict[str, float]:
        """Calls a second, as the README has people make them."""
        ways = {
            "stub_submit_s": (lambda: [nothing.submit() for _ in range(CALLS)], CALLS),
            "stub_map_s": (lambda: echo.map(range(CALLS)), CALLS),
            "sent_submit_s": (lambda: [sent.submit(each) for each in range(SHIPPED)], SHIPPED),
            "sent_map_s": (lambda: sent.map(range(SHIPPED)), SHIPPED),
        }
        found = {}
        for name, (start, count) in ways.items():
            began = time.perf_counter()
            for started in start():
                if isinstance(started, RemoteJob):
                    started.result()
            found[name] = count / (time.perf_counter() - began)
        return found

    def close(self) -> None:
        self._client.close()


def at_rest(served: Served) -> dict[str, float]:
    """Both processes before anybody has called; then under 100 small calls a second."""
    found = {f"idle_{role}_mb": resident_mb(pid) for role, pid in served.processes.items()}
    found |= {f"idle_{role}_cpu": cpu_share(pid, 3) for role, pid in served.processes.items()}
    ended = threading.Event()
    with Client() as client:
        calling = threading.Thread(target=_call_steadily, args=(client, ended))
        calling.start()
        found["steady_node_cpu"] = cpu_share(served.processes["node"], 5)
        ended.set()
        calling.join()
    return found


def _call_steadily(client: Client, ended: threading.Event) -> None:
    due = time.monotonic()
    while not ended.is_set():
        client.execute("nothing")
        due += 0.01
        ended.wait(max(due - time.monotonic(), 0))


def apart() -> dict[str, float]:
    """The no-op call, with the processes on cores as in `APART`."""
    cores = os.sched_getaffinity(0)
    with serve() as served, Client() as client:
        client.execute("nothing")  # all threads are there
        for role, pid in {**served.processes, "client": os.getpid()}.items():
            put_on_cores(pid, APART[role])
        try:
            times = each(lambda: client.execute("nothing"), 2000, 100)
        finally:
            put_on_cores(os.getpid(), cores)
    return latency(times, "apart")


def memory_of_a_node(count: int = 300) -> float:
    """Kilobytes of the gateway for each node that is connected and idle."""
    with gateway() as served, Client() as client:
        client.list_nodes()
        before = resident_mb(served.processes["gateway"])
        with python("-m", "tests.benchmarks.links", str(count)) as links:
            line(links)  # all are there
            return (resident_mb(served.processes["gateway"]) - before) * 1e3 / count


def import_ms() -> float:
    def seconds(code: str) -> float:
        command = [sys.executable, "-c", code]
        return each(lambda: subprocess.run(command, check=True), 7, 1)[3]

    return (seconds("import easyremote") - seconds("pass")) * 1e3


def alone() -> dict[str, float]:
    """What has processes of its own: memory of connections, the import, and calls on two cores."""
    return {"node_kb": memory_of_a_node(), "import_ms": import_ms(), **apart()}
