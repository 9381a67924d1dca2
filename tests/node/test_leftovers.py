"""Nothing of a node stays in the system's temporary folder, however it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from easyremote.client.client import Client
from easyremote.client.session import Session
from easyremote.errors import WorkerCrashed
from tests.processes import LIMIT, Gateway, end, wait_until

REQUEST: dict[str, Any] = {"count": 1, "writes": ["x", "pid"], "modules": {}}
#: Takes a folder of each kind: IPython's, the modules', the work's.
CODE = "import os; pid = os.getpid(); x = open('outputs/file', 'w').write('x')"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of the nodes of a test, and of nobody else."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Client]:
    made = gateway.client()
    yield made
    made.close()


def run_cell(client: Client, name: str) -> psutil.Process:
    """Run a cell in a session of the node; the session's process."""
    modules = {"sent": (b"d" * 32, {"sent.py": b"x = 1"})}
    request = REQUEST | {"code": CODE, "modules": modules}
    answer = Session(client, "leaving", name).submit_cell(request).result(LIMIT)
    return psutil.Process(Session(client, "leaving").open(answer)[0]["pid"])


def folder(temporary: Path, node: subprocess.Popen[str], process: psutil.Process) -> Path:
    """The folder of a process of a node."""
    return temporary / f"easyremote-node-{node.pid}" / str(process.pid)


def wait_until_gone(path: Path) -> None:
    wait_until(lambda: not path.exists())


def test_the_folder_of_a_session_goes_when_it_has_ended_or_was_killed(
    gateway: Gateway, client: Client, temporary: Path
) -> None:
    node = gateway.start_node("leaving")
    for how in ("end", "kill", "crash"):
        process = run_cell(client, how)
        made = folder(temporary, node, process)
        assert {path.name for path in made.iterdir()} >= {"ipython", "work", "modules"}
        if how == "end":
            Session(client, "leaving", how).end()
        elif how == "kill":
            process.send_signal(signal.SIGKILL)
        else:
            request = REQUEST | {"code": "import os; os._exit(1)"}
            with pytest.raises(WorkerCrashed):
                Session(client, "leaving", how).submit_cell(request).result(LIMIT)
        wait_until_gone(made)
    end(node)
    assert list(temporary.iterdir()) == []


def test_all_of_a_node_goes_when_it_ends(gateway: Gateway, client: Client, temporary: Path) -> None:
    node = gateway.start_node("leaving")
    for name in ("one", "two"):
        run_cell(client, name)
    assert client.submit(os.getpid).result(LIMIT) != node.pid
    end(node)
    assert list(temporary.iterdir()) == []


def test_what_a_killed_node_left_goes_when_the_next_one_starts(
    gateway: Gateway, client: Client, temporary: Path
) -> None:
    killed = gateway.start_node("leaving")
    session = run_cell(client, "one")
    killed.kill()
    killed.wait(LIMIT)
    wait_until(lambda: not session.is_running() or session.status() == psutil.STATUS_ZOMBIE)
    left = folder(temporary, killed, session)
    assert left.exists()
    following = gateway.start_node("leaving")
    wait_until_gone(left.parent)
    end(following)


def test_a_layer_of_packages_that_was_being_made_goes_with_the_next(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(LIMIT)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from easyremote.node.worker import environment\n"
        "environment._layer(['x'], lambda folder: (folder / 'x').touch())\n"
    )
    kept = tmp_path / "environments"
    for number in (ended.pid, os.getpid()):
        (kept / f"making-{number}-abc").mkdir(parents=True)
    environment = {**os.environ, "EASYREMOTE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=LIMIT, env=environment)
    making = [path.name for path in kept.glob("making-*")]
    assert making == [f"making-{os.getpid()}-abc"]
    assert len(list(kept.iterdir())) == 2
