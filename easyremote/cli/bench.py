"""``easyremote bench``: what your own gateway and node do, measured from here.

The functions are shipped, so nothing has to be registered. ``tests/cli/test_bench.py`` proves it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

import click

from easyremote.client.client import Client, connect
from easyremote.client.session import Session
from easyremote.errors import UsageError


@click.command()
@click.argument("node_id", required=False)
@click.option("--calls", default=300, show_default=True, type=click.IntRange(10, 100_000))
@click.option("--megabytes", default=10, show_default=True, type=click.IntRange(1, 1_000))
def bench(node_id: str | None, calls: int, megabytes: int) -> None:
    """Measure the way to a node and back, through your gateway.

    \b
    Without NODE_ID it takes the first node that runs code:
      easyremote bench
      easyremote bench gpu-node --megabytes 100
    """
    client = connect()
    node_id = node_id or _first_that_runs_code(client)
    click.echo(f"{node_id} through {client.settings.gateway}, {calls} calls each\n")
    _row("gateway and back", _times(client.list_nodes, calls))
    _row("function that does nothing", _times(lambda: _call(client, node_id), calls))
    session = Session(client, node_id, f"bench-{secrets.token_hex(4)}")
    request = {"code": "pass", "count": 1, "variables": {}, "imports": {}, "outputs": "none"}
    _row("cell that does nothing", _times(lambda: session.submit_cell(request).result(), calls))
    began = time.perf_counter()
    for job in [client.ship(_nothing, (), {}, node_id=node_id) for _ in range(calls)]:
        job.result()
    _line("calls at once", f"{calls / (time.perf_counter() - began):,.0f} a second")
    data = secrets.token_bytes(megabytes * 1_000_000)
    seconds = _middle(_times(lambda: client.ship(_same, (data,), {}, node_id=node_id).result(), 3))
    _line(f"{megabytes} MB there and back", f"{megabytes / seconds:,.0f} MB/s")


def _first_that_runs_code(client: Client) -> str:
    for node in client.list_nodes():
        if node.state == "online" and node.runs_code:
            return node.node_id
    raise UsageError(
        "No node online runs code, and the measurement ships some. Start one: "
        "python -m easyremote.node --node-id gpu-node"
    )


def _call(client: Client, node_id: str) -> None:
    client.ship(_nothing, (), {}, node_id=node_id).result()


def _nothing() -> None:
    return None


def _same(value: bytes) -> bytes:
    return value


def _times(function: Callable[[], object], count: int) -> list[float]:
    function()  # the first one may start a process there
    times = []
    for _ in range(count):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return sorted(times)


def _middle(times: list[float]) -> float:
    return times[len(times) // 2]


def _row(title: str, times: list[float]) -> None:
    slow = times[len(times) * 99 // 100]
    _line(title, f"{_middle(times) * 1e3:.2f} ms   (99 % within {slow * 1e3:.2f} ms)")


def _line(title: str, text: str) -> None:
    click.echo(f"{title:<28} {text}")
