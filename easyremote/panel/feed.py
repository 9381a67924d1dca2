"""One feed from the gateway, shared by every browser tab of this Jupyter server.

The feed opens its client for the first subscriber and closes it a minute after the last one, so
that a panel nobody looks at costs nothing. While somebody watches, the feed retries and says why
there is nothing to show. The feed never queues: a slow browser misses snapshots and always gets
the newest. All other questions to the gateway use the same client.
``tests/panel/test_feed.py`` proves it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from easyremote.errors import EasyRemoteError, GatewayUnreachable, InternalError
from easyremote.panel.following import Following, replay
from easyremote.panel.history import History
from easyremote.panel.messages import (
    BarsMoved,
    Connecting,
    JobBars,
    Message,
    Snapshot,
    Unavailable,
    snapshot,
    unavailable,
)
from easyremote.panel.subscription import Subscription

if TYPE_CHECKING:
    from easyremote.client.client import Client

#: A reload of the page, or a change of tabs, must not cost a new connection to the gateway.
LINGER = 60.0
#: Snapshots come about once a second; five missed ones mean that the gateway has gone.
SILENCE = 5.0
#: Seconds before each new try. They stay short: somebody is watching, and has just been told to
#: start a gateway.
RETRY_DELAYS = (1, 2, 4, 8)
#: Seconds between two measurements of how long the gateway takes to answer.
LATENCY_INTERVAL = 10.0
#: Seconds that a request waits for the first message about the gateway.
FIRST_WORD = 10.0

log = logging.getLogger(__name__)


def connect() -> Client:
    """Open a client with the settings of this machine (environment, file, local gateway)."""
    from easyremote import Client

    return Client()


class PanelFeed:
    """Watches the gateway while anybody watches the feed.

    Parameters
    ----------
    connect
        Makes the client; called in a thread, because it may read files.
    linger
        Seconds for which the connection outlives its last subscriber.
    """

    def __init__(self, connect: Callable[[], Client] = connect, *, linger: float = LINGER) -> None:
        self._connect = connect
        self._linger = linger
        self._newest: Message = Connecting()
        self.history = History()
        self._latency: float | None = None
        self._client: Client | None = None
        self._following: Following | None = None
        self._subscriptions: set[Subscription] = set()
        self._task: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._closing: asyncio.TimerHandle | None = None
        self._retry_now = asyncio.Event()

    @property
    def is_running(self) -> bool:
        return self._task is not None

    @property
    def is_connected(self) -> bool:
        """Whether the gateway has answered, and goes on answering."""
        return isinstance(self._newest, Snapshot)

    @contextlib.contextmanager
    def subscribe(self) -> Iterator[Subscription]:
        """Watch the gateway for as long as the block lasts."""
        subscription = Subscription(self._newest, self._bars, self._with_bars)
        self._subscriptions.add(subscription)
        self._start()
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            if not self._subscriptions:
                loop = asyncio.get_running_loop()
                self._closing = loop.call_later(self._linger, self._stop)

    def progress(self) -> BarsMoved:
        """All bars of all jobs."""
        return BarsMoved({call_id: self._bars(call_id) for call_id in self._with_bars})

    async def first_word(self) -> Snapshot | Unavailable:
        """The newest snapshot, or the reason why none came in time."""
        try:
            async with asyncio.timeout(FIRST_WORD):
                with self.subscribe() as subscription:
                    async for message in subscription:
                        if not isinstance(message, Connecting):
                            return message
        except TimeoutError:
            pass
        return Unavailable("unreachable", "The gateway has not answered yet.", 1)

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Client | Unavailable]:
        """The connected client, for as long as the block lasts, or the reason why there is none."""
        with self.subscribe():
            word = await self.first_word()
            if self._client is not None and isinstance(word, Snapshot):
                yield self._client
            elif isinstance(word, Unavailable):
                yield word
            else:
                yield Unavailable("unreachable", "The connection to the gateway broke.", 1)

    def retry(self) -> None:
        """Try again now if the feed is waiting for its next try."""
        self._retry_now.set()

    def reconnect(self) -> None:
        """Open another client with the new settings if somebody watches."""
        if self._task is not None:
            self._stop()
            self._start()

    async def aclose(self) -> None:
        """End the watch and close the client. Idempotent."""
        self._stop()
        if self._ending:
            await asyncio.wait(self._ending)

    def _start(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="easyremote-feed")

    def _stop(self) -> None:
        task, self._task = self._task, None
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        if task is not None:
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            task.cancel()
            self._newest = Connecting()
            self.history = History()

    async def _run(self) -> None:
        attempt = 0
        while True:
            try:
                async with contextlib.aclosing(self._snapshots()) as snapshots:
                    async for message in snapshots:
                        attempt = 0
                        self._take(message)
            except EasyRemoteError as exc:
                error = exc
            except Exception:
                # The boundary: any error is logged, the panel shows it, and the feed goes on.
                log.exception("EasyRemote: watching the gateway failed")
                error = InternalError(
                    "Watching the gateway failed; the log of the Jupyter server has the details."
                )
            else:
                error = GatewayUnreachable("The gateway ended the connection.")
            await self._wait(error, RETRY_DELAYS[min(attempt, len(RETRY_DELAYS) - 1)])
            attempt += 1

    def _take(self, message: Snapshot) -> None:
        self.history.add(message.nodes)
        message.sample = self.history.sample
        message.latency = self._latency
        if self._following is not None:
            self._following.update(message.jobs)
        self._publish(message)

    async def _snapshots(self) -> AsyncGenerator[Snapshot]:
        client = await asyncio.to_thread(self._connect)
        address = client.settings.gateway
        following = self._following = Following(partial(replay, client, bars_only=True), self._move)
        self._client = client
        measuring: asyncio.Task[None] | None = None
        try:
            # In a thread, because it waits for the connection.
            stream = aiter(await asyncio.to_thread(client.watch))
            measuring = asyncio.create_task(self._measure(client), name="easyremote-latency")
            while True:
                try:
                    async with asyncio.timeout(SILENCE):
                        raw = await anext(stream)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    raise GatewayUnreachable(
                        f"The gateway at {address} has not answered for {SILENCE:.0f} seconds."
                    ) from None
                yield snapshot(raw, address)
        finally:
            self._client = self._following = self._latency = None
            if measuring is not None:
                measuring.cancel()
            await following.aclose()
            await asyncio.to_thread(client.close)

    async def _measure(self, client: Client) -> None:
        """Measure from time to time how long the gateway takes to answer."""
        while True:
            with contextlib.suppress(EasyRemoteError):  # the watch tells of it
                self._latency = await asyncio.to_thread(client.ping)
            await asyncio.sleep(LATENCY_INTERVAL)

    async def _wait(self, error: EasyRemoteError, delay: int) -> None:
        """Count down to the next try, unless somebody asks for it now."""
        self._retry_now.clear()
        for left in range(delay, 0, -1):
            self.history.skip()
            self._publish(unavailable(error, left))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._retry_now.wait()
                    return

    def _publish(self, message: Message) -> None:
        self._newest = message
        for subscription in self._subscriptions:
            subscription.put_nowait(message)

    def _move(self, call_id: str) -> None:
        for subscription in self._subscriptions:
            subscription.move_nowait(call_id)

    @property
    def _with_bars(self) -> list[str]:
        """The jobs that have bars."""
        return self._following.call_ids if self._following is not None else []

    def _bars(self, call_id: str) -> JobBars:
        return self._following.bars(call_id) if self._following is not None else JobBars([], 0)
