"""Dialling out: a connection to the gateway, and a new one whenever it breaks.

Clients and nodes both dial; who dials, speaks first (HELLO). After a break the first try is at
once, then with full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/),
so that a thousand nodes don't come back in one second. ``tests/transport/test_dial.py`` proves it.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp

from easyremote.config import Settings, is_loopback
from easyremote.errors import (
    EasyRemoteError,
    GatewayUnreachable,
    ProtocolError,
    VersionMismatch,
    from_wire,
)
from easyremote.protocol.frames import MAX_MESSAGE
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    PROTOCOL,
    SUBPROTOCOL,
    GoingAway,
    Hello,
    Message,
    Refused,
    Welcome,
)
from easyremote.transport.connection import Connection, WebSocketChannel

#: The socket has to be there, and WELCOME to have come, within this many seconds.
CONNECT_TIMEOUT = 10.0
FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0


class Owner(Protocol):
    """Whose connection it is: a client or a node."""

    def hello(self) -> Hello: ...

    def opened(self, link: Link, welcome: Welcome, now: float) -> None: ...

    def receive(self, message: Message, now: float) -> None: ...

    def flush(self, now: float) -> None: ...

    def closed(self, link: Link | None, error: EasyRemoteError | None, now: float) -> None: ...


def full_jitter(uniform: Callable[[float, float], float] = random.uniform) -> Iterator[float]:
    """Seconds to wait before each new try: none, then random up to a doubling limit."""
    yield 0.0
    limit = FIRST_DELAY
    while True:
        yield uniform(0.0, limit)
        limit = min(limit * 2, LONGEST_DELAY)


def is_fatal(error: EasyRemoteError) -> bool:
    """Whether dialling again would only meet the same answer."""
    return not isinstance(error, GatewayUnreachable)


async def stay_connected(settings: Settings, owner: Owner) -> None:
    """Keep a connection to the gateway, for ever.

    Raises
    ------
    EasyRemoteError
        The gateway refused us, and would again.
    """
    delays = full_jitter()
    async with aiohttp.ClientSession(
        trust_env=not is_loopback(urlsplit(settings.url).hostname or "")
    ) as session:
        while True:
            await asyncio.sleep(next(delays))
            try:
                if await connect_once(settings, owner, session):
                    delays = full_jitter()
            except EasyRemoteError as error:
                if is_fatal(error):
                    raise


async def connect_once(settings: Settings, owner: Owner, session: aiohttp.ClientSession) -> bool:
    """One connection, from dialling to its end; whether it was open at any time.

    Raises
    ------
    EasyRemoteError
        No connection came about; the owner was told, too.
    """
    try:
        ws = await open_websocket(settings, session)
    except EasyRemoteError as unreachable:
        owner.closed(None, unreachable, time.monotonic())
        raise
    dialled = _Dialled(owner, Link(time.monotonic()), settings)
    connection = Connection(dialled.link, WebSocketChannel(ws), dialled.receive, dialled.flush)
    dialled.link.send(owner.hello())
    error: EasyRemoteError | None = None
    try:
        await connection.run()
        if not dialled.is_open:
            reason = f": {connection.reason}" if connection.reason else ""
            raise GatewayUnreachable(
                f"{settings.gateway} closed the connection before it said a word{reason}."
            )
    except EasyRemoteError as raised:
        error = raised
        raise
    finally:
        owner.closed(dialled.link, error, time.monotonic())
    return True


class _Dialled:
    """The dialling side of the handshake, then the owner's messages."""

    def __init__(self, owner: Owner, link: Link, settings: Settings) -> None:
        self._owner, self.link, self._settings = owner, link, settings
        self.is_open = False

    def receive(self, message: Message, now: float) -> None:
        if isinstance(message, Refused):
            raise from_wire(message.code, message.message, {})
        if self.is_open:
            self._owner.receive(message, now)
            return
        if isinstance(message, GoingAway):
            raise GatewayUnreachable(
                f"The gateway at {self._settings.gateway} is about to stop. Try again when it is "
                "back."
            )
        if not isinstance(message, Welcome):
            raise ProtocolError(f"{self._settings.gateway} answered HELLO with something else")
        if message.protocol[0] != PROTOCOL[0]:
            raise VersionMismatch(
                f"The gateway {self._settings.gateway} speaks protocol {message.protocol[0]}, we "
                f"speak {PROTOCOL[0]}. Update the older side: pip install -U easyremote."
            )
        self.link.open(now)
        self.is_open = True
        self._owner.opened(self.link, message, now)

    def flush(self, now: float) -> None:
        if self.is_open:
            self._owner.flush(now)


async def open_websocket(
    settings: Settings, session: aiohttp.ClientSession
) -> aiohttp.ClientWebSocketResponse:
    """A WebSocket to the gateway.

    Raises
    ------
    GatewayUnreachable
        Nothing answers there, or something that is no gateway.
    """
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            ws = await session.ws_connect(
                settings.url + "/v1/link",
                protocols=(SUBPROTOCOL,),
                max_msg_size=MAX_MESSAGE,
                compress=0,
                autoping=True,
            )
    except aiohttp.WSServerHandshakeError as error:
        raise _refused_handshake(settings, error) from None
    except TimeoutError:
        raise GatewayUnreachable(
            f"{settings.gateway} (from {settings.gateway_from}) did not answer within "
            f"{CONNECT_TIMEOUT:.0f} s. Is the host right, and does a firewall let you through?"
        ) from None
    except (OSError, aiohttp.ClientError) as error:
        raise GatewayUnreachable(
            f"No gateway answers at {settings.gateway} (from {settings.gateway_from}): "
            f"{_reason(error)}. Is it running? Start it there: easyremote gateway."
        ) from None
    if ws.protocol != SUBPROTOCOL:
        await ws.close()
        raise GatewayUnreachable(
            f"What answers at {settings.gateway} is a WebSocket server, but no EasyRemote gateway."
        )
    return ws


def _refused_handshake(
    settings: Settings, error: aiohttp.WSServerHandshakeError
) -> GatewayUnreachable:
    kind = error.headers.get("Content-Type", "") if error.headers else ""
    host = urlsplit(settings.url).hostname
    if error.status == 403 and kind.startswith("application/problem+json"):
        return GatewayUnreachable(
            f"The gateway at {settings.gateway} (from {settings.gateway_from}) does not go by the "
            f"name {host!r}. Use one that it knows, or start it with --allow-host {host}."
        )
    return GatewayUnreachable(
        f"What answers at {settings.gateway} (from {settings.gateway_from}) is no EasyRemote "
        f"gateway: it says {error.status} {error.message!r}. Is the port right?"
    )


def _reason(error: Exception) -> str:
    """In the system's words, where aiohttp and asyncio have put theirs around them."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    number = getattr(cause, "errno", None)
    return os.strerror(number) if number and number > 0 else str(cause) or type(cause).__name__
