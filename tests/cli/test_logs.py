"""`easyremote logs` against a real gateway and node."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from easyremote.cli.logs import _find
from easyremote.client.client import Client
from easyremote.client.session import Session
from easyremote.errors import EasyRemoteError, RemoteError
from easyremote.protocol.snapshot import EndedJobInfo, GatewaySnapshot, JobInfo
from tests.cli.command import easyremote
from tests.processes import LIMIT, Gateway, environment, until_there, wait_until

JOBS = (
    JobInfo("aa11", "cell", "gpu-node", "running", 9.0),
    JobInfo("aa22", "shipped", "gpu-node", "running", 2.0),
    JobInfo("bb33", "train", "gpu-node", "running", 1.0),
    JobInfo("cc44", "cell", None, "queued", 1.0),
)
ENDED = (
    EndedJobInfo("dd55", "train", "gpu-node", "", 60.0, 1.0),
    EndedJobInfo("ee66", "cell", "gpu-node", "raised", 60.0, 5.0),
)


def follow(gateway: Gateway, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "easyremote", "logs", *arguments, "-f"],
        env=environment(gateway.home),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_output_is_shown_and_followed_to_the_end_of_the_job(
    gateway: Gateway, client: Client, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    code = f"import pathlib, time; print('one')\n{until_there(gate)}\nprint('two')\n6 * 7"
    session = Session(client, "gpu-node", "follows")
    cell = session.submit_cell({"code": code, "count": 1})
    waits = session.submit_cell({"code": "print('three')\n1 / 0", "count": 2})
    wait_until(
        lambda: (cell.call_id, "running") in {(j.call_id, j.state) for j in client.list_jobs()}
    )
    stays, leaves = follow(gateway, cell.call_id), follow(gateway, cell.call_id)
    later = follow(gateway, waits.call_id[:8])
    try:
        for each in (stays, leaves):
            assert each.stdout is not None
            assert each.stdout.readline() == "one\n"
        leaves.send_signal(signal.SIGINT)
        assert leaves.communicate(timeout=LIMIT) == ("", "\n")
        assert leaves.returncode == 0
        done = easyremote(gateway.home, "logs")
        assert done.out == "one\n"
        assert done.err == f"It goes on. Follow it: easyremote logs {cell.call_id[:8]} -f\n"
        assert later.stderr is not None
        assert later.stderr.readline().startswith("It waits: ")
        gate.touch()
        assert stays.communicate(timeout=LIMIT) == ("two\n42\n", "")
        out, err = later.communicate(timeout=LIMIT)
        assert out == "three\n", err
        assert err.rstrip().endswith("ZeroDivisionError: division by zero")
    finally:
        for each in (stays, leaves, later):
            each.kill()
            each.communicate()
    cell.result(LIMIT)
    with pytest.raises(RemoteError):
        waits.result(LIMIT)
    assert easyremote(gateway.home, "logs", cell.call_id[:6]).out == "one\ntwo\n42\n"


@pytest.mark.parametrize(
    ("what", "found"), [("", "aa22"), ("aa1", "aa11"), ("cc", "cc44"), ("ee66", "ee66")]
)
def test_a_job_is_found_by_the_beginning_of_its_id(what: str, found: str) -> None:
    assert _find(GatewaySnapshot((), jobs=JOBS, ended=ENDED), what).call_id == found


def test_without_an_id_it_is_what_ended_last_where_nothing_runs() -> None:
    told = GatewaySnapshot((), jobs=JOBS[2:], ended=ENDED)
    assert _find(told, "").call_id == "ee66"


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("aa", "2 jobs begin with 'aa': write more of the id"),
        ("ff", "knows nothing of a job 'ff' of yours"),
        ("bb", "train() is a registered function: what it prints is in the log of gpu-node"),
    ],
)
def test_what_can_not_be_shown_is_told(what: str, words: str) -> None:
    with pytest.raises(EasyRemoteError) as error:
        _find(GatewaySnapshot((), jobs=JOBS, ended=ENDED), what)
    assert words in str(error.value)
