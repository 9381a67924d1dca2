"""A line to a gateway by itself, without a gateway."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from easyremote.client.connection import GatewayConnection, Line
from easyremote.client.io_thread import io_thread
from easyremote.client.job import RemoteJob
from easyremote.config import Settings
from easyremote.errors import GatewayUnreachable, NotAuthorized
from easyremote.identity import Key
from easyremote.protocol.messages import Payload, Submit
from tests.processes import LIMIT, end, free_port, start_gateway

SETTINGS = Settings("127.0.0.1:1", str(Key.generate("client")))


def on_io_thread(function: Any, *args: Any) -> None:
    done = threading.Event()
    io_thread().call(function, *args)
    io_thread().call(done.set)
    assert done.wait(LIMIT)


def test_a_call_that_takes_a_line_as_it_ends_is_told_at_once() -> None:
    line = Line(SETTINGS)
    on_io_thread(line._end, NotAuthorized("The key was revoked."))
    call_id = os.urandom(16)
    job = RemoteJob[int](line, "add", call_id)
    line.submit(job, Submit(0, call_id, "", "add", Payload()), [b""], 0)
    with pytest.raises(NotAuthorized, match="The key was revoked"):
        job.result(LIMIT)


def test_a_gateway_that_is_not_there_is_told_and_dialled_anew_by_the_next_call() -> None:
    connection = GatewayConnection(SETTINGS)
    for _ in range(2):
        with pytest.raises(GatewayUnreachable, match="No gateway answers at 127.0.0.1:1"):
            connection.line()
    assert connection.number == 0
    connection.close()
    connection.close()


def test_a_line_that_was_begun_and_failed_is_dialled_anew_by_the_first_call(tmp_path: Path) -> None:
    port = free_port()
    gateway = start_gateway(tmp_path, port)
    settings = Settings(f"127.0.0.1:{port}", gateway.keys["client"])
    end(gateway.process)
    connection = GatewayConnection(settings)
    connection.begin()
    begun = connection._line
    assert begun is not None
    assert begun.ready.wait(LIMIT) and begun.error is not None
    gateway = start_gateway(tmp_path, port)
    assert connection.line().error is None
    assert connection.number == 1
    connection.close()
    end(gateway.process)


def test_a_line_that_was_begun_is_the_one_that_calls_take(tmp_path: Path) -> None:
    gateway = start_gateway(tmp_path)
    connection = GatewayConnection(Settings(gateway.address, gateway.keys["client"]))
    connection.begin()
    begun = connection._line
    connection.begin()
    assert connection.line() is begun
    assert connection.number == 1
    end(gateway.process)
    connection.close()
    connection.begin()
    assert connection._line is None, "it is closed for good"
