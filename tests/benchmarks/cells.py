"""``python -m tests.benchmarks.cells``: what cells on a node cost the notebook, in a real kernel.

A gateway, a node and a kernel, each in a process of its own; the medians of the rounds are printed
as a Markdown table, with the budgets. What a kernel publishes is counted as Jupyter Server counts
it, which drops what comes faster than 1000 messages or 1 MB a second.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import click
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from tests.benchmarks import ours

LIMIT = 300.0
#: What Jupyter Server measures over (``rate_limit_window``), and does not count.
WINDOW = 3.0
UNCOUNTED = ("comm_open", "execute_input", "status")
SECONDS = 5
A_SECOND = 10_000

#: Title, figure, unit, budget.
ROWS = [
    ("`%load_ext`", "load_ms", "ms", "300 ms"),
    ("the first cell on a node after it", "first_ms", "ms", "150 ms"),
    ("the kernel's end, more than of a plain one", "end_ms", "ms", "0"),
    ("no-op cell, p50", "named_ms", "ms", "2 ms"),
    ("without TARGET, p50", "bare_ms", "ms", "2 ms"),
    ("with `any`, p50", "any_ms", "ms", "2 ms"),
    ("1 GB array, sent once", "first_gb_s", "s", ""),
    ("a cell that uses it again: bytes sent, more than of a no-op cell", "again_bytes", "B", "0"),
    ("a cell that uses it again: time, more than of a no-op cell", "again_ms", "ms", "50 ms"),
    ("prints, as many as 10,000 a second, 50,000: lines lost", "prints_lost", "", "0"),
    ("how many a second the cell made", "prints_s", "/s", ""),
    ("the busiest 3 s: messages a second", "prints_messages", "/s", "1000"),
    ("the busiest 3 s: MB a second", "prints_mb", "MB/s", "1"),
    ("a line is here after, p50", "prints_lag_ms", "ms", ""),
    ("bar updates, as many as 10,000 a second, 50,000: end lost", "bars_lost", "", "0"),
    ("how many a second the cell made", "bars_s", "/s", ""),
    ("the busiest 3 s: messages a second", "bars_messages", "/s", "1000"),
    ("the busiest 3 s: MB a second", "bars_mb", "MB/s", "1"),
    ("both at once: lines lost", "both_lost", "", "0"),
    ("how many of both a second the cell made", "both_s", "/s", ""),
    ("the busiest 3 s: messages a second", "both_messages", "/s", "1000"),
    ("the busiest 3 s: MB a second", "both_mb", "MB/s", "1"),
    ("interrupt during both: here after", "interrupt_ms", "ms", ""),
    ("200 variables, new", "variables_ms", "ms", ""),
    ("200 variables, unchanged", "unchanged_ms", "ms", ""),
    ("200 variables come back", "back_ms", "ms", ""),
    ("50 MB of stdout", "stdout_s", "s", ""),
    ("of that shown", "stdout_mb", "MB", "10 MB"),
    ("the busiest 3 s: MB a second", "stdout_rate_mb", "MB/s", "1"),
    ("memory that it costs the node's session", "stdout_session_mb", "MB", ""),
]


@dataclass
class Published:
    """What a kernel published for one cell."""

    began: float = field(default_factory=time.time)
    messages: list[dict[str, Any]] = field(default_factory=list)
    #: When each came, and its size in bytes.
    arrived: list[tuple[float, int]] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        if message["msg_type"] not in UNCOUNTED:
            parts = ("header", "parent_header", "metadata", "content")
            size = sum(len(json.dumps(message[part], default=str)) for part in parts)
            self.arrived.append((time.time(), size))

    def text(self, name: str = "stdout") -> str:
        streams = [m["content"] for m in self.messages if m["msg_type"] == "stream"]
        return "".join(stream["text"] for stream in streams if stream["name"] == name)

    def busiest(self) -> tuple[float, float]:
        """Messages and megabytes a second, in the window that has most of each."""
        most, largest = 0, 0
        for began, _ in self.arrived:
            inside = [size for at, size in self.arrived if began <= at < began + WINDOW]
            most, largest = max(most, len(inside)), max(largest, sum(inside))
        return most / WINDOW, largest / WINDOW / 1e6


class Notebook:
    """A kernel with the extension."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self._manager, self._client = manager, client

    def run(
        self, code: str, on_message: Callable[[dict[str, Any]], None] | None = None
    ) -> Published:
        published = Published()

        def take(message: dict[str, Any]) -> None:
            published.add(message)
            if on_message is not None:
                on_message(message)

        began = time.perf_counter()
        reply = self._client.execute_interactive(
            code, allow_stdin=False, output_hook=take, timeout=LIMIT
        )
        published.seconds = time.perf_counter() - began
        error = reply["content"].get("ename", "")
        assert error in ("", "KeyboardInterrupt"), reply["content"]
        return published

    def value(self, code: str) -> Any:
        """The value of an expression that has a JSON form, evaluated in the kernel."""
        return json.loads(self.run(f"import json; print(json.dumps({code}))").text())

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def end(self) -> float:
        """End the kernel as a server does; the seconds that it takes."""
        began = time.perf_counter()
        self._manager.shutdown_kernel()
        return time.perf_counter() - began


@contextmanager
def plain_notebook() -> Iterator[Notebook]:
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=dict(os.environ))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=LIMIT)
        yield Notebook(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@contextmanager
def notebook() -> Iterator[Notebook]:
    with plain_notebook() as started:
        started.run("%load_ext easyremote")
        started.run(PREPARED)
        yield started


#: Measured in the kernel: a front end's own way to it is no business of ours.
PREPARED = """
import statistics, time
ip = get_ipython()
def timed(line, body, count):
    times = []
    for _ in range(count):
        began = time.perf_counter()
        ip.run_cell_magic("remote", line, body)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3
def sent():
    import os, psutil, socket, struct
    total = 0
    for connection in psutil.Process().net_connections("tcp"):
        if connection.raddr and connection.raddr.port == GATEWAY:
            with socket.socket(fileno=os.dup(connection.fd)) as sock:
                info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)
                total += struct.unpack_from("Q", info, 120)[0]  # tcpi_bytes_acked
    return total
import easyremote
GATEWAY = int(str(easyremote.connect().settings.gateway).rpartition(":")[2].strip("/"))
"""


def begin_and_end(kernel: Notebook) -> dict[str, float]:
    kernel.run("%%remote bench\npass")  # the node has started its fork server then
    with plain_notebook() as other:
        other.run("1 + 1")
        plain_end = other.end()
    with plain_notebook() as other:
        other.run("1 + 1")
        load = other.run("%load_ext easyremote").seconds
        first = other.run("%%remote bench\nx = 1").seconds
        end = other.end()
    return {"load_ms": load * 1e3, "first_ms": first * 1e3, "end_ms": (end - plain_end) * 1e3}


def no_op_cells(kernel: Notebook) -> dict[str, float]:
    kernel.run("for line in ('bench', '', 'any'): timed(line, 'pass', 30)")
    lines = {"named_ms": "bench", "bare_ms": "", "any_ms": "any"}
    return {name: kernel.value(f"timed({line!r}, 'pass', 200)") for name, line in lines.items()}


def large_array(kernel: Notebook) -> dict[str, float]:
    kernel.run("import numpy as np\nbig = np.random.default_rng(0).random(125_000_000)")
    first = kernel.run("%%remote bench --force-push\nchecksum = float(big[::1000].sum())")
    assert kernel.value("checksum == float(big[::1000].sum())")
    kernel.run("timed('bench', 'big[0]', 3)")
    before = kernel.value("[sent(), timed('bench', 'pass', 15), sent()]")
    after = kernel.value("[sent(), timed('bench', 'big[0];', 15), sent()]")
    kernel.run("big[77] = -1.0")
    kernel.run("%%remote bench --force-push\nseen = float(big[77])")
    assert kernel.value("seen") == -1.0, "an array that was changed in place was not sent again"
    kernel.run("del big")
    return {
        "first_gb_s": first.seconds,
        "again_bytes": max((after[2] - after[0]) - (before[2] - before[0]), 0) / 15,
        "again_ms": after[1] - before[1],
    }


PRINTS = f"""
import time
began = time.perf_counter()
for number in range({SECONDS * A_SECOND}):
    print(number, time.time())
    ahead = number / {A_SECOND} - (time.perf_counter() - began)
    if ahead > 0.001: time.sleep(ahead)
"""
BARS = f"""
import time
from tqdm import tqdm
began = time.perf_counter()
for number in tqdm(range({SECONDS * A_SECOND}), mininterval=0, miniters=1):
    ahead = number / {A_SECOND} - (time.perf_counter() - began)
    if ahead > 0.001: time.sleep(ahead)
"""
BOTH = BARS.replace("    ahead", "    print(number)\n    ahead", 1)


def much_output(kernel: Notebook) -> dict[str, float]:
    found: dict[str, float] = {}
    lags: list[float] = []

    def note(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            for line in message["content"]["text"].splitlines():
                if line.count(" ") == 1 and len(line) > 20:
                    lags.append(time.time() - float(line.split()[1]))

    shown = kernel.run(f"%%remote bench\n{PRINTS}", note)
    found["prints_lag_ms"] = statistics.median(lags) * 1e3
    numbers = [line.split()[0] for line in shown.text().splitlines()]
    found["prints_lost"] = lost(numbers)
    found["prints_messages"], found["prints_mb"] = shown.busiest()
    found["prints_s"] = SECONDS * A_SECOND / shown.seconds
    shown = kernel.run(f"%%remote bench\n{BARS}")
    bars = [m["content"]["data"] for m in shown.messages if "display_data" in m["msg_type"]]
    last = [bar["text/plain"] for bar in bars if "it/s" in bar["text/plain"]][-1]
    found["bars_lost"] = 0 if f"{SECONDS * A_SECOND}/{SECONDS * A_SECOND}" in last else 1
    found["bars_messages"], found["bars_mb"] = shown.busiest()
    found["bars_s"] = SECONDS * A_SECOND / shown.seconds
    shown = kernel.run(f"%%remote bench\n{BOTH}")
    found["both_lost"] = lost(shown.text().splitlines())
    found["both_messages"], found["both_mb"] = shown.busiest()
    found["both_s"] = SECONDS * A_SECOND / shown.seconds
    return found | interrupted(kernel)


def interrupted(kernel: Notebook) -> dict[str, float]:
    """How long it takes until a cell that prints and draws like mad has stopped."""
    pressed: list[float] = []

    def press(message: dict[str, Any]) -> None:
        if (
            message["msg_type"] == "stream"
            and not pressed
            and "10000\n" in message["content"]["text"]
        ):
            pressed.append(time.perf_counter())
            kernel.interrupt()

    kernel.run(f"%%remote bench\n{BOTH}", press)
    return {"interrupt_ms": (time.perf_counter() - pressed[0]) * 1e3}


def lost(numbers: list[str]) -> float:
    return SECONDS * A_SECOND - len(set(map(int, numbers)))


def many_variables(kernel: Notebook) -> dict[str, float]:
    kernel.run("names = [f'v{n}' for n in range(200)]")
    new = "globals().update({n: [i, str(i)] for i, n in enumerate(names)})\n"
    uses = "total = " + " + ".join(f"v{n}[0]" for n in range(200))
    sets = "\n".join(f"v{n} = [{n}]" for n in range(200))
    times: list[float] = []
    for _ in range(5):
        kernel.run(new)
        times.append(kernel.value(f"timed('bench', {uses!r}, 1)"))
    unchanged = kernel.value(f"timed('bench', {uses!r}, 10)")
    back = kernel.value(f"timed('bench', {sets!r}, 10)")
    assert kernel.value("v199") == [199]
    return {
        "variables_ms": statistics.median(times),
        "unchanged_ms": unchanged,
        "back_ms": back,
    }


def much_stdout(kernel: Notebook) -> dict[str, float]:
    before = float(kernel.run(MEMORY).text())
    shown = kernel.run("%%remote bench\nfor n in range(50_000): print(f'{n:06} ' + 'x' * 992)")
    after = float(kernel.run(MEMORY).text())
    text = shown.text()
    assert text.startswith("000000 ") and "049999 x" in text[-1100:], "head or tail is missing"
    assert "MB left out here" in shown.text("stderr")
    return {
        "stdout_s": shown.seconds,
        "stdout_mb": len(text) / 1e6,
        "stdout_rate_mb": shown.busiest()[1],
        "stdout_session_mb": after - before,
    }


MEMORY = "%%remote bench\nimport psutil\nprint(psutil.Process().memory_info().rss / 1e6)"
PARTS = (begin_and_end, no_op_cells, many_variables, much_output, much_stdout, large_array)


def table(figures: dict[str, float]) -> str:
    lines = ["| | measured | budget |", "|---|---|---|"]
    for title, name, unit, budget in ROWS:
        if name in figures:
            value = figures[name]
            digits = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
            lines.append(f"| {title} | {digits} {unit} | {budget} |")
    return "\n".join(lines)


@click.command()
@click.option("--rounds", default=3, help="How often each is measured.")
@click.option("--only", multiple=True, type=click.Choice([part.__name__ for part in PARTS]))
def main(rounds: int, only: tuple[str, ...]) -> None:
    taken: dict[str, list[float]] = {}
    with ours.serve():
        for number in range(rounds):
            for part in PARTS:
                if part.__name__ in only or not only:
                    with notebook() as kernel:
                        for name, value in part(kernel).items():
                            taken.setdefault(name, []).append(value)
                    print(f"round {number + 1}: {part.__name__}", file=sys.stderr)
    print(table({name: statistics.median(values) for name, values in taken.items()}))


if __name__ == "__main__":
    main()
