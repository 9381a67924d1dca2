"""A Link on real sockets: a socket pair, and a WebSocket to a server of our own."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web

from easyremote.errors import ProtocolError
from easyremote.protocol import link as link_module
from easyremote.protocol.frames import control_record
from easyremote.protocol.link import Link, LinkState
from easyremote.protocol.messages import GoingAway, Message, Payload, Pong, Seen, Submit, encode
from easyremote.protocol.streams import Buffer
from easyremote.transport import connection as connection_module
from easyremote.transport.connection import Connection, turn
from easyremote.transport.pipe import PipeChannel
from easyremote.transport.websocket import WebSocketChannel
from tests.processes import LIMIT

pytestmark = pytest.mark.asyncio


class CountingChannel(PipeChannel):
    """Notes how large each send was, and whether one waits for room."""

    sent: list[int]
    is_sending = False

    def send(self, data: bytes) -> bool:
        self.sent.append(len(data))
        return super().send(data)

    async def drain(self) -> None:
        self.is_sending = True
        await super().drain()
        self.is_sending = False


@dataclass
class End:
    """One end of a connection that runs."""

    link: Link
    connection: Connection
    task: asyncio.Task[None]
    channel: object
    received: list[Message]

    async def until_received(self, count: int) -> list[Message]:
        async with asyncio.timeout(LIMIT):
            while len(self.received) < count:
                await asyncio.sleep(0)
        return self.received


def start(
    channel: CountingChannel | WebSocketChannel, handle: Callable[[Message], None] = lambda _: None
) -> End:
    link = Link(time.monotonic())
    link.open(time.monotonic())
    received: list[Message] = []

    def receive(message: Message, now: float) -> None:
        received.append(message)
        handle(message)

    connection = Connection(link, channel, receive)
    return End(link, connection, asyncio.create_task(connection.run()), channel, received)


@asynccontextmanager
async def pair(
    handle: Callable[[Message], None] = lambda _: None,
) -> AsyncIterator[tuple[End, End]]:
    """Two ends; ``handle`` is what the second one does with a message."""
    ours, theirs = socket.socketpair()
    channels = []
    for sock in (ours, theirs):
        channel = await CountingChannel.open(sock)
        assert isinstance(channel, CountingChannel)
        channel.sent = []
        channels.append(channel)
    near, far = start(channels[0]), start(channels[1], handle)
    yield near, far
    near.connection.end("the test is over")
    async with asyncio.timeout(LIMIT):
        await asyncio.gather(near.task, far.task, return_exceptions=True)


@asynccontextmanager
async def silent_peer() -> AsyncIterator[tuple[End, socket.socket]]:
    """A connection whose other end is a bare socket, which reads nothing by itself."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    channel = await CountingChannel.open(ours)
    assert isinstance(channel, CountingChannel)
    channel.sent = []
    near = start(channel)
    yield near, theirs
    near.connection.end("the test is over")
    theirs.close()
    async with asyncio.timeout(LIMIT):
        await asyncio.gather(near.task, return_exceptions=True)


async def test_what_is_queued_in_one_turn_leaves_together() -> None:
    async with pair() as (near, far):
        for number in range(50):
            near.link.send(Seen(number, 1))
        assert await far.until_received(50) == [Seen(number, 1) for number in range(50)]
        assert isinstance(near.channel, CountingChannel)
        assert len(near.channel.sent) == 1


async def test_what_a_turn_queues_has_left_at_its_end() -> None:
    """The writer would need one more turn of the event loop for it."""
    async with pair() as (near, far):
        assert isinstance(near.channel, CountingChannel)
        near.link.send(Seen(1, 1))
        await far.until_received(1)  # the writer waits for work now
        with turn:
            for number in range(2, 50):
                near.link.send(Seen(number, 1))
            assert len(near.channel.sent) == 1
        assert len(near.channel.sent) == 2
        assert await far.until_received(49) == [Seen(number, 1) for number in range(1, 50)]


async def test_an_answer_leaves_in_the_turn_of_its_question() -> None:
    async with pair(lambda message: answer(message)) as (near, far):

        def answer(message: Message) -> None:
            far.link.send(message)
            far.link.send(message)

        assert isinstance(far.channel, CountingChannel)
        for number in range(1, 5):
            near.link.send(Seen(number, 1))
            assert await near.until_received(2 * number) == [
                Seen(each, 1) for each in range(1, number + 1) for _ in range(2)
            ]
            assert len(far.channel.sent) == number


async def test_what_was_queued_before_there_was_a_connection_is_sent() -> None:
    ours, theirs = socket.socketpair()
    link = Link(time.monotonic())
    link.send(Seen(7, 1))
    channel = await PipeChannel.open(ours)
    connection = Connection(link, channel, lambda message, now: None)
    task = asyncio.create_task(connection.run())
    theirs.setblocking(False)
    data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(theirs, 1000), LIMIT)
    assert list(Link(0.0).receive_data(data, 0.0)) == [Seen(7, 1)]
    theirs.close()
    await asyncio.wait_for(task, LIMIT)


async def test_a_payload_arrives_whole_and_messages_overtake_it() -> None:
    async with pair(lambda message: receive(message)) as (near, far):
        size = 20_000_000
        whole: list[Buffer] = []
        when_received: list[bool] = []

        def receive(message: Message) -> None:
            if isinstance(message, Submit):
                far.link.collect(message.payload, whole.append)
            else:
                when_received.append(bool(whole))

        channel = near.channel
        assert isinstance(channel, CountingChannel)
        await asyncio.sleep(0)
        near.link.send(
            Submit(1, b"i" * 16, "", "echo", near.link.offer([b"x" * size], size, "pickle5"))
        )
        async with asyncio.timeout(LIMIT):
            while not channel.sent:
                await asyncio.sleep(0)
            near.link.send(Seen(1, 1))  # queued after 20 MB
            while not whole:
                await asyncio.sleep(0.001)
        assert len(whole[0]) == size
        assert when_received == [False]


async def test_a_peer_that_does_not_read_stops_the_writer_and_gets_all_when_it_does() -> None:
    async with silent_peer() as (near, theirs):
        channel = near.channel
        assert isinstance(channel, CountingChannel)
        count = 100_000
        text = "n" * 200
        for number in range(count):
            near.link.send(Submit(number, b"i" * 16, text, "echo", Payload()))
        async with asyncio.timeout(LIMIT):
            while not channel.is_sending:
                await asyncio.sleep(0)
        await asyncio.sleep(0.1)  # a writer that did not wait would have sent all of it
        assert channel.is_sending
        assert near.link.has_output
        assert sum(channel.sent) < 10_000_000
        reader, received = Link(0.0), 0
        reader.open(0.0)
        while received < count:
            data = await asyncio.wait_for(
                asyncio.get_running_loop().sock_recv(theirs, 1 << 20), LIMIT
            )
            received += len(list(reader.receive_data(data, 0.0)))
        assert not near.link.has_output


async def test_a_peer_that_is_silent_for_too_long_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link_module, "PING_INTERVAL", 0.05)
    monkeypatch.setattr(link_module, "DEAD_AFTER", 0.3)
    monkeypatch.setattr(connection_module, "CLOSE_TIMEOUT", 0.1)
    async with silent_peer() as (near, _):
        await asyncio.wait_for(asyncio.shield(near.task), LIMIT)
        assert near.connection.reason == "silent for too long"
        assert near.link.state is LinkState.CLOSED


async def test_who_was_stopped_itself_gives_its_peer_time_to_be_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link_module, "PING_INTERVAL", 0.05)
    monkeypatch.setattr(link_module, "DEAD_AFTER", 0.2)
    monkeypatch.setattr(connection_module, "LATE", 0.1)
    monkeypatch.setattr(connection_module, "CLOSE_TIMEOUT", 0.1)
    async with silent_peer() as (near, _):
        await asyncio.sleep(0)
        time.sleep(0.4)  # nothing runs here meanwhile, as if the process were stopped
        for _ in range(20):
            await asyncio.sleep(0)
        assert near.connection.reason == ""
        await asyncio.wait_for(asyncio.shield(near.task), LIMIT)
        assert near.connection.reason == "silent for too long"


async def test_pings_keep_a_quiet_connection_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PING_INTERVAL", 0.02)
    monkeypatch.setattr(link_module, "DEAD_AFTER", 5.0)
    async with pair() as (near, far):
        assert isinstance(near.channel, CountingChannel)
        async with asyncio.timeout(LIMIT):
            while len(near.channel.sent) < 20:
                await asyncio.sleep(0.01)
        assert not near.task.done()
        assert (near.received, far.received) == ([], [])  # they are no business of the owners


async def test_ending_a_connection_sends_the_last_words_first() -> None:
    async with pair() as (near, far):
        near.link.send(GoingAway("that was it"))
        near.connection.end("over")
        await asyncio.wait_for(asyncio.gather(near.task, far.task), LIMIT)
        assert far.received == [GoingAway("that was it")]
        assert (near.link.state, far.link.state) == (LinkState.CLOSED, LinkState.CLOSED)


async def test_a_peer_that_leaves_too_much_unread_is_cut_off_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link_module, "MAX_BACKLOG", 1024 * 1024)
    monkeypatch.setattr(connection_module, "CLOSE_TIMEOUT", 0.1)
    async with silent_peer() as (near, _):
        for number in range(20_000):
            near.link.send(Submit(number, b"i" * 16, "n" * 200, "echo", Payload()))
        assert near.link.state is LinkState.OVERRUN
        await asyncio.wait_for(asyncio.shield(near.task), LIMIT)
        assert near.connection.reason == "64 MiB that were sent to you were not read"
        assert near.link.state is LinkState.CLOSED


async def test_a_peer_that_speaks_and_does_not_read_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link_module, "PING_INTERVAL", 0.05)
    monkeypatch.setattr(connection_module, "STALL_LIMIT", 0.3)
    monkeypatch.setattr(connection_module, "CLOSE_TIMEOUT", 0.1)
    async with silent_peer() as (near, theirs):
        for number in range(50_000):
            near.link.send(Submit(number, b"i" * 16, "n" * 200, "echo", Payload()))
        pong = control_record(encode(Pong()))
        async with asyncio.timeout(LIMIT):
            while not near.task.done():
                with suppress(OSError):
                    theirs.send(pong)
                await asyncio.sleep(0.01)
        assert near.connection.reason == "what was sent to you was not read for 0.3 s"


async def test_a_peer_that_reads_slowly_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PING_INTERVAL", 0.02)
    monkeypatch.setattr(connection_module, "STALL_LIMIT", 0.5)
    async with silent_peer() as (near, theirs):
        channel = near.channel
        assert isinstance(channel, CountingChannel)
        for number in range(20_000):
            near.link.send(Submit(number, b"i" * 16, "n" * 200, "echo", Payload()))
        theirs.send(control_record(encode(Pong())))
        loop, end = asyncio.get_running_loop(), time.monotonic() + 1.5
        while near.link.has_output:  # one send is taken, then the next: each within the limit
            assert not near.task.done(), near.connection.reason
            await asyncio.wait_for(loop.sock_recv(theirs, 1 << 18), LIMIT)
            if time.monotonic() < end:
                await asyncio.sleep(0.1)
        assert near.connection.reason == ""


async def test_last_words_to_a_peer_that_does_not_read_have_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "CLOSE_TIMEOUT", 0.2)
    async with silent_peer() as (near, _):
        for number in range(50_000):
            near.link.send(Submit(number, b"i" * 16, "n" * 200, "echo", Payload()))
        near.connection.end("over")
        await asyncio.wait_for(asyncio.shield(near.task), LIMIT)
        assert near.link.state is LinkState.CLOSED


async def test_what_breaks_the_protocol_ends_the_connection_with_the_reason() -> None:
    async with silent_peer() as (near, theirs):
        theirs.send(b"\xff" * 100)
        with pytest.raises(ProtocolError):
            await asyncio.wait_for(asyncio.shield(near.task), LIMIT)
        assert near.link.state is LinkState.CLOSED


@asynccontextmanager
async def websockets() -> AsyncIterator[tuple[aiohttp.ClientWebSocketResponse, asyncio.Queue[End]]]:
    """A server that runs a Connection for whoever comes; and a bare WebSocket to it."""
    ends: asyncio.Queue[End] = asyncio.Queue()

    async def serve(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(timeout=1.0)
        await ws.prepare(request)
        end = start(WebSocketChannel(ws))
        await ends.put(end)
        await asyncio.wait([end.task])
        return ws

    async with (
        served(serve) as address,
        aiohttp.ClientSession() as session,
        session.ws_connect(address) as ws,
    ):
        yield ws, ends


@asynccontextmanager
async def served(
    handler: Callable[[web.Request], Awaitable[web.WebSocketResponse]],
) -> AsyncIterator[str]:
    """The address of a server with this handler."""
    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def test_a_websocket_close_carries_the_reason() -> None:
    async with websockets() as (ws, ends):
        server = await asyncio.wait_for(ends.get(), LIMIT)
        server.link.send(GoingAway("bye"))
        server.connection.end("the gateway stops")
        message = await ws.receive(LIMIT)
        assert list(Link(0.0).receive_data(message.data, 0.0)) == [GoingAway("bye")]
        closing = await ws.receive(LIMIT)
        assert (closing.type, closing.extra) == (aiohttp.WSMsgType.CLOSE, "the gateway stops")


async def test_a_websocket_that_nobody_reads_for_a_while_loses_nothing() -> None:
    async with websockets() as (ws, ends):
        server = await asyncio.wait_for(ends.get(), LIMIT)
        count = 100_000
        async with asyncio.timeout(LIMIT):
            for start in range(0, count, 100):
                with turn:
                    for number in range(start, start + 100):
                        server.link.send(Submit(number, b"i" * 16, "n" * 200, "echo", Payload()))
                await asyncio.sleep(0)
            while not server.connection._is_full:
                await asyncio.sleep(0)
            assert server.link.has_output, "the peer did not read, but it was all sent"
            reader, found = Link(0.0), 0
            while found < count:
                for message in reader.receive_data((await ws.receive()).data, 0.0):
                    assert isinstance(message, Submit)
                    assert message.call == found
                    found += 1


async def test_a_websocket_that_nobody_reads_is_closed_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection_module, "CLOSE_TIMEOUT", 0.2)
    async with websockets() as (_, ends):
        server = await asyncio.wait_for(ends.get(), LIMIT)
        await fill_and_end(server)


async def test_a_server_that_does_not_read_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "CLOSE_TIMEOUT", 0.2)
    over = asyncio.Event()

    async def accept(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await over.wait()
        return ws

    async with served(accept) as address, aiohttp.ClientSession() as session:
        await fill_and_end(start(WebSocketChannel(await session.ws_connect(address))))
        over.set()


async def fill_and_end(end: End) -> None:
    """Send more than fits into all buffers, then end the connection."""
    await asyncio.sleep(0)  # its writer waits for work now
    with turn:
        for number in range(100_000):
            end.link.send(Submit(number, b"i" * 16, "n" * 200, "echo", Payload()))
    end.connection.end("over")
    await asyncio.wait_for(asyncio.shield(end.task), LIMIT)
    assert end.link.state is LinkState.CLOSED


async def test_a_text_message_breaks_the_protocol() -> None:
    async with websockets() as (ws, ends):
        server = await asyncio.wait_for(ends.get(), LIMIT)
        await ws.send_str("hello")
        with pytest.raises(ProtocolError, match="binary"):
            await asyncio.wait_for(asyncio.shield(server.task), LIMIT)


async def test_a_peer_that_vanishes_ends_the_connection() -> None:
    async with websockets() as (ws, ends):
        server = await asyncio.wait_for(ends.get(), LIMIT)
        sock = ws.get_extra_info("socket")
        linger = struct.pack("ii", 1, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # RST instead of FIN
        sock.shutdown(socket.SHUT_RDWR)
        await asyncio.wait_for(asyncio.shield(server.task), LIMIT)
        assert server.link.state is LinkState.CLOSED
