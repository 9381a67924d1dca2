"""A pipe: what the other side said before its end arrives, and who does not read is waited for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from easyremote.transport.pipe import READ_SIZE, UNREAD_MAX, PipeChannel
from tests.processes import LIMIT

pytestmark = pytest.mark.asyncio


@contextlib.asynccontextmanager
async def pipe() -> AsyncIterator[tuple[PipeChannel, socket.socket]]:
    """A channel, and the bare other end."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    channel = await PipeChannel.open(ours)
    try:
        yield channel, theirs
    finally:
        theirs.close()
        async with asyncio.timeout(LIMIT):
            await channel.close("the test is over")


async def all_of(channel: PipeChannel) -> bytes:
    """What comes until the end."""
    found = b""
    async with asyncio.timeout(LIMIT):
        while (data := await channel.receive()) is not None:
            found += data
    return found


async def test_what_was_said_before_the_end_arrives() -> None:
    async with pipe() as (channel, theirs):
        theirs.send(b"first")
        assert await channel.receive() == b"first"
        theirs.send(b"last words")
        theirs.close()
        assert await all_of(channel) == b"last words"
        assert await channel.receive() is None


@pytest.mark.parametrize("size", [10, 100_000])
async def test_what_was_said_before_a_write_failed_arrives(size: int) -> None:
    """The transport closes at once then, and what it has not read is lost to it."""
    async with pipe() as (channel, theirs):
        theirs.send(b"x" * size)
        theirs.close()
        channel.send(b"a call")  # before the event loop has had a chance to read
        assert await all_of(channel) == b"x" * size
        with pytest.raises(ConnectionError):
            channel.send(b"another call")


async def test_the_other_side_waits_where_too_much_is_unread() -> None:
    async with pipe() as (channel, theirs):
        loop, size = asyncio.get_running_loop(), 8 * UNREAD_MAX
        sending = asyncio.create_task(loop.sock_sendall(theirs, b"y" * size))
        async with asyncio.timeout(LIMIT):
            while not channel._is_paused:
                await asyncio.sleep(0)
        assert not sending.done()
        assert channel._unread < UNREAD_MAX + READ_SIZE
        found = 0
        async with asyncio.timeout(LIMIT):
            while found < size:
                found += len(await channel.receive() or b"")
                assert channel._unread < UNREAD_MAX + READ_SIZE
            await sending


async def test_drain_waits_for_a_reader_and_ends_with_the_connection() -> None:
    async with pipe() as (channel, theirs):
        while channel.send(b"z" * READ_SIZE):
            pass
        draining = [asyncio.create_task(channel.drain()) for _ in range(2)]
        await asyncio.sleep(0)
        assert not any(each.done() for each in draining)
        draining[0].cancel()  # of no concern to the other one
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(LIMIT):
            while not draining[1].done():
                await loop.sock_recv(theirs, READ_SIZE)
        while channel.send(b"z" * READ_SIZE):
            pass
        last = asyncio.create_task(channel.drain())
        await asyncio.sleep(0)
        theirs.close()
        await asyncio.wait_for(last, LIMIT)


async def test_nothing_is_read_while_it_is_paused() -> None:
    async with pipe() as (channel, theirs):
        channel.pause()
        theirs.send(b"later")
        receiving = asyncio.create_task(channel.receive())
        for _ in range(20):
            await asyncio.sleep(0)
        assert not receiving.done()
        channel.go_on()
        assert await asyncio.wait_for(receiving, LIMIT) == b"later"
