"""Durable calls on a node that is killed: brought back, or lost and told; never twice.

The node is a real process with real processes for code. The test plays the gateway, so that the
node can be killed between two messages.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from easyremote.errors import UsageError
from easyremote.journal.journal import Journal
from easyremote.journal.payloads import INLINE
from easyremote.node.spool import NodeSpool, Spooled
from easyremote.protocol.builtins import CALL, CELL
from easyremote.protocol.call import HeldCall
from easyremote.protocol.messages import Attach, Delivered, HandBack, Register, Resume
from easyremote.serialize.calls import pack_call
from easyremote.serialize.values import Dumped, dump, dump_call
from tests.node.gateway_stand import GatewayStand, Node, open_stand
from tests.processes import LIMIT, wait_until

PROGRAM = Path(__file__).with_name("durable_program.py")
#: Every way in which a node runs a call.
WAYS = ("work", "work_async", "work_apart", CALL, CELL)
#: The same, by the calls' numbers.
CALLS = dict(enumerate(WAYS, 1))
CELL_CODE = """
import os, pathlib, time
file = os.open({ledger!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
os.write(file, b"ran\\n")
while {gate!r} and not pathlib.Path({gate!r}).exists():
    time.sleep(0.01)
bytes({size})
"""


def shipped(ledger: str, gate: str, size: int) -> bytes:
    import os
    import time

    file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, b"ran\n")
    while gate and not os.path.exists(gate):
        time.sleep(0.01)
    return bytes(size)


class Nodes:
    """The node of one test, killed and started again; and the ledgers of its calls."""

    def __init__(self, stand: GatewayStand) -> None:
        self.stand = stand
        self.processes: list[subprocess.Popen[bytes]] = []

    async def start(self) -> Node:
        """The node, or a new process of it, when it has said RESUME."""
        self.processes.append(self.stand.start(PROGRAM))
        return await self.stand.joined()

    def kill(self) -> None:
        self.processes[-1].kill()
        self.processes[-1].wait(LIMIT)

    async def stop(self, node: Node) -> None:
        """End the node, when it has heard what it was told so far."""
        node.dispatch(99, "work", self.arguments("work", 99), durable=False)
        await node.outcome(99)
        node.link.send(Delivered((99,)))
        self.processes[-1].send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(self.processes[-1].wait, LIMIT) == 0

    def arguments(self, way: str, number: int, gate: str = "", size: int = 3) -> Dumped:
        ledger = str(self.ledger(number))
        if way == CELL:
            code = CELL_CODE.format(ledger=ledger, gate=gate, size=size)
            return dump({"code": code, "count": 1})
        if way == CALL:
            return pack_call(shipped, (ledger, gate, size), {}, python=None).dumped()
        return dump_call((ledger, gate, size), {})

    def ledger(self, number: int) -> Path:
        return self.stand.home / f"ledger-{number}"

    def ran(self, number: int) -> int:
        """How often a call ran."""
        ledger = self.ledger(number)
        return len(ledger.read_text().split()) if ledger.exists() else 0

    def dispatch_all(self, node: Node, gate: str = "", size: int = 3) -> dict[int, bytes]:
        return {
            number: node.dispatch(
                number, way, self.arguments(way, number, gate, size), fence=number, session="s"
            )
            for number, way in CALLS.items()
        }

    # -- its disk ----------------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        return self.stand.home / "nodes"

    def file(self, suffix: str) -> Path:
        (file,) = self.folder.glob(f"*{suffix}")
        return file

    def outcomes(self) -> list[bytes | None]:
        """What the journal holds of each call; the node does not run."""
        with closing(sqlite3.connect(self.file(".db"))) as database:
            return [outcome for (outcome,) in database.execute("SELECT outcome FROM calls")]

    def check_empty(self) -> None:
        """No row, no file: the node does not run."""
        assert self.outcomes() == []
        assert list(self.file(".payloads").iterdir()) == []


@pytest_asyncio.fixture
async def nodes() -> AsyncIterator[Nodes]:
    async with open_stand() as stand:
        nodes = Nodes(stand)
        yield nodes
        for process in nodes.processes:
            process.kill()
            process.wait(LIMIT)


async def until(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(wait_until, condition)


@pytest.mark.parametrize("size", [3, INLINE + 1], ids=["row", "file"])
@pytest.mark.asyncio
async def test_an_outcome_that_was_not_delivered_is_brought_back_and_runs_once(
    nodes: Nodes, size: int
) -> None:
    node = await nodes.start()
    await node.resumed()
    ids = nodes.dispatch_all(node, size=size)
    values = {number: await node.outcome(number) for number in CALLS}
    nodes.kill()

    node = await nodes.start()
    named = await node.until(Resume)
    assert dict(zip(named.call_ids, named.fences, strict=True)) == {
        call_id: number for number, call_id in ids.items()
    }
    numbers = {ids_: number for number, ids_ in ids.items()}
    await node.resumed(*(numbers[call_id] for call_id in named.call_ids))
    for number, way in CALLS.items():
        again = await node.outcome(number)
        assert again[0] == "", way
        if way != CELL:
            assert again == values[number] == ("", bytes(size)), way
        assert nodes.ran(number) == 1, way
    node.link.send(Delivered(tuple(CALLS)))
    await nodes.stop(node)
    nodes.check_empty()


@pytest.mark.asyncio
async def test_a_call_that_ran_when_its_node_was_killed_is_lost_and_does_not_run_again(
    nodes: Nodes, tmp_path: Path
) -> None:
    node = await nodes.start()
    await node.resumed()
    gate = tmp_path / "gate"
    ids = nodes.dispatch_all(node, gate=str(gate))
    await until(lambda: all(nodes.ran(number) == 1 for number in CALLS))
    nodes.kill()
    gate.touch()

    node = await nodes.start()
    named = await node.until(Resume)
    assert set(named.call_ids) == set(ids.values())
    await node.resumed(*range(1, 1 + len(CALLS)))
    for number in CALLS:
        code, body = await node.outcome(number)
        assert code == "lost"
        assert isinstance(body, bytes)
        assert b"was restarted while it ran" in body
    assert all(message.may_have_run for message in node.said if hasattr(message, "may_have_run"))
    node.link.send(Delivered(tuple(CALLS)))
    await nodes.stop(node)
    nodes.check_empty()
    assert all(nodes.ran(number) == 1 for number in CALLS)


@pytest.mark.asyncio
async def test_a_call_that_waited_when_its_node_was_killed_is_not_named_and_has_not_run(
    nodes: Nodes, tmp_path: Path
) -> None:
    node = await nodes.start()
    await node.resumed()
    gate = str(tmp_path / "gate")
    first, *_ = (
        node.dispatch(number, CELL, nodes.arguments(CELL, number, gate), session="s")
        for number in (1, 2, 3)
    )
    await until(lambda: nodes.ran(1) == 1)
    before = await node.until(Register, lambda said: bool(said.journal))
    nodes.kill()
    node = await nodes.start()
    assert (await node.until(Resume)).call_ids == (first,)
    # By this the gateway knows that the others never began.
    assert (await node.until(Register)).journal == before.journal
    assert nodes.ran(2) == nodes.ran(3) == 0


@pytest.mark.asyncio
async def test_an_error_is_brought_back_as_it_was(nodes: Nodes) -> None:
    node = await nodes.start()
    await node.resumed()
    node.dispatch(1, "fail", dump_call((str(nodes.ledger(1)),), {}))
    code, body = await node.outcome(1)
    nodes.kill()
    node = await nodes.start()
    await node.resumed(1)
    assert await node.outcome(1) == (code, body)
    assert code == "raised"
    assert isinstance(body, bytes)
    assert b"on purpose" in body
    assert nodes.ran(1) == 1


@pytest.mark.asyncio
async def test_what_a_new_connection_asks_for_is_said_once_more_and_runs_once(
    nodes: Nodes,
) -> None:
    node = await nodes.start()
    await node.resumed()
    nodes.dispatch_all(node)
    for number in CALLS:
        await node.outcome(number)
    for number in CALLS:
        node.link.send(Attach(number))
    await until(lambda: all(node.count(number) == 2 for number in CALLS))
    assert all(nodes.ran(number) == 1 for number in CALLS)


@pytest.mark.asyncio
async def test_an_outcome_that_no_gateway_wants_is_forgotten(nodes: Nodes) -> None:
    node = await nodes.start()
    await node.resumed()
    nodes.dispatch_all(node, size=INLINE + 1)
    for number in CALLS:
        await node.outcome(number)
    nodes.kill()
    node = await nodes.start()
    await node.resumed(*[0] * len(CALLS))
    node.dispatch(9, "work", nodes.arguments("work", 9))
    await node.outcome(9)
    node.link.send(Delivered((9,)))
    await nodes.stop(node)
    nodes.check_empty()


@pytest.mark.asyncio
async def test_attached_calls_cost_no_disk(nodes: Nodes) -> None:
    node = await nodes.start()
    await node.resumed()
    for number, way in CALLS.items():
        arguments = nodes.arguments(way, number)
        node.dispatch(number, way, arguments, durable=False, session="s")
    for number in CALLS:
        await node.outcome(number)
    assert not nodes.folder.exists()
    assert not (await node.until(Register)).journal
    await nodes.stop(node)


@pytest.mark.asyncio
async def test_a_durable_call_is_refused_where_the_disk_does_not_take_it(nodes: Nodes) -> None:
    nodes.folder.write_text("no folder")
    node = await nodes.start()
    await node.resumed()
    nodes.dispatch_all(node)
    for number in CALLS:
        code, _ = await node.outcome(number)
        assert code == "storage"
        assert nodes.ran(number) == 0
    assert not any(getattr(message, "may_have_run", False) for message in node.said)
    nodes.folder.unlink()  # what was wrong is mended: the node need not be started again
    node.dispatch(9, "work", nodes.arguments("work", 9))
    assert await node.outcome(9) == ("", bytes(3))


@pytest.fixture
def small_disk(nodes: Nodes) -> Iterator[Path]:
    """A disk of one megabyte where the node's journal is."""
    nodes.folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(nodes.folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield nodes.folder
    for process in nodes.processes:
        process.kill()
        process.wait(LIMIT)
    subprocess.run(["umount", str(nodes.folder)], check=True)


@pytest.mark.asyncio
async def test_on_a_full_disk_a_call_is_refused_and_no_value_is_lost(
    nodes: Nodes, small_disk: Path
) -> None:
    node = await nodes.start()
    await node.resumed()
    node.dispatch(1, "work", nodes.arguments("work", 1, size=2_000_000))
    assert await node.outcome(1) == ("", bytes(2_000_000))  # said, though it has no room here
    fill = small_disk / "fill"
    with fill.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
    for number in range(2, 30):
        node.dispatch(number, "work", nodes.arguments("work", number))
        code, body = await node.outcome(number)
        assert nodes.ran(number) == (code == "")
        if code:
            break
        node.link.send(Delivered((number,)))
    assert code == "storage-full"
    fill.unlink()
    node.dispatch(50, "work", nodes.arguments("work", 50))
    assert await node.outcome(50) == ("", bytes(3))


@pytest.mark.parametrize("column", ["begun", "ended", "outcome"])
@pytest.mark.asyncio
async def test_a_flipped_bit_gives_no_wrong_value_and_no_second_execution(
    nodes: Nodes, column: str
) -> None:
    node = await nodes.start()
    await node.resumed()
    call_id = node.dispatch(1, "work", nodes.arguments("work", 1))
    await node.outcome(1)
    journal = (await node.until(Register, lambda said: bool(said.journal))).journal
    nodes.kill()
    with closing(sqlite3.connect(nodes.file(".db"))) as database:
        ((cell,),) = database.execute(f"SELECT {column} FROM calls")
        flipped = cell[:-1] + bytes([cell[-1] ^ 1])
        database.execute(f"UPDATE calls SET {column} = ?", (flipped,))
        database.commit()

    node = await nodes.start()
    named = await node.until(Resume)
    if column == "begun":
        # Who asks for the call is told that nobody knows: the journal is no longer that one.
        assert named.call_ids == ()
        assert (await node.until(Register)).journal not in (journal, b"")
    else:
        assert named.call_ids == (call_id,)
        await node.resumed(1)
        assert (await node.outcome(1))[0] == "storage-damaged"
    assert nodes.ran(1) == 1


@pytest.mark.asyncio
async def test_a_journal_that_another_process_has_refuses_durable_calls_and_no_others(
    nodes: Nodes,
) -> None:
    first = await nodes.start()
    await first.resumed()
    first.dispatch(1, "work", nodes.arguments("work", 1))
    await first.outcome(1)
    with pytest.raises(UsageError, match=f"process {nodes.processes[0].pid}"):
        Journal.open(nodes.folder, nodes.file(".db").stem, "")
    second = await nodes.start()
    await second.resumed()
    assert (await second.until(Register)).journal == b""
    second.dispatch(2, "work", nodes.arguments("work", 2))
    assert (await second.outcome(2))[0] == "usage"
    second.dispatch(3, "work", nodes.arguments("work", 3), durable=False)
    assert await second.outcome(3) == ("", bytes(3))
    nodes.processes[0].kill()
    nodes.processes[0].wait(LIMIT)
    second.dispatch(4, "work", nodes.arguments("work", 4))
    assert await second.outcome(4) == ("", bytes(3))
    assert (await second.until(Register, lambda said: bool(said.journal))).journal
    assert [nodes.ran(number) for number in (1, 2, 3, 4)] == [1, 0, 1, 1]


@pytest.mark.asyncio
async def test_what_a_node_that_stops_hands_back_is_not_in_its_journal(
    nodes: Nodes, tmp_path: Path
) -> None:
    node = await nodes.start()
    await node.resumed()
    gate = tmp_path / "gate"
    slots = (await node.until(Register)).slots
    numbers = range(1, slots + 3)
    for number in numbers:
        node.dispatch(number, "work", nodes.arguments("work", number, str(gate)))
    await until(lambda: sum(map(nodes.ran, numbers)) == slots)
    nodes.processes[-1].send_signal(signal.SIGTERM)
    handed_back = (await node.until(HandBack)).calls
    assert set(handed_back) == {number for number in numbers if not nodes.ran(number)}
    gate.touch()
    for number in set(numbers) - set(handed_back):
        assert await node.outcome(number) == ("", bytes(3))
    assert await asyncio.to_thread(nodes.processes[-1].wait, LIMIT) == 0
    outcomes = nodes.outcomes()
    assert len(outcomes) == slots
    assert None not in outcomes


# -- one process -----------------------------------------------------------------------------------


def held_call() -> HeldCall:
    return HeldCall(
        *(1, os.urandom(16), 1, "work", "", "alice", 0.0, 0.0, 0.0, ""), is_durable=True
    )


def test_a_call_that_nobody_wants_while_it_begins_leaves_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, held = NodeSpool(tmp_path, "n", "k"), held_call()
    write = spool._write_begin

    def write_slowly(held: HeldCall) -> None:
        write(held)
        spool.forget(held)

    monkeypatch.setattr(spool, "_write_begin", write_slowly)
    spool.begin(held)
    spool.close()
    left: list[Sequence[Spooled]] = []
    again = NodeSpool(tmp_path, "n", "k")
    again.found = left.append
    again.look()
    again.close()
    assert left == [[]]


def test_each_node_and_each_gateway_has_a_journal_of_its_own(tmp_path: Path) -> None:
    names = ["n", "m", "a/../b", ".." * 20, "ü" * 200]
    spools = [NodeSpool(tmp_path, name, key) for name in names for key in ("k", "l")]
    for spool in spools:
        spool.begin(held_call())
    assert len(list(tmp_path.glob("*.db"))) == len(spools)
    for spool in spools:
        spool.close()
