"""Dialling out: a connection to the gateway, and a new one whenever it breaks.

Clients and nodes dial; the gateway says CHALLENGE, and who dialled answers HELLO. After a break the
first try is made at once. The next ones wait a random time under a limit that doubles, so that a
thousand nodes don't come back in the same second
(https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

An exception while one message is handled ends that message's call, never the connection; a mistake
anywhere else ends the connection, never the client or the node. ``tests/transport/test_dial.py``
proves it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
from msgspec import structs

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
    MAX_PAYLOAD,
    PROTOCOL,
    SUBPROTOCOL,
    Challenge,
    GoingAway,
    Hello,
    Message,
    Refused,
    Welcome,
)
from easyremote.transport.connection import Connection
from easyremote.transport.websocket import WebSocketChannel

#: The socket has to be there, and WELCOME to have come, within this many seconds.
CONNECT_TIMEOUT = 10.0
#: The longest wait before the second try, in seconds; it doubles with each further try.
FIRST_DELAY = 0.5
#: The longest wait of all, in seconds: in the first minute without a connection, and later.
EARLY_DELAY = 5.0
LONGEST_DELAY = 30.0
FIRST_MINUTE = 60.0
#: A connection that breaks within so many seconds counts as one more failed try.
STABLE_AFTER = 5.0

_log = logging.getLogger("easyremote.dial")


class Owner(Protocol):
    """Whose connection it is: a client or a node."""

    def hello(self) -> Hello: ...

    def opened(self, link: Link, welcome: Welcome, now: float) -> None: ...

    def receive(self, message: Message, now: float) -> None: ...

    def failed(self, message: Message, error: Exception) -> None:
        """`receive` raised ``error``, which is logged: end the call of this message."""

    def flush(self, now: float) -> None: ...

    def closed(self, link: Link | None, error: EasyRemoteError | None, now: float) -> None: ...


#: Not the global generator: its numbers are the user's.
_own = random.Random()


def redial_delay(
    tries: int, away: float, uniform: Callable[[float, float], float] = _own.uniform
) -> float:
    """Seconds to wait before the next try.

    Parameters
    ----------
    tries
        How many tries have failed since there was a connection.
    away
        Seconds since then.
    uniform
        Where the randomness comes from.
    """
    if tries == 0:
        return 0.0
    longest = EARLY_DELAY if away < FIRST_MINUTE else LONGEST_DELAY
    return uniform(0.0, min(FIRST_DELAY * 2 ** min(tries - 1, 10), longest))


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
    tries, left = 0, time.monotonic()
    trust_env = not is_loopback(urlsplit(settings.url).hostname or "")
    async with aiohttp.ClientSession(trust_env=trust_env) as session:
        while True:
            await asyncio.sleep(redial_delay(tries, time.monotonic() - left))
            tries += 1
            try:
                seconds = await connect_once(settings, owner, session)
            except EasyRemoteError as error:
                if is_fatal(error):
                    raise
            except Exception:
                _log.exception("A mistake ended the connection to %s", settings.gateway)
            else:
                left = time.monotonic()
                if seconds >= STABLE_AFTER:
                    tries = 0


class Line:
    """A connection to the gateway that can be hung up for a while.

    Parameters
    ----------
    settings
        The gateway and the key.
    owner
        Whose connection it is.
    """

    def __init__(self, settings: Settings, owner: Owner) -> None:
        self._settings, self._owner = settings, owner
        self._is_wanted = asyncio.Event()
        self._is_wanted.set()
        self._connected: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Keep a connection whenever one is wanted, for ever; raises as `stay_connected`."""
        while True:
            await self._is_wanted.wait()
            self._connected = asyncio.create_task(stay_connected(self._settings, self._owner))
            try:
                await asyncio.wait([self._connected])
            finally:
                self._connected.cancel()
                await asyncio.gather(self._connected, return_exceptions=True)
            if not self._connected.cancelled():
                self._connected.result()

    async def hang_up(self) -> None:
        """Close the connection when what is queued has left, and dial no more. Safe to repeat."""
        self._is_wanted.clear()
        if self._connected is not None:
            self._connected.cancel()
            await asyncio.wait([self._connected])

    def dial(self) -> None:
        """Have a connection again."""
        self._is_wanted.set()


async def connect_once(settings: Settings, owner: Owner, session: aiohttp.ClientSession) -> float:
    """One connection, from dialling to its end; for how many seconds it was open.

    Raises
    ------
    EasyRemoteError
        No connection came about, or the gateway refused us. The owner was told, too.
    """
    try:
        ws = await open_websocket(settings, session)
    except EasyRemoteError as unreachable:
        owner.closed(None, unreachable, time.monotonic())
        raise
    dialled = _Dialled(owner, Link(time.monotonic()), settings)
    connection = Connection(dialled.link, WebSocketChannel(ws), dialled.receive, dialled.flush)
    error: EasyRemoteError | None = None
    try:
        await connection.run()
        dialled.check_opened(connection.reason)
    except asyncio.CancelledError:
        connection.reason = connection.reason or "it was closed here"
        raise
    except EasyRemoteError as raised:
        error = raised
        if dialled.is_refused or not dialled.is_open:
            raise
    finally:
        owner.closed(dialled.link, error, time.monotonic())
        if dialled.is_open:
            why = connection.reason or "the network broke"
            level = logging.INFO if error is None else logging.WARNING
            _log.log(level, "The connection to %s ended: %s", settings.gateway, why)
    return time.monotonic() - dialled.opened_at


class _Dialled:
    """The dialling side of the handshake, then the owner's messages."""

    def __init__(self, owner: Owner, link: Link, settings: Settings) -> None:
        self._owner, self.link, self._settings = owner, link, settings
        self.is_open = self.is_refused = self._is_challenged = False
        self.opened_at = 0.0

    def receive(self, message: Message, now: float) -> None:
        if isinstance(message, Refused):
            self.is_refused = True
            raise from_wire(message.code, message.message, {})
        if isinstance(message, Challenge):
            if not self._is_challenged:  # what is repeated on the way is answered once
                self._is_challenged = True
                self.link.send(structs.replace(self._owner.hello(), fresh=message.fresh))
            return
        if not self.is_open:
            self._shake_hands(message, now)
            return
        try:
            self._owner.receive(message, now)
        except ProtocolError:
            raise  # the gateway broke the protocol: the connection ends, and is dialled again
        except Exception as error:
            _log.exception("A %s of the gateway could not be handled", type(message).__name__)
            self._owner.failed(message, error)

    def _shake_hands(self, message: Message, now: float) -> None:
        gateway = self._settings.gateway
        if isinstance(message, GoingAway):
            raise GatewayUnreachable(
                f"The gateway at {gateway} is about to stop. Try again when it is back."
            )
        if not isinstance(message, Welcome):
            raise ProtocolError(f"{gateway} answered HELLO with something else")
        if message.protocol[0] != PROTOCOL[0]:
            raise VersionMismatch(
                f"The gateway {gateway} speaks protocol {message.protocol[0]}, we speak "
                f"{PROTOCOL[0]}. Update the older side: pip install -U easyremote."
            )
        self.link.open(now, message.max_payload or MAX_PAYLOAD)
        self.is_open = True
        self.opened_at = now
        self._owner.opened(self.link, message, now)

    def flush(self, now: float) -> None:
        if self.is_open:
            self._owner.flush(now)

    def check_opened(self, reason: str) -> None:
        """Raise where the connection ended before it was open."""
        if not self.is_open:
            why = f": {reason}" if reason else ""
            raise GatewayUnreachable(
                f"{self._settings.gateway} closed the connection before it said a word{why}."
            )


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
    if error.status == 429:
        return GatewayUnreachable(
            f"The gateway at {settings.gateway} has too many connections from this address that "
            "have shown no key. Try again in a few seconds."
        )
    return GatewayUnreachable(
        f"What answers at {settings.gateway} (from {settings.gateway_from}) is no EasyRemote "
        f"gateway: it says {error.status} {error.message!r}. Is the port right?"
    )


def _reason(error: Exception) -> str:
    """What the system said, without the words of aiohttp and asyncio around it."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    number = getattr(cause, "errno", None)
    return os.strerror(number) if number and number > 0 else str(cause) or type(cause).__name__
