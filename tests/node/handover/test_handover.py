"""A node's program is replaced while cells and functions run: real gateway, nodes and sessions."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from easyremote import __version__
from easyremote.client.client import Client
from easyremote.client.job import RemoteJob
from easyremote.client.session import Session
from easyremote.errors import UsageError, WorkerCrashed
from easyremote.events import Stream
from easyremote.node.handover.control import FOLDER, ask
from tests.cli.command import easyremote
from tests.faults.cells import Printer
from tests.processes import LIMIT, REPOSITORY, Gateway, end, online, until_there, wait_until

NODE = "upgraded"
#: The version that it is upgraded to.
NEWER = "9999.1"
HINDERED = Path(__file__).with_name("hindered_program.py")
#: A module that registers a function which runs until a file is there.
WAITS = """
import pathlib, time
from easyremote.node import node

@node.register
def wait(started, gate):
    pathlib.Path(started).touch()
    while not pathlib.Path(gate).exists():
        time.sleep(0.01)
    return 1
"""


def refused(gateway: Gateway, node_id: str) -> str:
    """Why there is no handover."""
    with pytest.raises(UsageError) as caught:
        list(ask(gateway.home / FOLDER, node_id))
    return str(caught.value)


def cell(session: Session, code: str, **request: Any) -> RemoteJob[dict[str, Any]]:
    return session.submit_cell({"code": code, "count": 1, "writes": [], "modules": {}} | request)


def printed(job: RemoteJob[dict[str, Any]]) -> str:
    """What a cell prints, from its beginning to its end."""
    job.result(LIMIT)
    return "".join(event.text for event in job.events(0.5) if isinstance(event, Stream))


def descriptors(pid: int) -> list[str]:
    """What the descriptors of a process are, without their numbers; but for its journal."""
    folder = f"/proc/{pid}/fd"
    links = [os.readlink(f"{folder}/{each}") for each in os.listdir(folder)]
    return sorted(re.sub(r"\d+", "", link) for link in links if "/nodes/" not in link)


def children(pid: int) -> list[psutil.Process]:
    """The children of a process, zombies too."""
    return psutil.Process(pid).children()


def own_descriptors(pid: int) -> Counter[str]:
    """Those of a node with one fork server, without what it holds for each process of that."""
    (server,) = children(pid)
    memory = "/memfd:easyremote-ledger (deleted)"
    of_processes = ["socket:[]", memory, memory] * len(children(server.pid))
    own = Counter(descriptors(pid))
    own.subtract(of_processes)
    return own


def wait(started: Path, gate: Path) -> int:
    """A shipped function that runs until a file is there."""
    started.touch()
    while not gate.exists():
        time.sleep(0.01)
    return os.getpid()


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[Client]:
    with gateway.client() as client:
        yield client


class Begun:
    """What was begun on a node before it was handed over twice.

    Parameters
    ----------
    client
        Whose it is.
    node
        The node, on which nothing has run yet.
    folder
        Where the file is made that ends what runs.
    """

    def __init__(self, client: Client, node: subprocess.Popen[str], folder: Path) -> None:
        self.client, self.pid = client, node.pid
        self.gate = folder / "gate"
        self.over, self.registered_runs = folder / "over", folder / "registered"
        self.idle, self.background, self.stopped = (
            Session(client, NODE, name) for name in ("idle", "background", "stopped")
        )
        printed(cell(self.idle, "x = list(range(3))"))
        self.at_start = own_descriptors(node.pid)  # its fork server is there now
        printed(cell(self.stopped, "import os, time; pid = os.getpid()"))
        self.sleeping = cell(self.stopped, "time.sleep(600)")
        code = f"import pathlib, time\n{until_there(self.gate)}\nprint('over')"
        self.job = cell(self.background, code, background=True)
        self.printer = Printer(client, "printer", folder, 0.002, NODE)
        self.behind = cell(self.printer.session, "print('behind', number)")
        on_node, started = client.on(NODE), [folder / "shipped", folder / "detached"]
        self.shipped = on_node.submit(wait, started[0], self.gate)
        self.detached = on_node.detach(wait, started[1], self.gate)
        wait_until(lambda: all(each.exists() for each in started))
        self.printer.read(20)

    def hand_over(self, home: Path, before: str, after: str) -> None:
        """Hand over, between these versions, while a registered function runs: it is awaited."""
        self.over.unlink(missing_ok=True)
        self.registered_runs.unlink(missing_ok=True)
        call = self.client.on(NODE).submit("wait_for", str(self.over), str(self.registered_runs))
        wait_until(self.registered_runs.exists)
        lines = ask(home / FOLDER, NODE)
        assert "wait_for()" in next(lines)
        self.over.touch()
        assert f"easyremote {before} -> {after}. Kept: 4 sessions (3 busy)" in next(lines)
        assert call.result(LIMIT) == self.pid

    def call_until(self, is_over: threading.Event) -> int:
        """Call functions, one after the other; how often."""
        count, on_node = 0, self.client.on(NODE)
        while not is_over.is_set():
            assert on_node.execute("add", count, 1) == count + 1
            assert on_node.submit(abs, -count).result(LIMIT) == count
            count += 1
        return count


@pytest.fixture(scope="module")
def begun(
    gateway: Gateway, client: Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Begun]:
    """What was begun before two handovers, which kept it all; calls were made meanwhile."""
    folder = tmp_path_factory.mktemp("begun")
    copy = folder / "easyremote"  # it goes before what is installed
    shutil.copytree(REPOSITORY / "easyremote", copy, ignore=shutil.ignore_patterns("*.pyc"))
    node = gateway.start_node(NODE, cwd=folder)
    try:
        begun = Begun(client, node, folder)
        is_over = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            caller = pool.submit(begun.call_until, is_over)
            try:
                begun.hand_over(gateway.home, __version__, __version__)
                begun.printer.read(20)
                init = (copy / "__init__.py").read_text()
                (copy / "__init__.py").write_text(init.replace(__version__, NEWER))
                begun.hand_over(gateway.home, __version__, NEWER)
                begun.printer.read(20)
            finally:
                is_over.set()
            assert caller.result(LIMIT) > 0
        yield begun
    finally:
        end(node)
    assert node.returncode == 0


def test_a_cell_that_runs_prints_each_line_once_and_what_waits_behind_it_runs(begun: Begun) -> None:
    begun.printer.finish()
    assert printed(begun.behind) == f"behind {begun.printer.seen}\n"


def test_variables_stay(begun: Begun) -> None:
    assert printed(cell(begun.idle, "print(x)")) == "[0, 1, 2]\n"


def test_what_was_there_runs_the_older_code_and_what_is_new_the_newer(begun: Begun) -> None:
    new = Session(begun.client, NODE, "new")
    code = "import easyremote; print(easyremote.__version__)"
    assert printed(cell(new, code)) == f"{NEWER}\n"
    assert printed(cell(begun.idle, code)) == f"{__version__}\n"
    new.end()


def test_a_cell_can_be_interrupted_and_the_death_of_its_process_is_told(begun: Begun) -> None:
    begun.sleeping.cancel()
    with pytest.raises(KeyboardInterrupt):
        begun.sleeping.result(LIMIT)
    pid = int(printed(cell(begun.stopped, "print(pid)")))
    dying = cell(begun.stopped, "time.sleep(600)")
    wait_until(dying.running)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerCrashed, match="SIGKILL"):
        dying.result(LIMIT)
    assert not psutil.pid_exists(pid)


def test_what_is_in_processes_goes_on_and_those_of_functions_end_with_it(begun: Begun) -> None:
    begun.gate.touch()
    assert printed(begun.job) == "over\n"
    old = {begun.shipped.result(LIMIT), begun.detached.result(LIMIT)}
    assert len(old) == 2
    begun.detached.release()
    wait_until(lambda: not any(map(psutil.pid_exists, old)))


def test_nothing_is_left_when_all_sessions_have_ended(begun: Begun) -> None:
    begun.gate.touch()
    for session in (begun.idle, begun.background, begun.stopped, begun.printer.session):
        session.end()
    wait_until(lambda: len(children(begun.pid)) == 1)  # the newest fork server
    wait_until(lambda: own_descriptors(begun.pid) == begun.at_start)


@pytest.fixture
def hindered(gateway: Gateway, client: Client, tmp_path: Path) -> Iterator[str]:
    """A node that registers what is in a module; see ``hindered_program.py``."""
    (tmp_path / "registering.py").write_text(WAITS)
    command = [sys.executable, str(HINDERED), "--node-id", "hindered"]
    with (gateway.home / "hindered.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, str(tmp_path / "registering.py")],
            env=gateway.environment(),
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: "hindered" in online(client))
        yield "hindered"
    finally:
        end(process)


def test_a_node_that_can_not_be_handed_over_goes_on_as_before(
    client: Client, gateway: Gateway, hindered: str, tmp_path: Path
) -> None:
    printer = Printer(client, "printer", tmp_path, 0.002, hindered)
    module = tmp_path / "registering.py"
    module.write_text("import easyremote_of_tomorrow")
    why = refused(gateway, hindered)
    assert "nothing was changed" in why
    assert "ModuleNotFoundError: No module named 'easyremote_of_tomorrow'" in why
    printer.read(20)
    module.write_text(WAITS)
    assert "can't be started, so nothing was changed: [Errno 2]" in refused(gateway, hindered)
    printer.read(20)
    gate, first, second = tmp_path / "gate", tmp_path / "first", tmp_path / "second"
    call = client.on(hindered).submit("wait", str(first), str(gate))
    detached = client.on(hindered).detach("wait", str(second), str(gate))
    wait_until(lambda: first.exists() and second.exists())
    assert "wait() still ran after 0.1 s" in refused(gateway, hindered)
    gate.touch()
    assert call.result(LIMIT) == detached.result(LIMIT) == 1
    detached.release()
    printer.end()


def test_a_node_that_is_not_here_is_told_with_those_that_are(
    gateway: Gateway, begun: Begun
) -> None:
    done = easyremote(gateway.home, "node", "--handover", "--node-id", "elsewhere")
    assert done.code == 1
    assert "No node 'elsewhere' can be handed over here." in done.err
    assert f"by `easyremote node`: {NODE}." in done.err
