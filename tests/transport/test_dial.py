"""Dialling: what is told about what answers, and how often it is tried again."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from easyremote.client.client import Client
from easyremote.config import Settings
from easyremote.errors import (
    EasyRemoteError,
    GatewayUnreachable,
    InternalError,
    NotAuthorized,
    ProtocolError,
    UsageError,
    VersionMismatch,
    from_wire,
)
from easyremote.identity import Key
from easyremote.node.compute_node import ComputeNode
from easyremote.protocol.frames import control_record
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    MAX_PAYLOAD,
    PROTOCOL,
    SUBPROTOCOL,
    Challenge,
    GoingAway,
    Hello,
    Message,
    Ping,
    Refused,
    Resumed,
    Started,
    Welcome,
    encode,
)
from easyremote.transport import dial
from easyremote.transport.dial import Line, connect_once, is_fatal, redial_delay, stay_connected
from tests.processes import LIMIT, Gateway, end, start_gateway

#: What the gateway of these tests challenges with.
FRESH = b"f" * 16
KEY = str(Key.generate("client"))
NEXT_MAJOR = (PROTOCOL[0] + 1, 0)


@asynccontextmanager
async def answering(handler: Callable[[web.Request], object]) -> AsyncIterator[str]:
    """An HTTP server with one handler for everything; yields its address."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(request)  # type: ignore[misc, no-any-return]

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class FakeGateway:
    """Answers HELLO with one message, whatever was said, says some more, and keeps silent."""

    def __init__(self, answer: Message | None, *more: Message | bytes, hangs_up: bool = False):
        self._answer = answer
        self._more = more
        self._hangs_up = hangs_up
        self.hellos: list[Hello] = []

    async def __call__(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(protocols=(SUBPROTOCOL,))
        await ws.prepare(request)
        await ws.send_bytes(control_record(encode(Challenge(FRESH))))
        link = Link(time.monotonic())
        async for message in ws:
            for received in link.receive_data(message.data, time.monotonic()):
                assert isinstance(received, Hello)
                assert received.fresh == FRESH
                self.hellos.append(received)
                if self._answer is None:
                    await ws.close(message=b"not today")
                    return ws
                for said in (self._answer, *self._more):
                    data = said if isinstance(said, bytes) else control_record(encode(said))
                    await ws.send_bytes(data)
                if self._hangs_up:
                    await ws.close(message=b"that was all")
                    return ws
        return ws


def unexpected(message: Message) -> None:
    raise AssertionError(f"unexpected {message}")


class RecordingOwner:
    """Dials as a client of this version, and keeps what happens."""

    def __init__(self, protocol: tuple[int, int] = PROTOCOL, name: str = "tester") -> None:
        self._hello = Hello(protocol, "client", KEY, name, b"i" * 16)
        self.opens = 0
        self.errors: list[EasyRemoteError | None] = []
        self.on_open: Callable[[Link], None] = lambda link: None
        self.received: list[Message] = []
        self.on_message: Callable[[Message], None] = unexpected
        self.failures: list[tuple[Message, Exception]] = []

    def hello(self) -> Hello:
        return self._hello

    def opened(self, link: Link, welcome: Welcome, now: float) -> None:
        self.opens += 1
        self.on_open(link)

    def receive(self, message: Message, now: float) -> None:
        self.received.append(message)
        self.on_message(message)

    def failed(self, message: Message, error: Exception) -> None:
        self.failures.append((message, error))

    def flush(self, now: float) -> None:
        """Nothing is batched."""

    def closed(self, link: Link | None, error: EasyRemoteError | None, now: float) -> None:
        self.errors.append(error)


async def dialled(address: str, owner: RecordingOwner | None = None) -> EasyRemoteError:
    """What one try to connect there ends with."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(EasyRemoteError) as caught:
            await connect_once(Settings(address, KEY), owner or RecordingOwner(), session)
    return caught.value


# -- what answers ----------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize("own", ["client", "node"])
async def test_a_gateway_of_another_major_version_is_told_with_both_versions(own: str) -> None:
    fake = FakeGateway(Welcome(NEXT_MAJOR, b"g" * 16))
    async with answering(fake) as address:
        with pytest.raises(VersionMismatch, match=r"speaks protocol 2, we speak 1\. Update the ol"):
            if own == "client":
                client = Client(address, KEY)
                await asyncio.to_thread(client.execute, "add", 1, 2)
            else:
                node = ComputeNode(address, "gpu-node", api_key=str(Key.generate("node")))
                await asyncio.wait_for(node.serve_async(), LIMIT)
    assert [hello.role for hello in fake.hellos] == [own]


@pytest.mark.asyncio
async def test_a_minor_version_of_the_gateway_is_no_obstacle() -> None:
    owner = RecordingOwner()
    owner.on_open = lambda link: link.close()
    async with answering(FakeGateway(Welcome((PROTOCOL[0], 99), b"g" * 16))) as address:
        task = asyncio.create_task(stay_connected(Settings(address, KEY), owner))
        async with asyncio.timeout(LIMIT):
            while not owner.opens:
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert owner.opens == 1


@pytest.mark.asyncio
async def test_a_refusal_is_the_error_that_the_gateway_names() -> None:
    async with answering(FakeGateway(Refused("not-authorized", "The key is stale."))) as address:
        error = await dialled(address)
    assert isinstance(error, NotAuthorized)
    assert str(error) == "The key is stale."


@pytest.mark.asyncio
async def test_a_first_word_that_is_no_answer_breaks_the_protocol() -> None:
    async with answering(FakeGateway(Resumed(()))) as address:
        error = await dialled(address)
    assert isinstance(error, ProtocolError)


@pytest.mark.asyncio
async def test_a_gateway_that_is_about_to_stop_is_dialled_again() -> None:
    async with answering(FakeGateway(GoingAway("soon"))) as address:
        error = await dialled(address)
    assert isinstance(error, GatewayUnreachable) and not is_fatal(error)
    assert "is about to stop. Try again when it is back." in str(error)


@pytest.mark.asyncio
async def test_a_gateway_that_hangs_up_before_welcome_is_told_with_its_reason() -> None:
    async with answering(FakeGateway(None)) as address:
        error = await dialled(address)
    assert isinstance(error, GatewayUnreachable)
    assert str(error).endswith("closed the connection before it said a word: not today.")


@pytest.mark.asyncio
async def test_a_websocket_server_that_is_no_gateway_is_told() -> None:
    async def chat(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        await ws.receive()
        return ws

    async with answering(chat) as address:
        error = await dialled(address)
    assert "is a WebSocket server, but no EasyRemote gateway" in str(error)


@pytest.mark.asyncio
@pytest.mark.parametrize("status", [200, 404, 502])
async def test_a_web_server_that_is_no_gateway_is_told_with_what_it_says(status: int) -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(status=status, text="<h1>hello</h1>")

    async with answering(page) as address:
        error = await dialled(address)
    assert isinstance(error, GatewayUnreachable)
    assert f"is no EasyRemote gateway: it says {status}" in str(error)
    assert "Is the port right?" in str(error)


@pytest.mark.asyncio
async def test_too_many_connections_of_strangers_are_told_and_dialled_again() -> None:
    async def full(request: web.Request) -> web.Response:
        return web.Response(status=429)

    async with answering(full) as address:
        error = await dialled(address)
    assert isinstance(error, GatewayUnreachable) and not is_fatal(error)
    assert "too many connections from this address" in str(error)


@pytest.mark.asyncio
async def test_something_that_speaks_no_http_is_told() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await reader.read(1)
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        error = await dialled(f"127.0.0.1:{port}")
    assert f"No gateway answers at 127.0.0.1:{port} (from an argument)" in str(error)


@pytest.mark.asyncio
async def test_a_host_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "CONNECT_TIMEOUT", 0.2)
    silent = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await silent.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with server:
        error = await dialled(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        silent.set()
    assert "did not answer within" in str(error)
    assert "does a firewall let you through?" in str(error)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("127.0.0.1:1", "No gateway answers at 127.0.0.1:1"),
        ("no-such-host.invalid:8080", "No gateway answers at no-such-host.invalid:8080"),
    ],
)
async def test_an_address_where_nobody_is_is_told(address: str, text: str) -> None:
    error = await dialled(address)
    assert isinstance(error, GatewayUnreachable)
    assert text in str(error)
    assert "Start it there: easyremote gateway." in str(error)
    assert "ssl" not in str(error)


# -- a real gateway --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    started = start_gateway(tmp_path_factory.mktemp("home"))
    yield started
    end(started.process)


@pytest.mark.asyncio
async def test_a_peer_of_another_major_version_is_refused_by_the_gateway(gateway: Gateway) -> None:
    error = await dialled(gateway.address, RecordingOwner(NEXT_MAJOR))
    assert isinstance(error, VersionMismatch)
    assert "This gateway speaks protocol 1, you speak 2." in str(error)


def test_a_key_of_another_gateway_is_refused_and_named(gateway: Gateway) -> None:
    key = Key.generate("client")
    with pytest.raises(NotAuthorized, match=f"does not accept the key {key.key_id}. It may be re"):
        Client(gateway.address, str(key)).execute("add", 1, 2)
    node = ComputeNode(gateway.address, "stranger", api_key=str(Key.generate("node")))
    with pytest.raises(NotAuthorized, match="does not accept the key"):
        node.start()


def test_without_a_key_one_is_told_how_to_get_it(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASYREMOTE_HOME", str(tmp_path))
    monkeypatch.delenv("EASYREMOTE_API_KEY", raising=False)
    with pytest.raises(UsageError, match="no client key .*key create --kind client"):
        Client(gateway.address)
    with pytest.raises(UsageError, match="no node key .*key create --kind node"):
        ComputeNode(gateway.address)


def test_a_node_id_that_can_be_none_is_refused(gateway: Gateway) -> None:
    node = ComputeNode(gateway.address, "two words", api_key=gateway.keys["node"])
    with pytest.raises(UsageError, match="'two words' can't be a node's id"):
        node.start()


# -- again and again -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("away", "longest"),
    [
        (0.0, [0.0, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]),
        (59.9, [0.0, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]),
        (60.0, [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]),
    ],
)
def test_the_first_try_is_at_once_and_the_waits_double_up_to_a_limit(
    away: float, longest: list[float]
) -> None:
    delays = [redial_delay(tries, away, lambda low, high: high) for tries in range(8)]
    assert delays == longest
    assert redial_delay(1_000_000, away, lambda low, high: high) == longest[-1]
    assert [redial_delay(tries, away, lambda low, high: low) for tries in range(8)] == [0.0] * 8


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tries had failed before each one; nothing is waited for."""
    counted: list[int] = []
    here, delay = threading.get_ident(), dial.redial_delay

    def at_once(tries: int, away: float) -> float:
        if threading.get_ident() != here:  # a client that another test has left still dials
            return delay(tries, away)
        counted.append(tries)
        return 0.0

    monkeypatch.setattr(dial, "redial_delay", at_once)
    return counted


async def connected_until(
    owner: RecordingOwner, gateway: Callable[[web.Request], object], is_enough: Callable[[], bool]
) -> None:
    """Stay connected to this gateway until it is enough."""
    async with answering(gateway) as address:
        task = asyncio.create_task(stay_connected(Settings(address, KEY), owner))
        async with asyncio.timeout(LIMIT):
            while not is_enough() and not task.done():
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            task.result()


WELCOME = Welcome(PROTOCOL, b"g" * 16)


@pytest.mark.asyncio
async def test_a_connection_that_breaks_at_once_counts_as_a_failed_try(tries: list[int]) -> None:
    owner = RecordingOwner()
    await connected_until(owner, FakeGateway(WELCOME, hangs_up=True), lambda: len(tries) > 3)
    assert tries[:4] == [0, 1, 2, 3]
    assert owner.opens >= 3


@pytest.mark.asyncio
async def test_after_a_connection_that_lasted_the_next_try_is_at_once(
    tries: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial, "STABLE_AFTER", 0.0)
    owner = RecordingOwner()
    await connected_until(owner, FakeGateway(WELCOME, hangs_up=True), lambda: len(tries) > 3)
    assert tries[:4] == [0, 0, 0, 0]


# -- mistakes --------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_an_exception_while_a_message_is_handled_ends_that_call_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def handle(message: Message) -> None:
        if message == Started(1):
            raise InternalError("a mistake")
        if message == Started(2):
            raise ZeroDivisionError("another")

    owner = RecordingOwner()
    owner.on_message = handle
    gateway = FakeGateway(WELCOME, Started(1), Started(2), Started(3))
    await connected_until(owner, gateway, lambda: len(owner.received) == 3)
    assert owner.received == [Started(1), Started(2), Started(3)]
    assert [(message, type(error)) for message, error in owner.failures] == [
        (Started(1), InternalError),
        (Started(2), ZeroDivisionError),
    ]
    assert owner.opens == 1
    mistakes = [record for record in caplog.records if record.exc_info is not None]
    assert [record.name for record in mistakes] == ["easyremote.dial"] * 2
    assert "A Started of the gateway could not be handled" in mistakes[0].getMessage()


@pytest.mark.asyncio
@pytest.mark.parametrize("where", ["opened", "flush"])
async def test_a_mistake_elsewhere_ends_the_connection_and_it_is_dialled_again(
    where: str,
    tries: list[int],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    owner = RecordingOwner()

    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(owner, where, fail)
    await connected_until(owner, FakeGateway(WELCOME, Ping()), lambda: len(tries) > 2)
    assert tries[:3] == [0, 1, 2]
    assert owner.errors[:2] == [None, None]
    mistakes = [record for record in caplog.records if record.exc_info is not None]
    assert "A mistake ended the connection to 127.0.0.1" in mistakes[0].getMessage()


@pytest.mark.asyncio
@pytest.mark.parametrize("bad", [b"\xff" * 10, Resumed((1,))], ids=["garbage", "a bad message"])
async def test_a_gateway_that_breaks_the_protocol_later_on_is_dialled_again(
    bad: Message | bytes, tries: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(message: Message) -> None:
        raise ProtocolError("not so")

    owner = RecordingOwner()
    owner.on_message = refuse
    await connected_until(owner, FakeGateway(WELCOME, bad), lambda: len(tries) > 2)
    assert [type(error) for error in owner.errors[:2]] == [ProtocolError] * 2
    assert owner.failures == []
    assert "The connection to 127.0.0.1" in caplog.records[0].getMessage()


@pytest.mark.asyncio
async def test_a_refusal_later_on_is_final(tries: list[int]) -> None:
    owner = RecordingOwner()
    gateway = FakeGateway(WELCOME, Refused("protocol", "You had your chance."))
    with pytest.raises(ProtocolError, match="You had your chance"):
        await connected_until(owner, gateway, lambda: False)
    assert tries == [0]


@pytest.mark.asyncio
async def test_why_the_gateway_closed_the_connection_is_logged(
    tries: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "easyremote.dial")
    await connected_until(
        RecordingOwner(), FakeGateway(WELCOME, hangs_up=True), lambda: len(tries) > 1
    )
    assert caplog.records[0].getMessage().endswith("ended: that was all")


@pytest.mark.asyncio
@pytest.mark.parametrize(("said", "most"), [(1000, 1000), (0, MAX_PAYLOAD)])
async def test_the_largest_payload_is_what_the_gateway_says(said: int, most: int) -> None:
    owner = RecordingOwner()
    limits: list[int] = []
    owner.on_open = lambda link: limits.append(link.max_payload)
    welcome = Welcome(PROTOCOL, b"g" * 16, max_payload=said)
    await connected_until(owner, FakeGateway(welcome), lambda: bool(limits))
    assert limits == [most]


@pytest.mark.parametrize("code", ["not-authorized", "version", "protocol", "usage"])
def test_what_would_meet_the_same_answer_is_not_tried_again(code: str) -> None:
    assert is_fatal(from_wire(code, "no", {}))
    assert not is_fatal(GatewayUnreachable("away"))


@pytest.mark.asyncio
async def test_it_dials_again_until_the_gateway_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "FIRST_DELAY", 0.01)
    tries = 0
    fake = FakeGateway(Welcome(PROTOCOL, b"g" * 16))

    async def third_time(request: web.Request) -> web.StreamResponse:
        nonlocal tries
        tries += 1
        return await fake(request) if tries == 3 else web.Response(status=502)

    owner = RecordingOwner()
    opened = asyncio.Event()
    owner.on_open = lambda link: opened.set()
    async with answering(third_time) as address:
        task = asyncio.create_task(stay_connected(Settings(address, KEY), owner))
        await asyncio.wait_for(opened.wait(), LIMIT)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [type(error) for error in owner.errors[:2]] == [GatewayUnreachable] * 2
    assert tries == 3


@pytest.mark.asyncio
async def test_a_line_that_was_hung_up_is_dialled_when_it_is_wanted_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "easyremote.dial")
    owner = RecordingOwner()

    async def until(is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT):
            while not is_so():
                await asyncio.sleep(0.01)

    async with answering(FakeGateway(WELCOME)) as address:
        line = Line(Settings(address, KEY), owner)
        running = asyncio.create_task(line.run())
        await until(lambda: owner.opens == 1)
        await line.hang_up()
        await line.hang_up()
        assert (owner.errors, running.done()) == ([None], False)
        assert caplog.messages[-1].endswith("ended: it was closed here")
        line.dial()
        await until(lambda: owner.opens == 2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert owner.errors == [None, None]


@pytest.mark.asyncio
async def test_a_line_ends_with_the_refusal_that_the_gateway_names() -> None:
    async with answering(FakeGateway(Refused("not-authorized", "No."))) as address:
        with pytest.raises(NotAuthorized):
            await Line(Settings(address, KEY), RecordingOwner()).run()
