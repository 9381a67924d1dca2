"""A line to a gateway by itself, without a gateway."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from easyremote.client.connection import GatewayConnection, Line
from easyremote.client.io_thread import io_thread
from easyremote.client.job import RemoteJob
from easyremote.config import Settings
from easyremote.errors import GatewayUnreachable, NotAuthorized
from easyremote.identity import Key
from easyremote.protocol.messages import Payload, Submit
from tests.processes import LIMIT

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
