"""`Process` on its own, with a real process."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import psutil
import pytest

from easyremote.config import GATEWAY_VARIABLE, KEY_VARIABLE
from easyremote.node.processes import process as module
from easyremote.node.processes.process import Process
from easyremote.protocol.builtins import CALL
from easyremote.protocol.messages import Dispatch, Event, Finished, Message, Payload
from easyremote.serialize.calls import pack_call
from easyremote.serialize.values import load
from tests.processes import LIMIT

pytestmark = pytest.mark.asyncio

#: How often a start fails; a descriptor that each leaves stands out among those of other threads.
TRIES = 20


class Served:
    """A process whose messages are kept."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self.process = Process("alice", "", environment or {})
        self.heard: list[Message] = []
        self._news = asyncio.Event()

    def receive(self, process: Process, message: Message) -> None:
        assert process is self.process
        self.heard.append(message)
        self._news.set()

    def call(self, number: int, function: Any, *args: object) -> None:
        packed = pack_call(function, args, {}, python=None)
        body = b"".join(bytes(part) for part in packed.dumped().parts)
        payload = Payload("pickle5", len(body), body)
        message = Dispatch(number, bytes([number]) * 16, 0, CALL, payload, owner="alice")
        self.process.link.send(message)

    async def value(self, number: int) -> object:
        async with asyncio.timeout(LIMIT):
            while True:
                for message in self.heard:
                    if isinstance(message, Finished) and message.call == number:
                        return load(message.payload.data)
                self._news.clear()
                await self._news.wait()


async def test_a_process_runs_calls_until_it_is_killed() -> None:
    served = Served()
    await served.process.start()
    serving = asyncio.create_task(served.process.serve(served.receive))
    served.call(1, os.getpid)
    assert served.process.popen is not None
    assert await served.value(1) == served.process.popen.pid
    served.process.signal(signal.SIGKILL)
    async with asyncio.timeout(LIMIT):
        assert await serving == -signal.SIGKILL
    served.process.signal(signal.SIGTERM)  # too late, and no error


async def test_a_signal_that_comes_before_the_process_waits_for_it() -> None:
    served = Served()
    served.process.signal(signal.SIGTERM)
    await served.process.start()
    async with asyncio.timeout(LIMIT):
        assert await served.process.serve(served.receive) == -signal.SIGTERM


async def test_a_process_does_not_see_the_nodes_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (KEY_VARIABLE, GATEWAY_VARIABLE):
        monkeypatch.setenv(name, "secret")
    served = Served({"OF_THE_POLICY": "yes"})
    await served.process.start()
    serving = asyncio.create_task(served.process.serve(served.receive))
    for number, name in enumerate((KEY_VARIABLE, GATEWAY_VARIABLE, "OF_THE_POLICY"), 1):
        served.call(number, os.getenv, name)
    assert [await served.value(number) for number in (1, 2, 3)] == [None, None, "yes"]
    served.process.signal(signal.SIGKILL)
    await serving


async def test_a_process_that_can_not_start_leaves_no_descriptor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*args: object, **how: object) -> None:
        raise OSError("no process")

    monkeypatch.setattr(module, "_start_uninterrupted", broken)
    before = psutil.Process().num_fds()
    for _ in range(TRIES):
        with pytest.raises(OSError, match="no process"):
            await Process("alice", "", {}).start()
    # Other threads of this test process open and close a few of their own meanwhile.
    assert psutil.Process().num_fds() - before < TRIES / 2


async def test_a_message_that_the_supervisor_can_not_handle_is_its_own_matter() -> None:
    served = Served()
    await served.process.start()

    def broken(process: Process, message: Message) -> None:
        raise RuntimeError("a mistake")

    serving = asyncio.create_task(served.process.serve(broken))
    served.call(1, print, "x")
    async with asyncio.timeout(LIMIT):
        assert await serving is not None  # it is reaped: nothing of it stays
    assert not any(isinstance(message, Event) for message in served.heard)
