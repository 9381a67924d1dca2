"""``python -m tests.benchmarks.recovery``: how long recoveries take, as distributions.

Each is measured over `KILLS` kills with calls in flight: from the kill, or from the moment at which
a killed gateway listens again, until what is said in the row.
"""

from __future__ import annotations

import os
import platform
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from easyremote.client.client import Client
from easyremote.errors import CallLost, WorkerCrashed
from tests.faults.scene import Scene, open_scene
from tests.processes import wait_until

KILLS = 12
#: Calls in flight while something is killed.
CALLS = 200


def killed_gateway(scene: Scene) -> tuple[list[float], list[float]]:
    """Seconds until clients and nodes are back, and until a fresh call for any node is answered."""
    sessions, fresh = [], []
    for _ in range(KILLS):
        history, client = scene.history(), scene.client().connect()
        for _ in range(CALLS):
            history.call(client, 0.01)
        scene.kill_gateway()
        scene.start_gateway()
        begun = time.perf_counter()
        with scene.gateway.client() as other:
            job = other.call("answer", (1,))
            wait_until(lambda client=client: client.is_connected)
            wait_until(lambda other=other: _online(other) == {"one", "two"})
            sessions.append(time.perf_counter() - begun)
            assert job.result(60) == 8
            fresh.append(max(time.perf_counter() - begun, 0.0))
        history.finish()
        assert history.broken() == [] and history.errors == {}
        client.close()
    return sessions, fresh


def killed_node(scene: Scene) -> list[float]:
    """Seconds until a caller who does not want to wait hears that its node is gone."""
    taken = []
    client = scene.client()
    for _ in range(KILLS):
        history = scene.history()
        chosen = client.on(on_node_loss="fail")
        number = history.call(chosen, 60.0, node_id="one")
        wait_until(lambda history=history: bool(history.ran()))
        scene.kill_node("one")
        begun = time.perf_counter()
        assert isinstance(history.jobs[number].exception(60), CallLost)
        taken.append(time.perf_counter() - begun)
        scene.start_nodes("one")
    return taken


def die(pid_file: str) -> None:
    Path(pid_file).write_text(str(os.getpid()))
    time.sleep(60)


def killed_worker(scene: Scene) -> tuple[list[float], list[float]]:
    """Seconds until the caller has the error, and until the next call is answered."""
    errors, next_calls = [], []
    node = scene.gateway.start_node("code")
    try:
        with scene.gateway.client() as client:
            for number in range(KILLS):
                file = scene.home / f"pid-{number}"
                job = client.on("code").submit(die, str(file))
                wait_until(lambda file=file: file.exists() and bool(file.read_text()))
                os.kill(int(file.read_text()), signal.SIGKILL)
                begun = time.perf_counter()
                assert isinstance(job.exception(60), WorkerCrashed)
                errors.append(time.perf_counter() - begun)
                assert client.on("code").submit(os.getpid).result(60)
                next_calls.append(time.perf_counter() - begun)
    finally:
        node.kill()
        node.wait()
        if node.stdout is not None:
            node.stdout.close()
    return errors, next_calls


def stopped_gateway(scene: Scene) -> list[float]:
    """Seconds from SIGTERM of a gateway until the next one has answered a call."""
    taken = []
    client = scene.client().connect()
    for _ in range(KILLS):
        scene.gateway.process.send_signal(signal.SIGTERM)
        begun = time.perf_counter()
        scene.gateway.process.wait(60)
        scene.start_gateway()
        assert client.call("answer", (1,)).result(60) == 8
        taken.append(time.perf_counter() - begun)
    return taken


def _online(client: Client) -> set[str]:
    return {node.node_id for node in client.list_nodes() if node.state == "online"}


def _row(what: str, taken: list[float]) -> str:
    ordered = sorted(taken)
    shown = [ordered[int(part * (len(ordered) - 1) + 0.5)] for part in (0.5, 0.9, 1.0)]
    return f"| {what} | {len(taken)} | " + " | ".join(f"{each:.2f} s" for each in shown) + " |"


@click.command()
@click.option("--seed", type=int, default=0, help="Of a run that is to be replayed.")
def main(seed: int) -> None:
    print(f"{platform.python_implementation()} {platform.python_version()}, {sys.platform}\n")
    measure: list[tuple[tuple[str, ...], Callable[[Scene], tuple[list[float], ...]]]] = [
        (
            (
                "gateway kill -9: all sessions back after it listens again",
                "gateway kill -9: a fresh call for any node is answered",
            ),
            killed_gateway,
        ),
        (("gateway SIGTERM: the next one has answered a call",), lambda s: (stopped_gateway(s),)),
        (("node kill -9: its caller hears of it (fail)",), lambda scene: (killed_node(scene),)),
        (
            ("worker kill -9: its caller has the error", "worker kill -9: the next call answers"),
            killed_worker,
        ),
    ]
    print("| | kills | p50 | p90 | max |\n|---|---|---|---|---|")
    for names, run in measure:
        with tempfile.TemporaryDirectory() as home:
            with open_scene(Path(home) / "home", seed or secrets.randbits(32)) as scene:
                scene.start_nodes("one", "two")
                for name, taken in zip(names, run(scene), strict=True):
                    print(_row(name, taken), flush=True)


if __name__ == "__main__":
    main()
