"""``python -m tests.benchmarks.sweeps``: a grid search on nodes, beside joblib's loky and Dask.

One array and many small fits, on the same cores: one node, loky's processes, and a Dask cluster of
one process a core. Seconds, and the bytes that went over loopback: all of this machine's, so let
nothing else run. What EasyRemote sends passes its gateway, so it is counted twice. ``--small``
takes a few seconds.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import click
import numpy as np
import psutil
from joblib import parallel_config
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV

from tests.benchmarks import ours
from tests.benchmarks.serving import free_port, python, wait_for

CORES = os.cpu_count() or 1
FOLDS = 5
COLUMNS = 100


@contextlib.contextmanager
def easyremote() -> Iterator[None]:
    with ours.serve(), parallel_config("easyremote"):
        yield


@contextlib.contextmanager
def loky() -> Iterator[None]:
    with parallel_config("loky", n_jobs=CORES):
        yield


@contextlib.contextmanager
def dask() -> Iterator[None]:
    from distributed import Client

    address = f"tcp://127.0.0.1:{free_port()}"
    scheduler = ["-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
    worker = ["-m", "distributed.cli.dask_worker", address, "--nthreads", "1"]
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            python(*scheduler, "--port", address.rsplit(":", 1)[1], "--no-dashboard")
        )
        for _ in range(CORES):
            stack.enter_context(python(*worker, "--no-nanny", "--no-dashboard"))
        client = stack.enter_context(Client(address, timeout=60))
        wait_for(lambda: len(client.ncores()) == CORES, "the workers")
        stack.enter_context(parallel_config("dask"))
        yield


SIDES = {"easyremote": easyremote, "loky": loky, "dask": dask}


def search(megabytes: int, fits: int) -> GridSearchCV:
    """A search, fitted."""
    rows = megabytes * 1_000_000 // COLUMNS // 8
    random = np.random.default_rng(0)
    features, weights = random.random((rows, COLUMNS)), random.random(COLUMNS)
    target = features @ weights + random.normal(size=rows)
    grid = {"alpha": np.logspace(-3, 3, fits // FOLDS)}
    return GridSearchCV(Ridge(solver="cholesky"), grid, cv=FOLDS, refit=False, n_jobs=-1).fit(
        features, target
    )


def measure(side: str, megabytes: int, fits: int) -> dict[str, float]:
    """Seconds of a search, the megabytes over loopback, and its best score."""
    with SIDES[side]():
        search(1, FOLDS)  # the processes are there, and have imported what they need
        before, began = _over_loopback(), time.perf_counter()
        found = search(megabytes, fits)
        return {
            "seconds": time.perf_counter() - began,
            "megabytes": (_over_loopback() - before) / 1e6,
            "score": float(found.best_score_),
        }


def _over_loopback() -> int:
    return psutil.net_io_counters(pernic=True)["lo"].bytes_sent


@click.command()
@click.option("--small", is_flag=True, help="20 MB and 50 fits, not 200 MB and 500.")
@click.option("--fits", type=int, help="So many fits, a multiple of the five folds.")
@click.option("--only", multiple=True, type=click.Choice([*SIDES]), help="These sides.")
@click.option("--side", type=click.Choice([*SIDES]), hidden=True)
def main(small: bool, fits: int | None, only: tuple[str, ...], side: str | None) -> None:
    megabytes, usual = (20, 50) if small else (200, 500)
    fits = fits or usual
    if side is not None:
        print(json.dumps(measure(side, megabytes, fits)))
        return
    there = [name for name in SIDES if name != "dask" or importlib.util.find_spec("distributed")]
    print(f"GridSearchCV, {megabytes} MB, {fits} fits, {CORES} cores\n")
    print("| | seconds | MB over loopback | best score |\n|---|---|---|---|")
    found: dict[str, dict[str, float]] = {}
    for name in only or there:
        command = [sys.executable, "-m", "tests.benchmarks.sweeps", "--side", name]
        command += ["--fits", str(fits), *["--small"] * small]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        figures = found[name] = json.loads(done.stdout.splitlines()[-1])
        shown = [f"{figures[key]:,.1f}" for key in ("seconds", "megabytes")]
        print(f"| {name} | {' | '.join(shown)} | {figures['score']:.6f} |")
    mine = found.get("easyremote")
    for name, figures in found.items():
        if mine is not None and figures is not mine:
            times, travelled = (
                mine[key] / max(figures[key], 0.1) for key in ("seconds", "megabytes")
            )
            print(f"\nto {name}: {times:.2f}x its seconds, {travelled:.2f}x its bytes")


if __name__ == "__main__":
    main()
