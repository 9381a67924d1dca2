"""`Runner` on its own: the test plays the gateway. The rest is in ``test_compute_node.py``."""

from __future__ import annotations

import asyncio
import threading

import pytest

from easyremote.node.functions import Functions
from easyremote.node.registered.runner import Runner
from easyremote.protocol.failures import unpack_error
from easyremote.protocol.messages import Cancel, Dispatch, Finished, HandBack, Payload
from easyremote.serialize.values import dump_call
from tests.processes import LIMIT
from tests.protocol.wires import open_link, sent_by

pytestmark = pytest.mark.asyncio


async def test_when_the_node_stops_what_waits_for_a_thread_goes_back_and_never_runs() -> None:
    functions, ran = Functions(), []
    began, gate = threading.Event(), threading.Event()

    def gated(number: int) -> int:
        ran.append(number)
        began.set()
        gate.wait(LIMIT)
        return number

    functions.register(gated)
    runner, link = Runner(functions, slots=1, node_id="n"), open_link()
    runner.bind(asyncio.get_running_loop())
    runner.callee.attach(link)
    for number in (1, 2):
        parts = dump_call((number,), {}).parts
        payload = Payload("pickle5", sum(map(len, parts)), b"".join(parts))
        call_id = bytes([number]) * 16
        runner.callee.receive(Dispatch(number, call_id, number, "gated", payload))
    assert await asyncio.to_thread(began.wait, LIMIT)
    runner.hand_back()
    assert HandBack((2,)) in sent_by(link)
    gate.set()
    async with asyncio.timeout(LIMIT):
        while runner.callee.unfinished:
            await asyncio.sleep(0.01)
    assert [each.call for each in sent_by(link) if isinstance(each, Finished)] == [1]
    runner.close()
    assert ran == [1]


class Gated:
    """A runner with one thread, and a function that runs until the gate is open."""

    def __init__(self) -> None:
        functions = Functions()
        self.ran: list[int] = []
        self.began, self.gate = threading.Event(), threading.Event()
        functions.register(self.gated, name="gated")
        self.runner, self.link = Runner(functions, slots=1, node_id="n"), open_link()
        self.runner.bind(asyncio.get_running_loop())
        self.runner.callee.attach(self.link)

    def gated(self, number: int) -> int:
        self.ran.append(number)
        self.began.set()
        while not self.gate.wait(0.01):
            pass  # where it can be stopped
        return number

    def dispatch(self, number: int, **times: float) -> None:
        parts = dump_call((number,), {}).parts
        payload = Payload("pickle5", sum(map(len, parts)), b"".join(parts))
        message = Dispatch(number, bytes([number]) * 16, number, "gated", payload, **times)  # type: ignore[arg-type]  # times are the rest
        self.runner.callee.receive(message)

    async def finished(self) -> Finished:
        async with asyncio.timeout(LIMIT):
            while not (ends := [each for each in sent_by(self.link) if type(each) is Finished]):
                await asyncio.sleep(0.01)
        (end,) = ends
        return end


async def test_a_call_that_waits_too_long_for_a_thread_ends_and_never_runs() -> None:
    gated = Gated()
    gated.dispatch(1)
    assert await asyncio.to_thread(gated.began.wait, LIMIT)
    gated.dispatch(2, queue_timeout=0.01)
    end = await gated.finished()
    assert (end.call, end.code, end.may_have_run) == (2, "timeout", False)
    text = unpack_error(end.payload.data)[1]
    assert text == "No turn came in time: all threads of 'n' are busy. It did not run."
    gated.gate.set()
    assert (await gated.finished()).call == 1
    gated.dispatch(3, queue_timeout=LIMIT)  # the thread is free, and the slot is not lost
    assert (await gated.finished()).call == 3
    assert gated.ran == [1, 3]
    gated.runner.close()


async def test_a_call_that_got_its_turn_in_time_may_run_longer_than_it_may_wait() -> None:
    gated = Gated()
    gated.dispatch(1, queue_timeout=0.05)
    assert await asyncio.to_thread(gated.began.wait, LIMIT)
    gated.dispatch(2, queue_timeout=0.05)
    end = await gated.finished()  # the time of the first, which began earlier, is over as well
    assert (end.call, end.code) == (2, "timeout")
    gated.gate.set()
    end = await gated.finished()
    assert (end.call, end.code) == (1, "")
    gated.runner.close()


async def test_a_call_runs_no_longer_than_its_caller_lets_it_run() -> None:
    gated = Gated()
    gated.dispatch(1, run_timeout=0.05)
    end = await gated.finished()
    assert (end.code, gated.ran) == ("timeout", [1])
    assert "gated() ran longer than 0.05 s" in unpack_error(end.payload.data)[1]
    gated.runner.close()


async def test_a_call_that_is_cancelled_while_it_waits_for_a_thread_did_not_run() -> None:
    gated = Gated()
    gated.dispatch(1)
    assert await asyncio.to_thread(gated.began.wait, LIMIT)
    gated.dispatch(2)
    gated.runner.callee.receive(Cancel(2))
    end = await gated.finished()
    assert (end.call, end.code, end.may_have_run) == (2, "cancelled", False)
    gated.runner.callee.receive(Cancel(1))
    end = await gated.finished()
    assert (end.call, end.code, end.may_have_run) == (1, "cancelled", True)
    assert gated.ran == [1]
    gated.runner.close()
