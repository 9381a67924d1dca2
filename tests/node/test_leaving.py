"""A node is asked to end while calls run, wait and come in."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from easyremote.client.client import Client
from easyremote.errors import CallLost
from easyremote.gateway.records import LOST_AFTER
from easyremote.node.leaving import LOOK, Leaving
from easyremote.protocol.callee import Callee
from easyremote.protocol.held import plain_outcome
from easyremote.protocol.messages import Delivered, Dispatch, GoingAway, HandBack, Payload
from tests.faults.network.proxy import Proxy
from tests.processes import LIMIT, Gateway, end, start_gateway, wait_until
from tests.protocol.wires import open_link, sent_by

READY = "Stopping: what runs has"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that a test stops and starts."""
    (tmp_path / "home").mkdir()
    started = start_gateway(tmp_path / "home")
    yield started
    end(started.process)


def is_stopping(node: subprocess.Popen[str]) -> bool:
    """Read what a node says until it is about to end."""
    assert node.stdout is not None
    return any(READY in line for line in node.stdout)


def test_what_runs_ends_in_order_although_the_gateway_is_away_meanwhile(
    own: Gateway, tmp_path: Path
) -> None:
    """The outcome waits for the next gateway; nothing new starts here, and goes to another node."""
    marker, started = tmp_path / "marker", tmp_path / "started"
    with ExitStack() as stack:
        client, going = own.client(), own.start_node("going")
        stack.callback(client.close)
        stack.callback(end, going)
        running = client.call("wait_for", (str(marker), str(started)), node_id="going")
        wait_until(started.exists)
        own.process.kill()
        own.process.wait(LIMIT)
        going.send_signal(signal.SIGTERM)
        assert is_stopping(going)
        again = start_gateway(own.home, int(own.address.split(":")[1]))
        stack.callback(end, again.process)
        wait_until(lambda: client.is_connected)
        other = again.start_node("other")
        stack.callback(end, other)
        wait_until(lambda: any(node.node_id == "going" for node in client.list_nodes()))
        later = client.call("wait_for", (str(own.home), str(tmp_path / "later")))
        assert later.result(LIMIT) == other.pid
        assert going.poll() is None
        marker.touch()
        assert running.result(LIMIT) == going.pid
        assert going.wait(LIMIT) == 0


def test_a_large_outcome_arrives_whole_although_its_node_is_asked_to_end(own: Gateway) -> None:
    value = bytes(8 << 20)
    with ExitStack() as stack:
        proxy, going = stack.enter_context(Proxy(own.address)), own.start_node("going")
        stack.callback(end, going)
        proxy.down.rate = 8 << 20
        client = stack.enter_context(Client(proxy.address, own.keys["client"]))
        job = client.call("echo", (value,), node_id="going")
        wait_until(lambda: job.received[0] > 0)
        going.send_signal(signal.SIGTERM)
        assert job.result(LIMIT) == value
        assert going.wait(LIMIT) == 0


def test_who_asks_twice_does_not_wait(own: Gateway, tmp_path: Path) -> None:
    with ExitStack() as stack:
        client, going = own.client(), own.start_node("going")
        stack.callback(client.close)
        stack.callback(end, going)
        started = tmp_path / "started"
        running = client.on(on_node_loss="fail").call(
            "wait_for", (str(tmp_path / "never"), str(started)), node_id="going"
        )
        wait_until(started.exists)
        going.send_signal(signal.SIGINT)
        assert is_stopping(going)
        going.send_signal(signal.SIGINT)
        going.wait(LIMIT)
        error = running.exception(LOST_AFTER)
        assert isinstance(error, CallLost)
        assert error.may_have_run


class Nothing:
    """Runs calls that never end."""

    def start(self, held: object, encoding: str, arguments: object) -> None:
        """It has begun."""

    def cancel(self, held: object, *, kill: bool) -> None:
        """It goes on."""

    def window_opened(self, held: object) -> None:
        """It makes nothing."""


def dispatch(number: int, call_id: bytes) -> Dispatch:
    return Dispatch(number, call_id, 1, "f", Payload("pickle5", 1, b"x"))


@pytest.mark.asyncio
async def test_what_was_sent_before_the_gateway_knew_goes_back_and_what_is_here_does_not() -> None:
    link, callee = open_link(), Callee(Nothing())
    callee.attach(link)
    here, new = dispatch(1, b"h" * 16), dispatch(2, b"n" * 16)
    callee.receive(here)
    leaving = Leaving(callee)
    assert not leaving.refuses(new, link)
    leaving.begin(link)
    assert not leaving.refuses(here, link)
    assert leaving.refuses(new, link)
    assert sent_by(link) == [GoingAway("the node stops"), HandBack((2,))]
    assert len(callee) == 1


@pytest.mark.asyncio
async def test_it_stays_until_its_outcomes_have_arrived() -> None:
    """Their client may be away, and then nobody else has them."""
    link, callee = open_link(), Callee(Nothing())
    callee.attach(link)
    callee.receive(dispatch(1, b"h" * 16))
    leaving = Leaving(callee)
    leaving.begin(link)
    leaving.agreed()
    callee.finish(callee.unfinished[0], plain_outcome(7))
    finishing = asyncio.create_task(leaving.finish(lambda: link))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(finishing), 5 * LOOK)
    callee.receive(Delivered((1,)))
    await asyncio.wait_for(finishing, LIMIT)
