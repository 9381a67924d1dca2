"""`Runner` on its own: the test plays the gateway. The rest is in ``test_compute_node.py``."""

from __future__ import annotations

import asyncio
import threading

import pytest

from easyremote.node.functions import Functions
from easyremote.node.registered.runner import Runner
from easyremote.protocol.messages import Dispatch, Finished, HandBack, Payload
from easyremote.serialize.values import dump_call
from tests.conftest import LIMIT
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
