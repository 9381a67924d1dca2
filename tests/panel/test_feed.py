"""The feed, with a client that does what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from easyremote import errors
from easyremote.config import Settings
from easyremote.panel import feed as feed_module
from easyremote.panel.feed import PanelFeed, Subscription
from easyremote.panel.messages import Connecting, Message, Snapshot, Unavailable

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(10)]


class FakeClient:
    """A client whose snapshots and errors the test puts into a queue."""

    def __init__(self) -> None:
        self.script: asyncio.Queue[int | Exception | None] = asyncio.Queue()
        self.settings = Settings("my-vps:8080", "a key that stays here")
        self.opened = 0
        self.closed = asyncio.Event()
        self.loop = asyncio.get_running_loop()

    def connect(self) -> FakeClient:
        self.opened += 1
        return self

    async def watch(self) -> AsyncIterator[dict[str, Any]]:
        while (item := await self.script.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield {
                "gateway": {"version": str(item)},
                "nodes": [],
                "jobs": [],
            }

    def ping(self) -> float:
        return 0.25

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.closed.set)


async def until(subscription: Subscription, kind: type[Message]) -> Any:
    async for message in subscription:
        if isinstance(message, kind):
            return message


async def test_a_subscriber_gets_first_what_is_known_and_then_what_is_new() -> None:
    client = FakeClient()
    feed = PanelFeed(client.connect)
    with feed.subscribe() as subscription:
        assert await anext(subscription) == Connecting()
        client.script.put_nowait(1)
        message = await until(subscription, Snapshot)
        assert (message.gateway.version, message.gateway.address) == ("1", "my-vps:8080")
        with feed.subscribe() as late:
            assert (await anext(late)).gateway.version == "1"
    await feed.aclose()


async def test_a_snapshot_tells_how_long_the_gateway_takes_to_answer() -> None:
    client = FakeClient()
    feed = PanelFeed(client.connect)
    with feed.subscribe() as subscription:
        latency = None
        while latency is None:  # it is measured beside what the gateway tells
            client.script.put_nowait(1)
            latency = (await until(subscription, Snapshot)).latency
    assert latency == 0.25
    await feed.aclose()


async def test_all_tabs_share_one_client() -> None:
    client = FakeClient()
    feed = PanelFeed(client.connect)
    with feed.subscribe() as one, feed.subscribe() as two:
        client.script.put_nowait(1)
        await until(one, Snapshot)
        await until(two, Snapshot)
    assert client.opened == 1
    await feed.aclose()


async def test_a_slow_browser_misses_snapshots_but_never_the_newest() -> None:
    client = FakeClient()
    feed = PanelFeed(client.connect)
    with feed.subscribe() as slow, feed.subscribe() as quick:
        for number in range(5):
            client.script.put_nowait(number)
            await until(quick, Snapshot)
        assert (await until(slow, Snapshot)).gateway.version == "4"
    await feed.aclose()


async def test_the_client_is_closed_after_the_last_subscriber() -> None:
    client = FakeClient()
    feed = PanelFeed(client.connect, linger=0)
    with feed.subscribe() as subscription:
        client.script.put_nowait(1)
        await until(subscription, Snapshot)
        assert not client.closed.is_set()
    await client.closed.wait()
    assert not feed.is_running


async def test_a_reload_of_the_page_keeps_the_client() -> None:
    client = FakeClient()
    feed = PanelFeed(client.connect)
    for number in range(2):
        with feed.subscribe() as subscription:
            client.script.put_nowait(number)
            message = await until(subscription, Snapshot)
            while message.gateway.version != str(number):
                message = await until(subscription, Snapshot)
    assert client.opened == 1
    assert not client.closed.is_set()
    await feed.aclose()
    assert client.closed.is_set()


async def test_an_error_becomes_a_reason_and_a_retry_comes_at_once_when_asked() -> None:
    client = FakeClient()
    feed = PanelFeed(client.connect)
    with feed.subscribe() as subscription:
        for attempts in range(1, 4):
            client.script.put_nowait(errors.NotAuthorized("Not this key."))
            message = await until(subscription, Unavailable)
            assert (message.reason, message.message) == ("not-authorized", "Not this key.")
            assert client.opened == attempts
            feed.retry()
        client.script.put_nowait(1)
        await until(subscription, Snapshot)
    await feed.aclose()


async def test_the_feed_tries_again_by_itself() -> None:
    client = FakeClient()
    feed = PanelFeed(client.connect)
    client.script.put_nowait(None)
    client.script.put_nowait(1)
    with feed.subscribe() as subscription:
        message = await until(subscription, Unavailable)
        assert (message.reason, message.retry_in) == ("unreachable", 1)
        await until(subscription, Snapshot)
    await feed.aclose()


async def test_a_mistake_of_ours_does_not_end_the_feed(caplog: pytest.LogCaptureFixture) -> None:
    client = FakeClient()
    feed = PanelFeed(client.connect)
    client.script.put_nowait(RuntimeError("a secret in the message"))
    with feed.subscribe() as subscription:
        message = await until(subscription, Unavailable)
        assert message.reason == "failed"
        assert "secret" not in message.message
        assert "secret" in caplog.text
        feed.retry()
        client.script.put_nowait(1)
        await until(subscription, Snapshot)
    await feed.aclose()


async def test_a_gateway_that_falls_silent_counts_as_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed_module, "SILENCE", 0.05)
    client = FakeClient()
    feed = PanelFeed(client.connect)
    with feed.subscribe() as subscription:
        message = await until(subscription, Unavailable)
    assert message.reason == "unreachable"
    assert client.closed.is_set()
    await feed.aclose()


async def test_closing_twice_or_unused_is_harmless() -> None:
    feed = PanelFeed(FakeClient().connect)
    await feed.aclose()
    await feed.aclose()
