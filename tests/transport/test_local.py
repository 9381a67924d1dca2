"""Two links in one loop: a mistake at one end ends a call, and the others go on."""

from __future__ import annotations

import asyncio

import pytest

from easyremote.protocol.messages import INLINE_LIMIT, Event, Message, Seen, Started
from easyremote.protocol.streams import Buffer
from easyremote.transport.local import LocalPair
from tests.processes import LIMIT


@pytest.mark.asyncio
@pytest.mark.parametrize("end", ["near", "far"])
async def test_a_message_that_can_not_be_handled_is_told_and_the_next_one_comes(
    end: str, caplog: pytest.LogCaptureFixture
) -> None:
    received: dict[str, list[Message]] = {"near": [], "far": []}
    failures: list[tuple[Message, Exception]] = []
    flushed = asyncio.Event()

    def receiver(name: str) -> object:
        def receive(message: Message, now: float) -> None:
            received[name].append(message)
            if message == Started(1):
                raise ZeroDivisionError("a mistake")

        return receive

    near, far = receiver("near"), receiver("far")
    assert callable(near)
    assert callable(far)
    pair = LocalPair(near, far, lambda now: flushed.set(), lambda *said: failures.append(said))
    link = pair.far if end == "near" else pair.near
    for message in (Started(1), Seen(1, 1)):
        link.send(message)
    await asyncio.wait_for(flushed.wait(), LIMIT)
    assert received[end] == [Started(1), Seen(1, 1)]
    ((message, error),) = failures
    assert (message, type(error)) == (Started(1), ZeroDivisionError)
    (record,) = caplog.records
    assert (record.name, bool(record.exc_info)) == ("easyremote.local", True)
    pair.close()


@pytest.mark.asyncio
async def test_a_payload_that_can_not_be_handled_is_logged_and_the_next_message_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    received: list[Message] = []
    flushed = asyncio.Event()

    def broken(body: Buffer) -> None:
        raise ZeroDivisionError("a mistake")

    def far(message: Message, now: float) -> None:
        received.append(message)
        if isinstance(message, Event):
            pair.far.collect(message.payload, broken)
        else:
            flushed.set()

    pair = LocalPair(lambda *said: None, far, lambda now: None, lambda *said: None)
    large = bytes(INLINE_LIMIT + 1)
    pair.near.send(Event(1, 1, pair.near.offer([large], len(large), "json")))
    await asyncio.sleep(0)
    pair.near.send(Seen(1, 1))
    await asyncio.wait_for(flushed.wait(), LIMIT)
    assert [type(message) for message in received] == [Event, Seen]
    assert [record.getMessage() for record in caplog.records] == ["A payload could not be handled"]
    pair.close()
