"""Detached calls through real processes: whoever is gone, they go on, and are found again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from easyremote.client.client import Client
from easyremote.errors import NotFound
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


def test_a_function_with_a_body_is_detached(own: Gateway, client: Client) -> None:
    def triple(number):
        return 3 * number

    assert client.on("gpu-node").detach(triple, 7).result(LIMIT) == 21


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
