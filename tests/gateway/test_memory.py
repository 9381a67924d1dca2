"""What one link can make a real gateway keep, whatever it sends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from easyremote.protocol.frames import CHUNK_SIZE, chunk_header, control_record
from easyremote.protocol.messages import (
    Finished,
    Function,
    Payload,
    Ping,
    Register,
    Resume,
    Resumed,
    Submit,
    Welcome,
    encode,
)
from tests.gateway.raw import Raw, hello, raw
from tests.processes import LIMIT, Gateway, end, start_gateway

pytestmark = pytest.mark.asyncio
MB = 1_000_000
LARGE = bytes(900_000)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Gateway]:
    """A gateway whose memory nobody else has used."""
    started = start_gateway(tmp_path / "home")
    yield started
    end(started.process)


def memory(gateway: Gateway) -> int:
    return int(psutil.Process(gateway.process.pid).memory_info().rss)


async def send_until_closed(peer: Raw, message: bytes, count: int) -> bool:
    """Send and read nothing; whether the gateway closed before all of it was sent."""
    try:
        async with asyncio.timeout(LIMIT):
            for _ in range(count):
                await peer.send(message)
    except ConnectionError:
        return True
    return False


async def test_a_client_that_reads_no_answer_is_closed_before_it_costs_much(own: Gateway) -> None:
    """Each PING of 8 bytes leaves an answer of 100 in memory."""
    pings = control_record(encode(Ping(1))) * 125_000
    before = memory(own)
    async with raw(own) as peer:
        await peer.send(hello(own))
        assert await send_until_closed(peer, pings, 60), "60 MB of PING were taken"
    assert memory(own) - before < 150 * MB
    async with raw(own) as peer:
        await peer.send(hello(own))
        assert isinstance(await peer.hear(), Welcome)


@pytest.mark.parametrize(
    "submit",
    [
        Submit(1, LARGE, "n", "f", Payload("pickle5", 3, b"abc")),
        Submit(1, bytes(16), "n", "f", Payload("pickle5", len(LARGE), LARGE)),
        Submit(1, bytes(16), "n", "f" * 900_000, Payload("pickle5", 3, b"abc")),
        Submit(1, bytes(16), "n", "f", Payload(), timeout=float("nan")),
    ],
    ids=["call id", "inline payload", "function", "a time that is none"],
)
async def test_a_message_above_the_sizes_of_its_fields_is_refused(
    gateway: Gateway, submit: Submit
) -> None:
    async with raw(gateway) as peer:
        await peer.send(hello(gateway))
        assert isinstance(await peer.hear(), Welcome)
        await peer.send(submit)
        _, reason = await peer.closed()
        assert reason.startswith("not a message of this protocol: Expected `")


async def test_small_chunks_of_queued_calls_do_not_keep_large_messages_alive(own: Gateway) -> None:
    unwanted = chunk_header(999, CHUNK_SIZE) + bytes(CHUNK_SIZE)
    async with raw(own) as node, raw(own) as client:
        await node.send(hello(own, "node", name="n"))
        assert isinstance(await node.hear(), Welcome)
        await node.send(Register((Function("f"),), 1), Resume(()))
        assert isinstance(await node.hear(), Resumed)
        await client.send(hello(own))
        assert isinstance(await client.hear(), Welcome)
        before = memory(own)
        for number in range(1, 151):
            payload = Payload("pickle5", 1 << 20, b"", number)
            await client.send(Submit(number, number.to_bytes(16, "big"), "n", "f", payload))
            await client.send(chunk_header(number, 1) + b"x" + unwanted * 15)
        await client.send(Submit(200, bytes(16), "n", "no such function", Payload()))
        assert isinstance(await client.hear(), Finished)  # so all of it was taken
        assert memory(own) - before < 60 * MB


async def test_the_reason_of_a_broken_protocol_is_short(gateway: Gateway) -> None:
    async with raw(gateway) as peer:
        await peer.send(b"\xff" * 10)
        _, reason = await peer.closed()
        assert reason
        assert len(reason) <= 123
