"""`easyremote top`: the nodes and this key's jobs, live. It ends with q or Ctrl-C.

``tests/cli/test_top.py`` proves it, in a terminal of its own too.
"""

from __future__ import annotations

import contextlib
import select
import shutil
import sys
import time
from collections.abc import Callable, Iterator

import click

from easyremote.cli.live import LiveLines
from easyremote.cli.look import JOB_HEADS, job_row
from easyremote.cli.tables import table_lines
from easyremote.client.client import connect
from easyremote.client.outcome import checked
from easyremote.client.stream import RemoteStream
from easyremote.options.requirements import show_size
from easyremote.protocol.snapshot import GatewaySnapshot, GpuInfo, NodeInfo

_HEADS = ("NODE", "STATE", "RUNNING", "CPU", "MEMORY", "GPU")
#: Seconds between two looks at the keyboard.
POLL = 0.1
#: How many snapshots `--once` waits for until the nodes have measured themselves.
MEASURED_WITHIN = 4


@click.command()
@click.option("--once", is_flag=True, help="Print one screen, and end.")
def top(once: bool) -> None:
    """Watch the nodes and your jobs; q ends it.

    \b
    Examples:
      easyremote top
      easyremote top --once
    """
    stream = connect().watch()
    try:
        if once:
            click.echo("\n".join(lines_of(_measured(stream))))
        else:
            _watch(stream)
    finally:
        stream.close()


def _measured(stream: RemoteStream[dict[str, object]]) -> GatewaySnapshot:
    """A snapshot in which every node online says how busy it is, if that doesn't take long."""
    for _ in range(MEASURED_WITHIN):
        snapshot = checked(next(stream), GatewaySnapshot)
        if all(node.cpu is not None for node in snapshot.nodes if node.state == "online"):
            break
    return snapshot


def _watch(stream: RemoteStream[dict[str, object]]) -> None:
    screen = LiveLines(sys.stdout)
    with _keyboard() as pressed, contextlib.suppress(KeyboardInterrupt):
        while not stream.done():
            for item in stream.arrived():
                rows = shutil.get_terminal_size().lines - 1
                lines = lines_of(checked(item, GatewaySnapshot))
                screen.show("top", "\n".join(lines[:rows]))
            if pressed() == "q":
                break
        else:
            stream.result()  # it says why it is over
    screen.settle()


@contextlib.contextmanager
def _keyboard() -> Iterator[Callable[[], str]]:
    """Gives what waits a moment for a key; the key, or nothing."""
    try:
        import termios
        import tty
    except ImportError:  # Windows
        is_terminal = False
    else:
        is_terminal = sys.stdin.isatty()
    if not is_terminal:
        yield _no_key
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield lambda: sys.stdin.read(1) if select.select([sys.stdin], [], [], POLL)[0] else ""
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _no_key() -> str:
    time.sleep(POLL)
    return ""


def lines_of(snapshot: GatewaySnapshot) -> list[str]:
    """A snapshot as a screen of text."""
    lines = table_lines(_HEADS, [_node(node) for node in snapshot.nodes])
    if not snapshot.nodes:
        lines = ["No nodes yet. Start one: easyremote node --node-id gpu-node"]
    if snapshot.jobs:
        lines += ["", *table_lines(JOB_HEADS, [job_row(job) for job in snapshot.jobs])]
    else:
        lines += ["", "Nothing of yours runs or waits."]
    return lines + [f"and {snapshot.more} more"] * bool(snapshot.more)


def _node(node: NodeInfo) -> tuple[str, ...]:
    if node.state != "online":
        return node.node_id, node.state, "", "", "", ""
    cpu = "" if node.cpu is None else f"{node.cpu:.0%}"
    memory = _of(node.memory_used, node.memory_total)
    gpus = "; ".join(map(_gpu, node.gpus))
    return node.node_id, node.state, f"{node.running}/{node.slots}", cpu, memory, gpus


def _gpu(gpu: GpuInfo) -> str:
    return f"{gpu.name} {gpu.use:.0%}, {_of(gpu.memory_used, gpu.memory_total)}"


def _of(used: int | None, total: int | None) -> str:
    if used is None or total is None:
        return "" if total is None else show_size(total)
    return f"{show_size(used)} of {show_size(total)}"
