"""Where cells run: targets, sessions, what is told of a session that is new; in real kernels."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from easyremote.client.client import Client
from easyremote.client.session import Session
from easyremote.errors import CallCancelled
from easyremote.events import Stream
from easyremote.options.requirements import parse_needs
from tests.jupyter_extension.conftest import Kernel
from tests.processes import LIMIT, Gateway, end, end_node, online, until_there, wait_until


def cell(code: str) -> dict[str, Any]:
    """What a client sends of a cell."""
    return {"code": code, "count": 1, "variables": {}}


def hold(gate: Path) -> str:
    """Code that says that it runs, and runs until the file is there."""
    return f"import pathlib, time\nprint('in', flush=True)\n{until_there(gate)}"


def is_gone(process: int) -> bool:
    return not Path(f"/proc/{process}").exists()


def started(kernel: Kernel, line: str = "") -> int:
    """The process of a session."""
    return int(kernel.run(f"%%remote {line}\nimport os\nos.getpid()").value)


@pytest.fixture(scope="module")
def labelled(gateway: Gateway, node: object) -> Iterator[subprocess.Popen[str]]:
    process = gateway.start_node("cpu-node", "--label", "fast")
    yield process
    end_node(process)


def test_a_named_session_and_another_kernels_own_are_apart(kernel: Kernel) -> None:
    assert started(kernel, "gpu-node/one") == started(kernel, "gpu-node -s one")
    assert started(kernel, "gpu-node/one") != started(kernel, "gpu-node")


def test_a_fresh_session_has_nothing_and_ends_with_its_cell(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node -o none=left\nleft = 1")
    shown = kernel.run("%%remote gpu-node --fresh\nleft", fails=True)
    assert shown.reply["ename"] == "NameError"
    process = started(kernel, "gpu-node --fresh")
    wait_until(lambda: is_gone(process))
    assert kernel.run("%remote gpu-node --fresh 6 * 7").value == "42"


def test_a_restart_ends_the_process_and_the_next_cell_says_what_was_lost(kernel: Kernel) -> None:
    kernel.run("sent = [1]")
    kernel.run("%%remote gpu-node/again\nfile = open('/dev/null')\nsmall = len(sent)")
    kernel.run("%%remote gpu-node/again\nimport never_there", fails=True)
    process = started(kernel, "gpu-node/again")
    shown = kernel.run("%remote_restart gpu-node/again")
    assert shown.text() == ("The session on gpu-node has ended; the next cell starts it anew.\n")
    assert is_gone(process)
    shown = kernel.run("%%remote gpu-node/again\nsent, small")
    assert shown.value == "([1], 1)"
    notice = shown.text("stderr")
    assert "The session on gpu-node is new." in notice
    assert "Lost there:" in notice and "file" in notice and "never_there" not in notice
    assert "Sent again: sent, small." in notice
    assert kernel.run("%%remote gpu-node/again\nsent").text("stderr") == ""


def test_a_restart_stops_what_runs_and_what_waits_goes_on(
    client: Client, kernel: Kernel, tmp_path: Path
) -> None:
    session = Session(client, "gpu-node", "held")
    running = session.submit_cell(cell(hold(tmp_path / "never")))
    assert next(running.events(LIMIT)) is not None
    waiting = session.submit_cell(cell("print('my turn')"))
    assert "has ended" in kernel.run("%remote_restart gpu-node/held").text()
    with pytest.raises(CallCancelled, match="Its session was ended from outside"):
        running.result(LIMIT)
    event = next(waiting.events(LIMIT))
    assert isinstance(event, Stream) and event.text.strip() == "my turn"
    assert "There was no session" in kernel.run("%remote_restart gpu-node/never").text()


def test_a_node_that_was_restarted_is_told_of_like_its_session(
    gateway: Gateway, kernel: Kernel
) -> None:
    first = gateway.start_node("restarted")
    try:
        kernel.run("kept_here = 5")
        kernel.run("%%remote restarted\nhandle = open('/dev/null')\nkept_here")
    finally:
        end(first)
    second = gateway.start_node("restarted")
    try:
        shown = kernel.run("%%remote restarted\nkept_here + 1")
        assert shown.value == "6"
        assert "Sent again: kept_here." in shown.text("stderr")
        assert "handle" in shown.text("stderr")
    finally:
        end(second)


def test_a_session_that_died_in_a_cell_is_told_of_with_the_next_one(kernel: Kernel) -> None:
    kernel.run("survivor = 1")
    kernel.run("%%remote gpu-node/crashing\nhandle = open('/dev/null')\nsurvivor")
    shown = kernel.run("%%remote gpu-node/crashing\nimport os\nos._exit(3)", fails=True)
    assert shown.reply["ename"] == "WorkerCrashed"
    shown = kernel.run("%%remote gpu-node/crashing\nsurvivor")
    assert shown.value == "1"
    assert "Lost there: handle (TextIOWrapper). Sent again: survivor." in shown.text("stderr")


def test_a_node_that_dies_in_mid_cell_fails_it_and_the_next_cell_goes_on(
    gateway: Gateway, kernel: Kernel, tmp_path: Path
) -> None:
    first, marker = gateway.start_node("mortal"), tmp_path / "runs"
    kernel.run("mine = 7")
    kernel.run("%%remote mortal\nmine")
    with ThreadPoolExecutor() as pool:

        def restart() -> subprocess.Popen[str]:
            wait_until(marker.exists)
            first.kill()
            first.wait(LIMIT)
            return gateway.start_node("mortal")

        restarted = pool.submit(restart)
        code = f"import pathlib, time\npathlib.Path({str(marker)!r}).touch()\ntime.sleep(600)"
        shown = kernel.run(f"%%remote mortal\n{code}", fails=True)
        second = restarted.result(LIMIT)
    try:
        assert shown.reply["ename"] == "CallLost"
        assert "was restarted while it ran" in shown.traceback
        shown = kernel.run("%%remote mortal\nmine")
        assert shown.value == "7"
        assert "The session on mortal is new. Sent again: mine." in shown.text("stderr")
    finally:
        end(first)
        end(second)


def test_an_idle_session_is_ended_by_the_nodes_owner_s_limit(
    gateway: Gateway, kernel: Kernel
) -> None:
    lender = gateway.start_node("lender", "--session-idle", str(0.5 / 3600))
    try:
        kernel.run("mine = 1")
        process = started(kernel, "lender -i mine")
        wait_until(lambda: is_gone(process))
        shown = kernel.run("%%remote lender\nmine")
        assert "The session on lender is new. Sent again: mine." in shown.text("stderr")
    finally:
        end(lender)


def test_any_takes_a_node_that_will_do(kernel: Kernel, labelled: object) -> None:
    kernel.run("%%remote cpu-node\nimport os\nos.environ['WHERE'] = 'cpu'")
    shown = kernel.run("%%remote any --where 'fast,cores>=1,mem>=1M'\nos.environ['WHERE']")
    assert shown.value == "'cpu'"
    assert kernel.run("%remote any --where fast 1 + 1").value == "2"
    shown = kernel.run("%%remote any --where 'gpu>=99'\n1", fails=True)
    assert "No node online has gpu>=99: " in shown.text("stderr")
    assert "cpu-node lacks gpu>=99" in shown.text("stderr")


def test_any_stays_where_it_is_until_that_node_goes_away(
    gateway: Gateway, kernel: Kernel, labelled: object
) -> None:
    first = gateway.start_node("brief", "--label", "sticky")
    process = started(kernel, "any --where sticky")
    second = gateway.start_node("brief-too", "--label", "sticky")
    try:
        assert started(kernel, "any --where sticky") == process
        end(first)
        client = gateway.client()
        wait_until(lambda: "brief" not in online(client))
        client.close()
        shown = kernel.run("%%remote any --where sticky\nos.getpid()")
        assert "brief has gone away: what ran there now runs on brief-too." in shown.text("stderr")
        assert shown.value != str(process)
    finally:
        end(first)
        end(second)


def test_several_nodes_and_no_target_is_an_error_with_the_ways_out(
    kernel: Kernel, labelled: object
) -> None:
    shown = kernel.run("%%remote\n1", fails=True)
    assert "Which node? Name it, attach one (%remote_attach NODE)" in shown.text("stderr")
    assert "Online: cpu-node, gpu-node." in shown.text("stderr")


def test_the_attached_node_comes_before_the_variable(kernel: Kernel, labelled: object) -> None:
    here, there = started(kernel, "cpu-node"), started(kernel, "gpu-node")
    kernel.run("%env EASYREMOTE_NODE=cpu-node")
    assert started(kernel) == here
    kernel.run("%remote_attach gpu-node")
    assert started(kernel) == there
    assert started(kernel, "cpu-node") == here
    kernel.run("%remote_detach")
    assert started(kernel) == here
    kernel.run("%env EASYREMOTE_NODE=")


def test_names_and_expressions_in_the_line_are_expanded(kernel: Kernel) -> None:
    kernel.run("chosen, names = 'gpu-node', ['expanded']\nexpanded = 7\nlimit = 30")
    assert kernel.run("%%remote $chosen -i {names[0]} -t {limit * 2}\nexpanded").value == "7"
    assert kernel.run("%remote $chosen expanded + 1").value == "8"


def test_a_semicolon_silences(kernel: Kernel) -> None:
    assert kernel.run("%%remote gpu-node\n5;").of("execute_result") == []
    assert kernel.run("%remote gpu-node 5;").of("execute_result") == []
    assert kernel.run("%%remote gpu-node\n5").value == "5"


@pytest.mark.parametrize("cell", ["", "\n", "\n\n  \n", "\n# nothing\n\n   # at all"])
def test_an_empty_cell_does_nothing_and_asks_nobody(kernel: Kernel, cell: str) -> None:
    shown = kernel.run(f"%%remote no-such-node{cell}")
    assert [m["msg_type"] for m in shown.messages] == ["status", "execute_input", "status"]


def test_an_empty_cell_can_bring_something(kernel: Kernel) -> None:
    kernel.run("%%remote gpu-node -o other=brought\nbrought = 3")
    kernel.run("%%remote gpu-node -o brought")
    assert kernel.run("brought").value == "3"


def test_a_syntax_error_has_the_line_of_the_notebook(kernel: Kernel) -> None:
    shown = kernel.run("%%remote gpu-node\nx = 1\ny = = 2\n", fails=True)
    assert shown.reply["ename"] == "SyntaxError"
    assert "line 3" in shown.traceback or ", line 3" in shown.reply["evalue"]


@pytest.mark.parametrize(
    ("cell", "line"),
    [("x = 1\n%%remote gpu-node\nx", 3), ("%%remote gpu-node\nx", 2), ("\n\n%%remote\nx", 4)],
)
def test_a_remote_cell_in_a_remote_cell_is_refused(kernel: Kernel, cell: str, line: int) -> None:
    shown = kernel.run(f"%%remote gpu-node\n{cell}", fails=True)
    assert f"Line {line}: a cell that runs on a node can't have a %%remote" in shown.text("stderr")
    assert kernel.run("%%remote gpu-node\nx = '''\n%%remote\n'''\nlen(x)").value == "10"


def test_only_what_is_named_is_sent_without_the_automatic(kernel: Kernel) -> None:
    kernel.run("seen, unseen = 1, 2")
    shown = kernel.run("%%remote gpu-node --fresh -i seen --no-auto-in\nseen, unseen", fails=True)
    assert shown.reply["ename"] == "NameError"
    assert kernel.run("%%remote gpu-node --fresh -i seen --no-auto-in\nseen").value == "1"


def test_an_error_may_be_shown_without_being_raised(kernel: Kernel) -> None:
    shown = kernel.run("%%remote gpu-node --no-raise-error\nafter = 1\n1 / 0")
    assert "ZeroDivisionError" in shown.traceback
    assert "magics.py" not in shown.traceback
    shown = kernel.run("%%remote gpu-node --no-raise-error --nonsense\n1", fails=True)
    assert "There is no option --nonsense." in shown.text("stderr")


def test_a_cell_waits_for_its_turn_no_longer_than_it_may(
    client: Client, kernel: Kernel, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    job = Session(client, "gpu-node", "shared").submit_cell(cell(hold(gate)))
    assert next(job.events(LIMIT)) is not None
    shown = kernel.run("%%remote gpu-node/shared --queue-timeout 0.2\n1", fails=True)
    assert shown.reply["ename"] == "CallTimeout"
    assert "another cell runs in this session of 'gpu-node'. It did not run." in shown.traceback
    gate.touch()
    assert kernel.run("%%remote gpu-node/shared --queue-timeout 30\n1").value == "1"


def test_a_cell_holds_what_it_needs_and_waits_for_what_another_one_holds(
    client: Client, kernel: Kernel, tmp_path: Path
) -> None:
    shown = kernel.run("%%remote gpu-node --needs memory=900TB\n1", fails=True)
    assert shown.reply["ename"] == "NotFound"
    assert "No node can ever run this. It needs 900 TB of memory: gpu-node has only" in (
        shown.traceback
    )
    all_cores = parse_needs(f"cpu={client.list_nodes()[0].cores}")
    gate = tmp_path / "gate"
    job = Session(client, "gpu-node", "first").submit_cell(cell(hold(gate)), needs=all_cores)
    assert next(job.events(LIMIT)) is not None
    shown = kernel.run("%%remote gpu-node --needs cpu=1 --queue-timeout 0.2\n1", fails=True)
    assert "needs 1 core: gpu-node has 0 of" in shown.traceback
    waiting = Session(client, "gpu-node", "second").submit_cell(cell("1"), needs=all_cores)
    wait_until(lambda: "(a cell of key" in waiting.explain())
    gate.touch()
    waiting.result(LIMIT)
    assert kernel.run("%%remote gpu-node --needs cpu=1\n1").value == "1"
