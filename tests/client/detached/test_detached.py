"""Detached calls through real processes: whoever is gone, they go on, and are found again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from easyremote import remote
from easyremote.client.client import Client, standing_in
from easyremote.client.job import RemoteJob
from easyremote.errors import Busy, CallCancelled, CallTimeout, CannotShip, NotFound, UsageError
from easyremote.gateway.keys import KeyStore
from easyremote.serialize.files import File
from tests.processes import LIMIT, Gateway, end, start_gateway, wait_until


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    started = start_gateway(tmp_path_factory.mktemp("home"))
    node = started.start_node("gpu-node")
    yield started
    end(node)
    end(started.process)


@pytest.fixture
def client(own: Gateway) -> Iterator[Client]:
    with own.client() as made:
        yield made


def test_a_registered_function_is_detached_and_found_by_its_id(
    own: Gateway, client: Client
) -> None:
    job = client.detach("add", 1, 2)
    assert job.result(LIMIT) == 3
    with own.client() as other:
        assert other.attach(job.call_id).result(LIMIT) == 3


def test_a_function_with_a_body_is_detached(client: Client) -> None:
    def triple(number):
        return 3 * number

    assert client.on("gpu-node").detach(triple, 7).result(LIMIT) == 21


def test_a_remote_function_is_detached_with_what_its_decorator_says(
    own: Gateway, client: Client
) -> None:
    @remote(node_id="gpu-node", keep="2h")
    def total(values):
        return values.sum()

    values = np.ones(300_000)  # a file of the journal, not a row
    with standing_in(client):
        job = total.detach(values)
    assert job.result(LIMIT) == 300_000
    assert job.look().node_id == "gpu-node"
    left = job.look().keep_until - time.time()
    assert left == pytest.approx(2 * 3600, abs=120)


def test_an_array_comes_back_whole_from_a_file_of_the_journal(client: Client) -> None:
    made = client.on("gpu-node").detach(np.arange, 400_000)
    other = client.attach(made.call_id)
    assert np.array_equal(other.result(LIMIT), np.arange(400_000))
    assert client.attach(made.call_id).look().size > 400_000 * 8


def test_an_error_keeps_its_type(client: Client) -> None:
    def fail():
        raise FileNotFoundError(2, "No such file", "data.csv")

    job = client.on("gpu-node").detach(fail)
    for each in (job, client.attach(job.call_id)):
        with pytest.raises(FileNotFoundError) as caught:
            each.result(LIMIT)
        assert caught.value.filename == "data.csv"
    assert job.look().code == "raised"


def test_a_call_is_cancelled_from_elsewhere(own: Gateway, client: Client, tmp_path: Path) -> None:
    started = tmp_path / "started"
    job = client.detach("wait_for", str(tmp_path / "never"), str(started))
    wait_until(started.exists)
    with own.client() as other:
        assert other.attach(job.call_id).cancel() is True
    with pytest.raises(CallCancelled):
        job.result(LIMIT)
    assert job.cancel() is False


def test_a_call_that_is_over_in_time_is_awaited(client: Client) -> None:
    async def both() -> list[int]:
        jobs = [await asyncio.to_thread(client.detach, "add", number, 1) for number in (1, 2)]
        return await asyncio.gather(*jobs)

    assert asyncio.run(both()) == [2, 3]


def test_a_call_that_takes_longer_than_it_may_ends_with_a_timeout(
    client: Client, tmp_path: Path
) -> None:
    never, started = str(tmp_path / "never"), str(tmp_path / "started")
    job = client.on(timeout=0.5).detach("wait_for", never, started)
    with pytest.raises(CallTimeout):
        job.result(LIMIT)


def test_what_a_function_needs_of_this_machine_is_refused(client: Client, tmp_path: Path) -> None:
    def items():
        yield 1

    with pytest.raises(UsageError, match=r"items\(\) is a generator"):
        client.on("gpu-node").detach(items)
    with pytest.raises(UsageError, match=r"count\(\) is a generator"):
        client.detach("count", 3)
    with pytest.raises(UsageError, match=r"count\(\) is a generator"):
        remote(stream=True, function_name="count")(items).detach()
    file = tmp_path / "data.csv"
    file.write_text("1,2")
    with pytest.raises(CannotShip, match="takes no files along"):
        client.on("gpu-node").detach(Path.read_text, File(file))
    with pytest.raises(NotFound, match="No node online has a function 'nothing'"):
        client.detach("nothing")
    with pytest.raises(UsageError, match="keep is a number with its unit"):
        client.on(keep="long")


def test_there_is_none_of_another_key_and_none_by_a_wrong_id(own: Gateway, client: Client) -> None:
    job = client.detach("add", 1, 2)
    keys = KeyStore(own.home / "gateway.sqlite3")
    key = keys.create("client", "somebody else")
    keys.close()
    with Client(own.address, str(key)) as other:
        with pytest.raises(NotFound, match="another key has made it"):
            other.attach(job.call_id)
        assert other.outstanding() == []
        assert other.stop(job.call_id) is False
    with pytest.raises(NotFound):
        client.attach("no id")
    assert job.result(LIMIT) == 3


def test_the_gateways_owner_says_how_much_a_key_may_keep(tmp_path: Path) -> None:
    own = start_gateway(tmp_path / "home", 0, "--max-kept", "100KB")
    node = own.start_node("gpu-node")
    try:
        with own.client() as client:
            with pytest.raises(Busy, match=r"100 KB is the most.*release\(\)"):
                client.detach("echo", bytes(120_000))
            kept = client.detach("echo", bytes(80_000))
            kept.result(LIMIT)
            with pytest.raises(Busy):
                client.detach("echo", bytes(80_000))
            kept.release()
            assert client.detach("echo", bytes(80_000)).result(LIMIT) == bytes(80_000)
    finally:
        end(node)
        end(own.process)


def test_attached_calls_cost_no_disk(tmp_path: Path) -> None:
    own = start_gateway(tmp_path / "home")
    node = own.start_node("gpu-node")
    try:
        with own.client() as client:
            assert [job.result(LIMIT) for job in calls(client)] == list(range(100))
            assert not (own.home / "journal").exists()
            client.detach("add", 0, 0).result(LIMIT)
            journal = own.home / "journal" / "detached.db-wal"
            before = journal.stat()
            assert [job.result(LIMIT) for job in calls(client)] == list(range(100))
            after = journal.stat()
            assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    finally:
        end(node)
        end(own.process)


def calls(client: Client) -> list[RemoteJob[int]]:
    return [client.call("add", (number, 0)) for number in range(100)]


def test_a_call_goes_on_without_its_client_and_through_the_death_of_the_gateway(
    tmp_path: Path,
) -> None:
    own = start_gateway(tmp_path / "home")
    node = own.start_node("gpu-node")
    gate, again = tmp_path / "gate", None
    try:
        made = subprocess.run(
            [sys.executable, "-c", DETACHES, str(gate), str(tmp_path / "started")],
            env=own.environment(),
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        assert made.returncode == -9, made.stderr
        call_id = made.stdout.strip()
        with own.client() as client:
            wait_until(lambda: client.attach(call_id).look().state == "running")
        own.process.kill()
        own.process.wait(LIMIT)
        again = start_gateway(own.home, int(own.address.split(":")[1]))
        with again.client() as client:
            assert [call.call_id for call in client.outstanding()] == [call_id]
            job = client.attach(call_id)
            wait_until(lambda: job.look().state == "running")
            gate.touch()
            assert job.result(LIMIT) == node.pid
            assert job.look().node_id == "gpu-node"
            assert job.release() is True
            assert client.outstanding() == []
            with pytest.raises(NotFound, match="released"):
                client.attach(call_id)
    finally:
        end(node)
        for each in (own, again):
            if each is not None:
                end(each.process)


#: Detaches a call that waits for a file, tells its id, and is killed.
DETACHES = """
import os, signal, sys
from easyremote import Client
print(Client().detach("wait_for", *sys.argv[1:]).call_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
