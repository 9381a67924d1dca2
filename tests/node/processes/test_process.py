"""`Process` on its own, with a real process."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil
import pytest

from easyremote.config import GATEWAY_VARIABLE, KEY_VARIABLE
from easyremote.node.forking import INTERRUPT
from easyremote.node.processes import process as process_module
from easyremote.node.processes.fork_server import Child, ForkServer
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

    def __init__(self, forks: ForkServer, environment: dict[str, str] | None = None) -> None:
        self.process = Process("alice", "", environment or {})
        self.forks = forks
        self.heard: list[Message] = []
        self._news = asyncio.Event()

    async def start(self) -> None:
        await self.process.start(self.forks)

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


async def test_a_process_runs_calls_until_it_is_killed(forks: ForkServer) -> None:
    served = Served(forks)
    await served.start()
    serving = asyncio.create_task(served.process.serve(served.receive))
    served.call(1, os.getpid)
    assert served.process.child is not None
    assert await served.value(1) == served.process.child.pid
    served.process.signal(signal.SIGKILL)
    async with asyncio.timeout(LIMIT):
        assert await serving == -signal.SIGKILL
    served.process.signal(signal.SIGTERM)  # too late, and no error


async def test_a_signal_that_comes_before_the_process_waits_for_it(forks: ForkServer) -> None:
    served = Served(forks)
    served.process.signal(signal.SIGTERM)
    await served.start()
    async with asyncio.timeout(LIMIT):
        assert await served.process.serve(served.receive) == -signal.SIGTERM


async def test_a_process_sees_what_the_node_sees_but_not_its_key(
    forks: ForkServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await forks.ready()  # what the node changes later counts, too
    for name in (KEY_VARIABLE, GATEWAY_VARIABLE):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("NOT_UTF8", os.fsdecode(b"\xff="))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.chdir(tmp_path)
    served = Served(forks, {"OF_THE_POLICY": "yes"})
    await served.start()
    serving = asyncio.create_task(served.process.serve(served.receive))
    names = (KEY_VARIABLE, GATEWAY_VARIABLE, "OF_THE_POLICY", "NOT_UTF8")
    for number, name in enumerate(names, 1):
        served.call(number, os.getenv, name)
    values = [await served.value(number) for number in range(1, 5)]
    assert values == [None, None, "yes", os.fsdecode(b"\xff=")]
    served.call(5, os.getcwd)
    served.call(6, time.strftime, "%Z")
    assert [await served.value(5), await served.value(6)] == [str(tmp_path), "JST"]
    served.process.signal(signal.SIGKILL)
    await serving


async def test_processes_of_one_fork_server_draw_different_numbers(forks: ForkServer) -> None:
    drawn = set()
    for _ in range(2):
        served = Served(forks)
        await served.start()
        serving = asyncio.create_task(served.process.serve(served.receive))
        served.call(1, random.random)
        drawn.add(await served.value(1))
        served.process.signal(signal.SIGKILL)
        await serving
    assert len(drawn) == 2


async def test_a_process_that_can_not_start_leaves_no_descriptor(
    forks: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*args: object) -> None:
        raise OSError("no process")

    monkeypatch.setattr(forks, "start", broken)
    before = psutil.Process().num_fds()
    for _ in range(TRIES):
        with pytest.raises(OSError, match="no process"):
            await Process("alice", "", {}).start(forks)
    # Other threads of this test process open and close a few of their own meanwhile.
    assert psutil.Process().num_fds() - before < TRIES / 2


async def test_a_message_that_the_supervisor_can_not_handle_is_its_own_matter(
    forks: ForkServer,
) -> None:
    served = Served(forks)
    await served.start()

    def broken(process: Process, message: Message) -> None:
        raise RuntimeError("a mistake")

    serving = asyncio.create_task(served.process.serve(broken))
    served.call(1, print, "x")
    async with asyncio.timeout(LIMIT):
        assert await serving is not None  # it is reaped: nothing of it stays
    assert not any(isinstance(message, Event) for message in served.heard)


def interrupted_now() -> str:
    """The signal comes just now."""
    try:
        os.kill(os.getpid(), INTERRUPT)
    except KeyboardInterrupt:
        return "interrupted"
    return "went on"


async def test_an_interrupt_that_comes_late_meets_no_other_call(forks: ForkServer) -> None:
    served = Served(forks)
    await served.start()
    serving = asyncio.create_task(served.process.serve(served.receive))
    ledger = served.process.ledger
    assert ledger is not None
    served.call(1, os.getpid)
    await served.value(1)
    ledger.interrupt(1)
    served.call(2, interrupted_now)
    assert await served.value(2) == "went on"
    served.process.signal(signal.SIGKILL)
    async with asyncio.timeout(LIMIT):
        await serving


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_a_process_that_was_told_to_end_gets_no_call_any_more(
    forks: ForkServer, number: int
) -> None:
    served = Served(forks)
    await served.start()
    assert served.process.is_free
    served.process.signal(INTERRUPT)
    assert served.process.is_free
    served.process.signal(number)
    assert not served.process.is_free, "it may be alive for a moment, and begin what it is given"
    async with asyncio.timeout(LIMIT):
        await served.process.serve(served.receive)


async def test_who_was_signalled_may_act_on_it_while_all_others_stand_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, sent = [1000.0], list[int]()
    monkeypatch.setattr(process_module.time, "monotonic", lambda: now[0])
    process = Process("alice", "s", {})
    process.child = cast(Child, SimpleNamespace(signal=sent.append, pid=1))
    process.pause()
    process.signal(signal.SIGINT)
    assert (sent, process.is_paused) == ([signal.SIGSTOP, signal.SIGINT, signal.SIGCONT], False)
    process.pause()
    assert not process.is_paused, "it would never come to its interrupt"
    now[0] += process_module.AWAKE
    process.pause()
    assert process.is_paused, "who does not heed it runs on no longer than that"
    process.go_on()
    process.pause()
    assert process.is_paused, "SIGSTOP and SIGCONT are nothing to act on"
