"""``python -m tests.benchmarks``: EasyRemote beside the bare relay and its peers, in one run.

Every side has its server and its node in processes of their own. Sides take turns, and the medians
of the rounds are printed as a Markdown table. The peers need ``pip install -e '.[bench]'``; one
that is not installed is left out. `relay.py` is what the sockets alone can do.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack

import click

from tests.benchmarks import ours, scheduling
from tests.benchmarks.serving import (
    APART,
    Served,
    free_port,
    line,
    put_on_cores,
    python,
    resident_mb,
)

Figures = dict[str, float]

#: Title, figure, unit, budget. A budget with an x is a multiple of the relay's figure.
ROWS = [
    ("no-op call, p50", "call_p50_ms", "ms", "0.5 ms, 3x the relay"),
    ("no-op call, p99", "call_p99_ms", "ms", ""),
    ("the same, the gateway on a core of its own, p50", "apart_p50_ms", "ms", "as above"),
    ("no-op call through an `@remote` stub, p50", "stub_p50_ms", "ms", "as above"),
    ("no-op call awaited, p50", "awaited_p50_ms", "ms", ""),
    ("no-op call awaited, p99", "awaited_p99_ms", "ms", ""),
    ("calls a second, 1 client", "calls_s", "/s", "25,000"),
    ("the same with `stub.submit`", "stub_submit_s", "/s", "as above"),
    ("the same with `stub.map`", "stub_map_s", "/s", ""),
    ("a function that is sent, p50", "task_p50_ms", "ms", "0.7 ms"),
    ("the same through `@remote`, p50", "sent_p50_ms", "ms", "as above"),
    ("functions sent a second, `client.submit(f, x)`", "tasks_s", "/s", "10,000"),
    ("the same with `f.submit` of `@remote`", "sent_submit_s", "/s", "as above"),
    ("the same with `f.map`", "sent_map_s", "/s", "as above"),
    ("one task on a new array of 100 MB", "one_array_s", "s", ""),
    ("twenty tasks on a new array of 100 MB", "twenty_array_s", "s", ""),
    ("twenty, to one", "twenty_to_one", "x", "1.2"),
    ("calls a second, 8 clients", "calls_s_8", "/s", ""),
    ("1 MB array there and back", "echo_1_mb_s", "MB/s", ""),
    ("10 MB array there and back", "echo_10_mb_s", "MB/s", ""),
    ("100 MB array there and back", "echo_100_mb_s", "MB/s", "85 % of the relay"),
    ("no-op cell (`%%remote`, `%%px`), p50", "cell_p50_ms", "ms", "2 ms"),
    ("the same without the magic, p50", "bare_cell_p50_ms", "ms", ""),
    ("what a 100 ms function with 1 MB costs more", "overhead", "%", "5 %"),
    ("node under 100 calls/s", "steady_node_cpu", "%", "5 % of a core"),
    ("node, idle", "idle_node_cpu", "%", "1 % of a core"),
    ("gateway, idle", "idle_gateway_cpu", "%", ""),
    ("node, idle, RSS", "idle_node_mb", "MB", "50 MB"),
    ("node after the load, RSS", "node_mb", "MB", ""),
    ("gateway, idle, RSS", "idle_gateway_mb", "MB", ""),
    ("gateway after the load, RSS", "gateway_mb", "MB", ""),
    ("gateway memory a connected idle node", "node_kb", "KB", "40 KB"),
    ("`import easyremote`", "import_ms", "ms", "80 ms"),
    ("the scheduler finds one of 10,000 nodes", "place_us", "us", ""),
    ("the next of 100,000 queued calls begins", "next_us", "us", ""),
]
#: The documented ways, beside the relay's figure of the same work.
SAME_AS = {
    "stub_p50_ms": "call_p50_ms",
    "stub_submit_s": "calls_s",
    "stub_map_s": "calls_s",
    "sent_p50_ms": "task_p50_ms",
    "sent_submit_s": "tasks_s",
    "sent_map_s": "tasks_s",
}
PEERS = {
    "Ray": "on_ray",
    "Dask": "on_dask",
    "ipyparallel": "on_ipyparallel",
    "RPyC": "on_rpyc",
    "loky": "on_loky",
}
CLIENTS = 8


def measure_relay() -> Figures:
    found, apart = _relay({}), _relay(APART)
    return found | {"apart_p50_ms": apart["call_p50_ms"], "apart_p99_ms": apart["call_p99_ms"]}


def _relay(cores: dict[str, set[int]]) -> Figures:
    """What the relay's client finds; each role on its cores, or wherever the kernel likes."""
    port = str(free_port())
    with ExitStack() as stack:
        for role in ("gateway", "node", "client"):
            process = stack.enter_context(python("-m", "tests.benchmarks.relay", role, port))
            if role in cores:
                put_on_cores(process.pid, cores[role])
            said = line(process)
        return json.loads(said)  # type: ignore[no-any-return]


def measure(name: str) -> Figures:
    peer = importlib.import_module(f"tests.benchmarks.{name}")
    with peer.serve() as served:
        found: Figures = peer.at_rest(served) if hasattr(peer, "at_rest") else {}
        command = [sys.executable, "-m", "tests.benchmarks.measure", name, served.address]
        calls = ["--calls", str(peer.CALLS)]
        done = subprocess.run([*command, *calls], stdout=subprocess.PIPE, timeout=600, check=True)
        found |= json.loads(done.stdout.splitlines()[-1])
        found |= {f"{role}_mb": resident_mb(pid) for role, pid in served.processes.items()}
        if peer.CALLS:
            found["calls_s_8"] = many_clients(name, served, peer.CALLS // CLIENTS)
    return found


def many_clients(name: str, served: Served, calls: int) -> float:
    """Calls a second of several clients, each a process, that begin together."""
    with ExitStack() as stack:
        command = ["-m", "tests.benchmarks.measure", name, served.address, "--burst", str(calls)]
        clients = [stack.enter_context(python(*command)) for _ in range(CLIENTS)]
        for client in clients:
            while line(client) != "ready":
                pass  # a peer's own greetings
        for client in clients:
            assert client.stdin is not None, "python() made a pipe"
            print(file=client.stdin, flush=True)
        times = [json.loads(line(client)) for client in clients]
        return CLIENTS * calls / (max(end for _, end in times) - min(begin for begin, _ in times))


def middle(figures: list[Figures]) -> Figures:
    names = {name for each in figures for name in each}
    return {name: statistics.median(each[name] for each in figures) for name in names}


def table(sides: dict[str, Figures]) -> str:
    mine, relay = sides["EasyRemote"], sides["bare relay"]
    peers = [name for name in sides if name not in ("EasyRemote", "bare relay")]
    head = ["", "EasyRemote", "budget", "bare relay", "ratio", "to the best peer", *peers]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for title, name, unit, budget in ROWS:
        beside = SAME_AS.get(name, name)
        ratio = f"{mine[name] / relay[beside]:.2f}" if beside in relay else ""
        cells = [title, show(mine, name, unit), budget, show(relay, beside, unit), ratio]
        cells.append(
            to_the_best(mine[name], {peer: sides[peer].get(beside) for peer in peers}, unit)
        )
        cells += [show(sides[peer], name, unit) for peer in peers]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def to_the_best(mine: float, theirs: dict[str, float | None], unit: str) -> str:
    """Our figure as a multiple of the best peer's, with the peer's name."""
    known = {peer: figure for peer, figure in theirs.items() if figure}
    if not known:
        return ""
    best = (max if unit.endswith("/s") else min)(known, key=lambda peer: known[peer])
    return f"{mine / known[best]:.2f} {best}"


def show(figures: Figures, name: str, unit: str) -> str:
    if name not in figures:
        return ""
    value = figures[name] * (100 if unit == "%" else 1)
    digits = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{digits} {unit}"


@click.command()
@click.option("--rounds", default=3, help="How often each side is measured.")
@click.option("--only", multiple=True, type=click.Choice([*PEERS, "none"]), help="These peers.")
def main(rounds: int, only: tuple[str, ...]) -> None:
    peers = {
        title: module
        for title, module in PEERS.items()
        if (title in only or not only)
        and importlib.util.find_spec({"Dask": "distributed"}.get(title, title.lower()))
    }
    taken: dict[str, list[Figures]] = {title: [] for title in ("EasyRemote", "bare relay", *peers)}
    for number in range(rounds):
        taken["bare relay"].append(measure_relay())
        taken["EasyRemote"].append(measure("ours") | ours.alone() | scheduling.alone())
        for title, module in peers.items():
            taken[title].append(measure(module))
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    print(f"{platform.python_implementation()} {platform.python_version()}, ", end="")
    print(f"{os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}, medians of {rounds} rounds\n")
    print(table({title: middle(figures) for title, figures in taken.items()}))


if __name__ == "__main__":
    main()
