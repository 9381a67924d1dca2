"""The owner of a node closes and opens it, with real processes: people wait, and see why."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import psutil
import pytest

from easyremote.client.client import Client
from easyremote.client.session import Session
from easyremote.errors import CallCancelled, NodeOffline, NotAuthorized, NotFound, UsageError
from easyremote.protocol.snapshot import NodeInfo
from tests.cli.command import easyremote
from tests.processes import LIMIT, Gateway, end, wait_until


def test_a_pause_is_one_command_and_people_see_why_they_wait(
    gateway: Gateway, client: Client, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    started = tmp_path / "started"
    running = client.on("gpu-node").submit("wait_for", str(gate), str(started))
    wait_until(started.exists)
    done = easyremote(gateway.home, "pause", "gpu-node")
    assert done.out.startswith("gpu-node is paused: calls wait. 1 call goes on."), done.err
    waiting = client.on("gpu-node").submit("add", 1, 2)
    assert waiting.explain() == "gpu-node takes nothing new: its owner has paused it"
    _, line = easyremote(gateway.home, "nodes").out.splitlines()
    assert "online, closed: its owner has paused it" in line
    gate.touch()
    running.result()
    assert not waiting.done()
    assert easyremote(gateway.home, "resume", "gpu-node").out == "gpu-node is lent again.\n"
    assert waiting.result() == 3


def test_a_drain_is_over_when_what_runs_there_is(
    gateway: Gateway, client: Client, tmp_path: Path
) -> None:
    gate, started = tmp_path / "gate", tmp_path / "started"
    running = client.on("gpu-node").submit("wait_for", str(gate), str(started))
    wait_until(started.exists)
    with ThreadPoolExecutor(1) as pool:
        command = pool.submit(easyremote, gateway.home, "drain", "gpu-node")
        wait_until(lambda: found(client, "gpu-node").lent == "drained")
        with pytest.raises(NodeOffline, match="its owner takes it out of use"):
            client.on("gpu-node").execute("add", 1, 2)
        assert not command.done()
        gate.touch()
        assert command.result().out.splitlines()[0] == (
            "gpu-node takes nothing new. 1 call goes on."
        )
    running.result()
    assert client.resume("gpu-node").closed == ""
    assert client.on("gpu-node").execute("add", 1, 2) == 3


def test_rules_in_a_file_count_as_soon_as_it_is_written(
    gateway: Gateway, client: Client, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("max_memory = '1GB'")
    node = gateway.start_node("desk", "--rules", str(rules), "--max-cpu", "1%")
    try:
        told = found(client, "desk")
        assert (told.closed, told.cores, told.memory_total, told.slots) == ("", 1, 10**9, 1)
        other = (datetime.now() + timedelta(hours=2)).hour
        rules.write_text(f"hours = '{other}:00-{other}:01'")
        wait_until(lambda: found(client, "desk").closed != "")
        waiting = client.on("desk").submit("add", 1, 2)
        session = client.on("desk").submit(os.getpid)
        for job in (waiting, session):
            assert job.explain() == (
                f"desk takes nothing new: its owner lends it from {other:02}:00"
            )
        rules.write_text("")
        assert waiting.result() == 3
        assert session.result() != os.getpid()
    finally:
        end(node)


@pytest.mark.parametrize("when_busy", ["pause", "cancel"])
def test_what_runs_stands_still_or_is_ended_when_its_owner_wants_the_machine_back(
    gateway: Gateway, client: Client, tmp_path: Path, when_busy: str
) -> None:
    rules, beats = tmp_path / "rules.toml", tmp_path / "beats"
    rules.write_text("")
    node = gateway.start_node(when_busy, "--rules", str(rules), "--when-busy", when_busy)

    def beat(path: str, gate: str) -> int:
        while not Path(gate).exists():
            with open(path, "a") as file:
                file.write(".")
            time.sleep(0.02)
        return os.getpid()

    try:
        on = client.on(when_busy)
        job = on.submit(beat, str(beats), str(tmp_path / "gate"))
        code = "import time\nprint('in', flush=True)\nwhile True: time.sleep(0.02)"
        cell = Session(client, when_busy, "s").submit_cell(
            {"code": code, "count": 1, "variables": {}}
        )
        assert next(cell.events(LIMIT)) is not None
        wait_until(beats.exists)
        other = (datetime.now() + timedelta(hours=2)).hour
        rules.write_text(f"hours = '{other}:00-{other}:01'")
        if when_busy == "pause":
            wait_until(lambda: len(stopped_below(node.pid)) >= 2)
            halted = f"stands still on pause: its owner lends it from {other:02}:00"
            wait_until(lambda: halted in str(job))
            assert job.explain() == halted
            rows = easyremote(gateway.home, "jobs").out.splitlines()[1:]
            assert all("stands still" in row and row.endswith(halted) for row in rows), rows
            cell.cancel()  # it has to go on for that
            with pytest.raises(KeyboardInterrupt):
                cell.result(LIMIT)
            assert stopped_below(node.pid), "the function stands still all the while"
            size = beats.stat().st_size
            rules.write_text("")
            wait_until(lambda: beats.stat().st_size > size)
            wait_until(lambda: "stands still" not in str(job))
            (tmp_path / "gate").touch()
            assert job.result(LIMIT) > 0
        else:
            for each in (job, cell):
                with pytest.raises(CallCancelled, match="--when-busy cancel.*its owner lends it"):
                    each.result(LIMIT)
    finally:
        end(node)


def test_the_owner_changes_the_rules_of_a_node_while_it_runs(
    gateway: Gateway, client: Client, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("max-cpu = '50%'  # mine\n")
    node = gateway.start_node("ruled", "--rules", str(rules), "--no-code", "--max-memory", "2GB")
    try:
        assert client.rules("ruled").rules == {"max_cpu": "50%", "max_memory": "2GB"}
        other = (datetime.now() + timedelta(hours=2)).hour
        hours = f"{other}-{(other + 1) % 24}"
        closed = f"its owner lends it from {other:02}:00"
        answer = client.set_rules("ruled", {"hours": hours, "max_memory": "1GB"})
        assert answer.closed == closed
        told = found(client, "ruled")
        assert (told.closed, told.memory_total, told.runs_code) == (closed, 10**9, False)
        waiting = client.on("ruled").submit("add", 1, 2)
        assert waiting.explain() == f"ruled takes nothing new: {closed}"
        assert rules.read_text() == (
            f'max-cpu = \'50%\'  # mine\nhours = "{hours}"\nmax_memory = "1GB"\n'
        )
        with pytest.raises(UsageError, match=r"max_cpu is a share.*'150%'"):
            client.set_rules("ruled", {"max_cpu": "150%", "hours": None})
        again = "Started the same way again, it has --max-memory 2GB."
        done = easyremote(gateway.home, "rules", "ruled")
        assert done.out.splitlines() == [
            "max-cpu         50%",
            f"hours           {hours}",
            "max-memory      1GB",
            f"This is kept in {rules}, on that machine. {again}",
            f"Nothing new starts there now: {closed}.",
        ]
        done = easyremote(gateway.home, "rules", "ruled", "--lift", "hours", "--max-cpu", "25%")
        assert done.out.startswith("max-cpu         25%\nmax-memory      1GB\n"), done.err
        assert waiting.result() == 3
        assert rules.read_text() == 'max-cpu = "25%"  # mine\nmax_memory = "1GB"\n'
        rules.write_text("max_memory = '3GB'")  # the file can still be edited by hand
        wait_until(lambda: found(client, "ruled").memory_total == 3 * 10**9)
    finally:
        end(node)


def test_without_a_file_the_rules_hold_until_the_node_ends(
    gateway: Gateway, client: Client
) -> None:
    assert client.rules("gpu-node").rules == {}
    done = easyremote(gateway.home, "rules", "gpu-node")
    assert done.out == "gpu-node is lent without a rule.\n"
    done = easyremote(gateway.home, "rules", "gpu-node", "--max-cpu", "1%", "--only-when-idle")
    assert done.out.splitlines() == [
        "max-cpu         1%",
        "only-when-idle  yes",
        "This holds until the node ends: it was started without a file of rules (--rules).",
    ]
    assert found(client, "gpu-node").slots == 1
    easyremote(gateway.home, "rules", "gpu-node", "--lift", "all")
    assert client.rules("gpu-node").rules == {}
    assert found(client, "gpu-node").slots > 1


def test_only_the_owner_of_a_node_sees_and_changes_its_rules(gateway: Gateway) -> None:
    key = easyremote(gateway.home, "key", "create", "--name", "bob").out.strip()
    with Client(gateway.address, key) as bob:
        for ask in (lambda: bob.rules("gpu-node"), lambda: bob.set_rules("gpu-node", {})):
            with pytest.raises(NotAuthorized, match="yours is called 'bob'"):
                ask()
        with pytest.raises(NotFound, match="There is no node 'gpu-nod'"):
            bob.rules("gpu-nod")
        for node_id in ("", "any"):
            with pytest.raises(NotFound, match="There is no node"):
                bob.rules(node_id)


def stopped_below(pid: int) -> list[int]:
    processes = psutil.Process(pid).children(recursive=True)
    return [each.pid for each in processes if each.status() == psutil.STATUS_STOPPED]


def test_a_wrong_rule_is_told_in_one_line(gateway: Gateway) -> None:
    done = easyremote(gateway.home, "node", "--hours", "7-7")
    assert (done.code, len(done.err.splitlines())) == (1, 1)
    assert "UsageError: hours are two different times of the day, as '22-7'" in done.err


def found(client: Client, node_id: str) -> NodeInfo:
    return next(node for node in client.list_nodes() if node.node_id == node_id)
