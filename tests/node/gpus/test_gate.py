"""Calls that need GPUs, with real processes and a fake driver (``tests/fakes/pynvml.py``)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from easyremote.client.client import Client
from easyremote.client.session import Session
from easyremote.errors import EasyRemoteError
from easyremote.events import Stream
from easyremote.options.requirements import Requirements
from tests.fakes import pynvml
from tests.processes import LIMIT, REPOSITORY, Gateway, end, end_node, online, wait_until

GB = 10**9
#: What the node serves: functions that take GPU memory as they are told to.
PROGRAM = """
import os, time
from pathlib import Path
from easyremote import ComputeNode
from tests.fakes import pynvml
node = ComputeNode(node_id="gpu-node", allow_code=True, max_workers=4)

@node.register(resource_requirements={"gpu_memory": "20GB"})
def fit(gb, gate=""):
    from tests.fakes import pynvml
    pynvml.take(gb)
    while gate and not Path(gate).exists():
        time.sleep(0.02)
    return os.getpid(), os.environ["CUDA_VISIBLE_DEVICES"]

node.serve()
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    file = tmp_path_factory.mktemp("driver") / "gpus.json"
    pynvml.gpus(file, pynvml.card("GPU-a", 48), pynvml.card("GPU-b", 4))
    os.environ[pynvml.FILE] = str(file)
    yield file
    del os.environ[pynvml.FILE]


def node_environment(gateway: Gateway) -> dict[str, str]:
    paths = [str(REPOSITORY / "tests" / "fakes"), str(REPOSITORY)]
    return {**gateway.environment(), "PYTHONPATH": os.pathsep.join(paths)}


@pytest.fixture(scope="module")
def box(gateway: Gateway, driver: Path) -> Iterator[subprocess.Popen[str]]:
    """A node with fake GPUs of 48 and of 4 GB."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=node_environment(gateway), text=True
    )
    with gateway.client() as client:
        wait_until(lambda: "gpu-node" in online(client) or process.poll() is not None)
    yield process
    end_node(process)


@pytest.fixture
def lab(gateway: Gateway, box: subprocess.Popen[str]) -> Iterator[Client]:
    with gateway.client() as client:
        yield client


def cell(client: Client, session: str, code: str, gb: int = 0) -> Any:
    """A cell in a session; it needs so much GPU memory."""
    request = {"count": 1, "writes": ["x"], "modules": {}, "code": code}
    needs = Requirements(gpu=1, gpu_memory=gb * GB) if gb else None
    return Session(client, "gpu-node", session).submit_cell(request, needs=needs)


def test_a_function_runs_in_a_process_that_sees_only_its_gpu(lab: Client) -> None:
    first, seen = lab.on("gpu-node").submit("fit", 20).result(LIMIT)
    assert seen == "GPU-a"
    assert lab.on("gpu-node").submit("fit", 20).result(LIMIT)[0] == first, "its memory is its own"


def pid_of(gb: float) -> str:
    """Code of a cell: take so much GPU memory, and tell the process's id and GPUs."""
    return (
        "import os\nfrom tests.fakes import pynvml\n"
        f"if {gb}: pynvml.take({gb})\n"
        "x = os.getpid(), os.environ.get('CUDA_VISIBLE_DEVICES')"
    )


def seen(client: Client, job: Any) -> Any:
    return Session(client, "gpu-node").open(job.result(LIMIT))[0]["x"]


def ended(client: Client, *sessions: str) -> None:
    for session in sessions:
        Session(client, "gpu-node", session).end()


def test_what_a_foreign_process_takes_is_not_promised_and_people_see_who_holds_it(
    lab: Client, driver: Path
) -> None:
    foreign = subprocess.Popen(["sleep", "1000"])
    with pynvml.changed(driver) as said:
        said["cards"][0]["held"] = {str(foreign.pid): 40 * GB}
    job = lab.on("gpu-node").submit("fit", 20)
    try:
        wait_until(lambda: "free" in job.explain())
        user = psutil.Process().username()
        assert job.explain() == (
            "needs 20 GB of GPU memory: gpu-node has 8 GB of 48 GB free (sleep of user "
            f"{user} holds 40 GB); 1st of 1 for gpu-node"
        )
    finally:
        foreign.kill()
        foreign.wait()
    assert job.result(LIMIT)[1] == "GPU-a", "the node says when memory is free, nobody else asks"


def test_two_sessions_that_would_not_fit_together_run_one_after_the_other(lab: Client) -> None:
    first, sees = seen(lab, cell(lab, "one", pid_of(31), 31))
    assert sees == "GPU-a"
    assert seen(lab, cell(lab, "one", pid_of(31), 40)) == (first, sees), "what it has is its own"
    waiting = cell(lab, "two", pid_of(24), 24)
    wait_until(lambda: "free" in waiting.explain())
    assert "has 17 GB of 48 GB free (a session of key" in waiting.explain()
    after = cell(lab, "two", "x = 'after it'")
    ended(lab, "one")
    assert seen(lab, waiting)[1] == "GPU-a"
    limited = cell(lab, "two", "import torch\ntorch.init()\nx = torch.fractions", 10)
    assert seen(lab, limited) == {0: 24 / 40}, "the largest promise counts"
    assert seen(lab, after) == "after it"
    ended(lab, "two")


def test_an_idle_process_ends_when_somebody_needs_its_memory_and_not_before(lab: Client) -> None:
    first, _ = lab.on("gpu-node").submit("fit", 30).result(LIMIT)
    fits, _ = seen(lab, cell(lab, "one", pid_of(0), 10))
    assert psutil.pid_exists(first), "there was room beside it"
    seen(lab, cell(lab, "one", pid_of(0), 40))
    assert not psutil.pid_exists(first)
    assert lab.on("gpu-node").submit("fit", 20).result(LIMIT)[0] not in (first, fits)
    ended(lab, "one")


def where() -> tuple[int, str | None]:
    return os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES")


def test_a_function_that_is_sent_with_needs_runs_in_a_process_for_them(lab: Client) -> None:
    with_gpu = lab.on("gpu-node", needs={"gpu_memory": "8GB"})
    process, sees = with_gpu.submit(where).result(LIMIT)
    assert sees == "GPU-a"
    assert with_gpu.submit(where).result(LIMIT) == (process, sees)
    assert lab.on("gpu-node").submit(where).result(LIMIT)[1] is None


def test_a_driver_that_fails_in_mid_run_stops_no_call(lab: Client, driver: Path) -> None:
    with pynvml.changed(driver) as said:
        said["fails"] = "GPU is lost"
    try:
        job = lab.on("gpu-node", needs={"gpu_memory": "8GB"}).submit(where)
        assert job.result(LIMIT)[1] == "GPU-a", "the last figures count"
    finally:
        with pynvml.changed(driver) as said:
            said["fails"] = ""


def test_a_session_keeps_its_gpu_and_says_what_it_can_never_give(lab: Client) -> None:
    assert seen(lab, cell(lab, "one", pid_of(0), 10))[1] == "GPU-a"
    request = {"count": 1, "writes": [], "modules": {}, "code": "1"}
    two = Session(lab, "gpu-node", "one").submit_cell(request, needs=Requirements(gpu=2))
    with pytest.raises(
        EasyRemoteError, match="keeps the GPUs that it began with .Fake A100 with 48 GB"
    ):
        two.result(LIMIT)
    ended(lab, "one")


def test_a_session_that_asks_later_gets_its_gpu_then_or_is_told_that_it_is_too_late(
    lab: Client,
) -> None:
    first, sees = seen(lab, cell(lab, "late", pid_of(0)))
    assert sees is None, "it sees all"
    assert seen(lab, cell(lab, "late", pid_of(0), 10)) == (first, "GPU-a")
    assert seen(lab, cell(lab, "late", pid_of(0))) == (first, "GPU-a"), "and keeps it"
    used = "import torch\ntorch.init()\nimport os\nx = os.getpid()"
    assert seen(lab, cell(lab, "used", used))
    job = cell(lab, "used", pid_of(0), 10)
    shown = "".join(each.text for each in job.events(LIMIT) if isinstance(each, Stream))
    assert "it goes on seeing all of them" in shown
    assert "%remote_restart gives it its own" in shown
    assert seen(lab, job)[1] is None
    ended(lab, "late", "used")


def test_a_promise_that_was_broken_is_said_when_the_function_is_registered_again(
    lab: Client, gateway: Gateway, box: subprocess.Popen[str]
) -> None:
    lab.on("gpu-node").submit("fit", 30).result(LIMIT)
    peaks = gateway.home / "gpu-peaks.json"
    wait_until(lambda: peaks.exists() and json.loads(peaks.read_text())["gpu-node"]["fit()"] > 0)
    end(box)
    again = subprocess.Popen(
        box.args,
        env=node_environment(gateway),
        text=True,
        stderr=subprocess.PIPE,
    )
    try:
        wait_until(lambda: "30 GB" in needs_of(lab, "fit"))
        assert needs_of(lab, "fit") == (
            "1 GPU with 20 GB of memory (it was seen to hold 30 GB of GPU memory)"
        )
    finally:
        again.terminate()
        _, log = again.communicate(timeout=LIMIT)
    assert log.count("fit() needs 20 GB of GPU memory as it was registered, and was seen") == 1


def needs_of(client: Client, function: str) -> str:
    info = client.get_function_info(function)
    return info.needs if info is not None else ""
