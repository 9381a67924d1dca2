"""HELLO, keys and roles over a real WebSocket; whose a node's id is; what bad bytes are told."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import psutil
import pytest

from easyremote.client.client import Client
from easyremote.errors import Busy, NotAuthorized
from easyremote.gateway.keys import KeyStore
from easyremote.gateway.links import Links
from easyremote.gateway.links import _Peer as Peer
from easyremote.identity import Key
from easyremote.protocol.frames import CHUNK_SIZE, MAX_HELLO, MAX_MESSAGE, chunk_header
from easyremote.protocol.frames import control_record as record
from easyremote.protocol.messages import (
    Cancel,
    Finished,
    Function,
    GoingAway,
    Hello,
    Message,
    Payload,
    Refused,
    Register,
    Submit,
    Welcome,
    encode,
)
from tests.gateway.raw import hello, raw
from tests.processes import Gateway, online, wait_until

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("node")]


async def answers(gateway: Gateway, said: Message) -> tuple[Message, int | None, str]:
    """The first answer, then the code and reason of the close that follows."""
    async with raw(gateway) as peer:
        await peer.send(said)
        return await peer.hear(), *await peer.closed()


async def test_the_right_key_is_welcome_and_hears_the_limits(gateway: Gateway) -> None:
    async with raw(gateway) as peer:
        await peer.send(hello(gateway))
        welcome = await peer.hear()
        assert isinstance(welcome, Welcome)
        assert welcome.max_calls == 1000
        assert welcome.max_payload == 2 * 1024**3


async def test_a_newer_minor_version_is_welcome(gateway: Gateway) -> None:
    async with raw(gateway) as peer:
        await peer.send(hello(gateway, protocol=(1, 99)))
        assert isinstance(await peer.hear(), Welcome)


async def test_another_major_version_is_refused_and_both_are_named(gateway: Gateway) -> None:
    refused, _, reason = await answers(gateway, hello(gateway, protocol=(9, 0)))
    assert isinstance(refused, Refused)
    assert refused.code == "version"
    assert "gateway speaks protocol 1, you speak 9" in refused.message
    assert "pip install -U easyremote" in refused.message
    assert refused.message.startswith(reason)


@pytest.mark.parametrize(
    ("role", "key", "words"),
    [
        ("client", "", "asks for a key, and none was given"),
        ("client", "hunter2", "not an EasyRemote key"),
        ("client", "another gateway's", "does not accept the key"),
        ("client", "the node's", "is a node key; a client key is needed"),
        ("node", "the client's", "is a client key; a node key is needed"),
    ],
)
async def test_a_wrong_key_is_refused_and_told_why(
    gateway: Gateway, role: str, key: str, words: str
) -> None:
    key = str(Key.generate("client")) if key == "another gateway's" else key
    for kind in ("node", "client"):
        key = gateway.keys[kind] if key == f"the {kind}'s" else key
    refused, _, reason = await answers(gateway, hello(gateway, role, key=key))
    assert isinstance(refused, Refused)
    assert refused.code == "not-authorized"
    assert words in refused.message
    assert reason
    assert "er_" not in reason.replace("er_client_...", "")  # no secret in what is logged


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a,b", "a\\b", "x" * 201, "a\x00b", "a\nb"])
async def test_a_name_that_cannot_be_typed_is_no_node_id(gateway: Gateway, name: str) -> None:
    refused, _, _ = await answers(gateway, hello(gateway, "node", name=name))
    assert isinstance(refused, Refused)
    assert "can't be a node's id" in refused.message


async def test_who_says_nothing_is_cut(gateway: Gateway) -> None:
    async with raw(gateway) as peer:
        code, reason = await peer.closed()
        assert (code, reason) == (1000, "silent for too long")


# -- whose a node's id is --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("instance", "word"),
    [
        (b"j" * 16, "Another process has taken the node id 'twin'"),
        (b"i" * 16, "a newer connection"),
    ],
)
async def test_the_newest_connection_of_a_node_id_has_it_and_the_one_before_is_told(
    gateway: Gateway, client: Client, instance: bytes, word: str
) -> None:
    async with raw(gateway) as older, raw(gateway) as newer:
        for peer, number in ((older, b"i" * 16), (newer, instance)):
            await peer.send(hello(gateway, "node", name="twin", instance=number))
            assert isinstance(await peer.hear(), Welcome)
            await peer.send(Register((Function("f"),), 1))
        told = await older.hear()
        assert isinstance(told, Refused if instance != b"i" * 16 else GoingAway)
        assert word in str(told)
        _, reason = await older.closed()
        assert word in reason
        await asyncio.to_thread(wait_until, lambda: "twin" in online(client))


async def test_the_newest_connection_of_a_client_has_its_calls(gateway: Gateway) -> None:
    async with raw(gateway) as older, raw(gateway) as newer:
        call_id, instance = os.urandom(16), os.urandom(16)
        for peer in (older, newer):
            await peer.send(hello(gateway, instance=instance))
            assert isinstance(await peer.hear(), Welcome)
            await peer.send(Submit(1, call_id, "gpu-node", "no_such_function", Payload()))
        assert isinstance(await older.hear(), Finished)
        assert isinstance(await older.hear(), GoingAway)
        assert "newer connection" in (await older.closed())[1]
        assert isinstance(await newer.hear(), Finished), "the same outcome, to who asks now"


# -- bad bytes -------------------------------------------------------------------------------------

KEYLESS = Hello((1, 0), "client", "", "x", b"i" * 16)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"\xff" * 100, "record of kind 255", id="garbage"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", "speaks another protocol", id="http"),
        pytest.param(b"\x05\0\0\0\0\xc1\xc1\xc1\xc1", "not a message", id="no msgpack"),
        pytest.param(record(b"\x92\x01\x02"), "not a message", id="wrong types"),
        pytest.param(record(b"\x91\x63"), "not a message", id="unknown tag"),
        pytest.param(record(b"\x91" * 3000), "not a message", id="deeply nested"),
        pytest.param(record(encode(KEYLESS)[:-1]), "not a message", id="truncated message"),
        pytest.param(b"\0\0\0\0\0", "record of 0 bytes", id="empty record"),
        pytest.param(b"\xff\xff\xff\x7f\0", "the limit is 4096", id="length of 2 GB"),
        pytest.param(record(b"\0" * MAX_HELLO), "the limit is 4096", id="large HELLO"),
        pytest.param(chunk_header(1, 5) + b"hello", "data before HELLO", id="data first"),
        pytest.param(record(encode(Cancel(1))), "has to be HELLO", id="not HELLO"),
        pytest.param("text", "this protocol is binary", id="text"),
        pytest.param(
            record(encode(Hello((1, 0), "king", "", "x", b"i" * 16))), "no role 'king'", id="role"
        ),
    ],
)
async def test_bad_bytes_from_a_stranger_are_closed_with_a_reason(
    gateway: Gateway, client: Client, data: bytes | str, words: str
) -> None:
    async with raw(gateway) as peer:
        await peer.send(data)
        _, reason = await peer.closed()
        assert words in reason
    assert client.execute("add", 1, 2) == 3


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"\xff" * 100, "record of kind 255", id="garbage"),
        pytest.param(record(b"\xc1" * 9), "not a message", id="no msgpack"),
        pytest.param(b"\xff\xff\xff\x7f\0", "the limit is 1048576", id="length of 2 GB"),
        pytest.param(
            chunk_header(1, CHUNK_SIZE + 1) + b"x" * (CHUNK_SIZE + 1),
            "the limit is 65536",
            id="large chunk",
        ),
        pytest.param(b"x" * (MAX_MESSAGE + 1), "", id="large WebSocket message"),
    ],
)
async def test_bad_bytes_from_who_has_a_key_are_closed_with_a_reason(
    gateway: Gateway, client: Client, data: bytes, words: str
) -> None:
    async with raw(gateway) as peer:
        await peer.send(hello(gateway))
        assert isinstance(await peer.hear(), Welcome)
        await peer.send(data)
        code, reason = await peer.closed()
        assert words in reason
        assert reason or code == 1009, "1009 says it: the message is too big"
    assert client.execute("add", 1, 2) == 3


@pytest.mark.parametrize("has_key", [False, True])
async def test_two_hundred_megabytes_of_garbage_leave_no_trace(
    gateway: Gateway, client: Client, has_key: bool
) -> None:
    """From who has a key: chunks of streams that nobody announced. From a stranger: noise."""
    process = psutil.Process(gateway.process.pid)
    client.execute("add", 1, 2)
    chunk = chunk_header(7, CHUNK_SIZE) + b"x" * CHUNK_SIZE
    before = process.memory_info().rss
    for _ in range(4 if has_key else 200):
        async with raw(gateway) as peer:
            if not has_key:
                await peer.send(b"\xff" * 1_000_000)
                continue
            await peer.send(hello(gateway))
            await peer.hear()
            await peer.send(*[chunk] * 800)
    client.execute("add", 1, 2)
    assert process.memory_info().rss - before < 30_000_000


async def test_who_dials_a_gateway_that_stops_is_sent_away_and_not_let_in(tmp_path: Path) -> None:
    """What it sent would reach nobody, and nobody would say so."""
    keys = KeyStore(tmp_path / "keys.db")
    links = Links(keys)
    peer, said = Peer(links, "", lambda: None), list[Message]()
    peer.link.send = said.append  # type: ignore[method-assign]
    links.calls.leave(0.0)
    key = str(keys.create("client", "me"))
    peer.receive(Hello((1, 0), "client", key, "me", b"i" * 16, fresh=peer.fresh), 0.0)
    assert said == [GoingAway("the gateway stops")]
    assert not peer.is_client
    links.close()
    keys.close()


async def test_many_wrong_keys_of_an_address_are_told_apart_and_the_right_one_is_taken(
    tmp_path: Path,
) -> None:
    keys = KeyStore(tmp_path / "keys.db")
    links = Links(keys)

    def say(address: str, key: str) -> Message:
        peer, said = Peer(links, address, lambda: None), list[Message]()
        peer.link.send = said.append  # type: ignore[method-assign]
        with contextlib.suppress(NotAuthorized, Busy):
            peer.receive(Hello((1, 0), "client", key, "me", b"i" * 16, fresh=peer.fresh), 0.0)
        return said[0]

    wrong = str(Key.generate("client"))
    codes = [getattr(say("203.0.113.9", wrong), "code", "") for _ in range(21)]
    assert codes == ["not-authorized"] * 20 + ["busy"]
    assert getattr(say("203.0.113.10", wrong), "code", "") == "not-authorized"
    assert isinstance(say("203.0.113.9", str(keys.create("client", ""))), Welcome)
    links.close()
    keys.close()
