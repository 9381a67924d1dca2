"""Accepts links: CHALLENGE, HELLO, the key, the role; from then on messages go to the call table.

A node id belongs to the node key that used it first. Of several connections with that key the
newest has the id; if the connection before belongs to another process, that process is told and
stops. ``tests/gateway/test_links.py`` proves it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import secrets
import time
from collections.abc import Callable, Sequence

import msgspec
from aiohttp import web

import easyremote
from easyremote.errors import (
    Busy,
    EasyRemoteError,
    InternalError,
    NotAuthorized,
    ProtocolError,
    UsageError,
    VersionMismatch,
)
from easyremote.gateway.callers import Principal
from easyremote.gateway.durable.door import DetachedDoor
from easyremote.gateway.feed import Answer, GatewayFeed
from easyremote.gateway.http.access import ADDRESS
from easyremote.gateway.http.listener import Visitor
from easyremote.gateway.http.strangers import WINDOW, WrongKeys
from easyremote.gateway.hub import Hub
from easyremote.gateway.keys import KeyRecord, KeyStore
from easyremote.gateway.nodes import RETURN, Nodes
from easyremote.gateway.notify.poster import Poster
from easyremote.gateway.permissions import holder_of
from easyremote.gateway.records import MAX_CALLS, ClientLink, Node
from easyremote.gateway.recovery import Holders
from easyremote.gateway.usage.book import UsageBook
from easyremote.gateway.usage.store import UsageStore
from easyremote.identity import Kind, is_node_id
from easyremote.logs import about
from easyremote.protocol.frames import MAX_MESSAGE
from easyremote.protocol.link import NODE_PING_INTERVAL, Link
from easyremote.protocol.messages import (
    PROTOCOL,
    SUBPROTOCOL,
    Challenge,
    GoingAway,
    Hello,
    Message,
    Refused,
    Welcome,
)
from easyremote.protocol.usage import UsageRequest
from easyremote.transport.connection import Connection
from easyremote.transport.websocket import WebSocketChannel

_log = logging.getLogger("easyremote.gateway")

#: The largest payload of one call.
MAX_PAYLOAD = 2 * 1024**3
#: Calls are numbered from a random number of so many bits.
FIRST_BITS = 40
#: Seconds between two looks at the timers of calls, and between two looks at the keys.
TICK = 0.25
#: Seconds that a client has to answer when it is told that the gateway stops.
GOODBYE_TIMEOUT = 2.0


class Links:
    """All connections of one gateway, and what they share."""

    def __init__(self, keys: KeyStore, *, notify_hosts: Sequence[str] = ()) -> None:
        self.keys = keys
        patience = 0.0 if keys.is_new else RETURN
        self.nodes = Nodes(time.monotonic(), before=keys.holders, patience=patience)
        self.holders = Holders(keys, self.nodes)
        self.instance = os.urandom(16)
        first = secrets.randbits(FIRST_BITS)
        self.calls = Hub(self.nodes, max_payload=MAX_PAYLOAD, first=first)
        self.poster = Poster(self.calls.notices, notify_hosts)
        self.detached = DetachedDoor(self.calls, keys, keys.path.with_name("journal"))
        self.feed = GatewayFeed(self.calls, self.detached)
        self.usage = UsageBook(self.calls.tally, UsageStore(keys.path))
        self.feed.usage_asked = self._usage_asked
        #: The answers about usage that are being made.
        self._answering: set[asyncio.Task[None]] = set()
        self._wrong_keys = WrongKeys()
        self._peers: set[_Peer] = set()
        #: The clients that are connected, by key and by process: the newest connection counts.
        self._clients: dict[tuple[str, bytes], ClientLink] = {}

    async def accept(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one WebSocket, until it is over."""
        ws = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,), max_msg_size=MAX_MESSAGE, compress=False, timeout=2.0
        )
        await ws.prepare(request)
        visitor = request.protocol
        assert isinstance(visitor, Visitor), "all connections come through the listener"
        peer = _Peer(self, request[ADDRESS], visitor.is_known)
        connection = Connection(peer.link, WebSocketChannel(ws), peer.receive)
        peer.connection = connection
        self._peers.add(peer)
        try:
            await connection.run()
        except Exception as error:
            if isinstance(error, EasyRemoteError) and not isinstance(error, InternalError):
                _log.info("Closed a connection: %s", error, extra=peer.named)  # it was told why
            else:
                _log.exception("A mistake of the gateway ended a connection", extra=peer.named)
        finally:
            self._peers.discard(peer)
            peer.left(time.monotonic())
            if request.transport is not None:  # a peer that does not read would keep it for ever
                request.transport.abort()
        return ws

    def check_key(self, text: str, kind: Kind, address: str, now: float) -> KeyRecord:
        """The record of a key that somebody at this address shows.

        Raises
        ------
        NotAuthorized
            It is not good.
        Busy
            It is not good, and neither were many others from this address.
        """
        try:
            return self.keys.check(text, kind)
        except NotAuthorized:
            if self._wrong_keys.note(address, now):
                raise Busy(
                    "Too many wrong keys came from this address. The right key is still taken; for "
                    "others, wait a minute.",
                    retry_after=WINDOW,
                ) from None
            raise

    def look_at_timers(self) -> None:
        """Do what is due for calls."""
        self.calls.handle_timeout(time.monotonic())
        self.detached.handle_timeout(time.monotonic())

    async def look_at_keys(self) -> None:
        """Read what has changed in the keys, and write what is new of nodes."""
        self.holders.look(time.monotonic())
        await asyncio.to_thread(self.keys.sync)

    def look_at_rights(self) -> None:
        """Close the connections whose key is not valid any more, or no longer owns the node id.

        The calls of such a key that wait are refused, whether their client is connected or not.
        """
        for key_id in self.calls.table.queues.waiting.keys():
            if self.keys.is_over(key_id):
                self.calls.key_is_over(key_id, time.monotonic())
        for peer in list(self._peers) if self.keys.has_changed() else ():
            if (why := peer.lost_its_right()) is not None:
                peer.dismiss(Refused("not-authorized", why))

    def _usage_asked(self, request: UsageRequest, key: str | None, answer: Answer) -> None:
        """Answer what was used: the file is read in a thread."""
        task = asyncio.create_task(self._answer_usage(request, key, answer))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer_usage(self, request: UsageRequest, key: str | None, answer: Answer) -> None:
        try:
            rows = await self.usage.rows(request, key)
        except UsageError as error:
            answer(error)
            return
        names = {record.key_id: record.name for record in self.keys.list()}
        if request.by == "key":
            rows = [msgspec.structs.replace(row, title=names.get(row.name, "")) for row in rows]
        answer(rows)

    async def going_away(self) -> None:
        """Tell all peers that the gateway stops. They dial again.

        A client answers, so that the calls that it submitted before are read here and handed back.
        """
        for peer in list(self._peers):
            peer.say_goodbye()
        self.detached.leave()
        self.calls.leave(time.monotonic())
        clients = [peer.gone.wait() for peer in self._peers if peer.is_client]
        with contextlib.suppress(TimeoutError):  # it did not answer: its calls are settled later
            async with asyncio.timeout(GOODBYE_TIMEOUT):
                await asyncio.gather(*clients)

    def close(self) -> None:
        """Write what was used, after the last connection, and send nothing any more."""
        self.poster.close()
        try:
            self.usage.close()
        except UsageError as error:
            _log.error("What was used in the last second is lost: %s", error)

    def client_joined(self, client: ClientLink, instance: bytes) -> None:
        """Take on a client's new connection; an older one of the same process is closed."""
        before = self._clients.pop((client.principal.key_id, instance), None)
        self._clients[client.principal.key_id, instance] = client
        if before is not None:
            before.is_replaced = True
            self._leave(before)
            for peer in list(self._peers):
                if peer.link is before.link:
                    peer.dismiss(GoingAway("a newer connection took over"))

    def client_left(self, client: ClientLink, instance: bytes) -> None:
        """Forget a client's connection that is gone."""
        if not client.is_replaced:
            del self._clients[client.principal.key_id, instance]
            self._leave(client)

    def _leave(self, client: ClientLink) -> None:
        self.feed.client_left(client)
        self.calls.client_left(client, time.monotonic())

    def supersede(self, node: Node, hello: Hello) -> None:
        """A new connection takes over a node id: close the old one and settle its calls."""
        now = time.monotonic()
        if node.link is not None:
            for peer in list(self._peers):
                if peer.link is node.link and node.instance != hello.instance:
                    text = (
                        f"Another process has taken the node id {hello.name!r}; this one stops. "
                        "Give one of them another --node-id."
                    )
                    peer.dismiss(Refused("usage", text))
                elif peer.link is node.link:
                    peer.dismiss(GoingAway("a newer connection took over"))
            self.calls.node_left(node, node.link, now)
        if node.instance != hello.instance:
            self.calls.node_restarted(node, now)


class _Peer:
    """One connection: unknown until HELLO, then a node's or a client's."""

    def __init__(self, links: Links, address: str, admitted: Callable[[], None]) -> None:
        self._links = links
        self._address, self._admitted = address, admitted
        self.link = Link(time.monotonic())
        #: What HELLO has to repeat.
        self.fresh = os.urandom(16)
        self.link.send(Challenge(self.fresh))
        self.connection: Connection | None = None
        self._principal: Principal | None = None
        self._instance = b""
        #: Admits a node, which takes a moment.
        self._admitting: asyncio.Task[None] | None = None
        #: Set when the connection is over.
        self.gone = asyncio.Event()
        #: For the log: the address, after HELLO the role and the name.
        self.name = address
        self._role: Node | ClientLink | None = None

    def receive(self, message: Message, now: float) -> None:
        role = self._role
        if isinstance(role, ClientLink):
            if role.is_replaced:
                return
            if isinstance(message, GoingAway) and self.connection is not None:
                self.connection.end("the gateway stops")
                return
            if not self._links.feed.receive(role, message):
                self._links.calls.receive_from_client(role, message, now)
        elif isinstance(role, Node):
            if role.link is self.link:  # else a newer connection has its id
                self._links.calls.receive_from_node(role, message, now)
        elif isinstance(message, Hello) and self._admitting is None:
            self._admit(message, now)
        else:
            raise ProtocolError("the first message has to be HELLO")

    def _admit(self, hello: Hello, now: float) -> None:
        try:
            principal = self._check(hello, now)
        except EasyRemoteError as error:
            self.link.send(Refused(error.code, error.message))
            raise
        links = self._links
        if links.calls.is_leaving:  # it was quick to dial again: what it sent would be lost here
            self.dismiss(GoingAway("the gateway stops"))
            return
        self._admitted()
        if hello.role == "client":
            self._welcome(now)
            self._role, self._instance = ClientLink(self.link, principal), hello.instance
            links.client_joined(self._role, hello.instance)
        else:
            self._admitting = asyncio.create_task(self._admit_node(hello, principal))

    def _welcome(self, now: float) -> None:
        self.link.open(now)
        versions = {"easyremote": easyremote.__version__, "python": platform.python_version()}
        instance = self._links.instance
        self.link.send(Welcome(PROTOCOL, instance, versions, (), MAX_PAYLOAD, MAX_CALLS))

    async def _admit_node(self, hello: Hello, principal: Principal) -> None:
        """Take a node on, when the file says that it may hold calls."""
        try:
            if not self._links.holders.come(hello.name):
                await self._links.keys.sync_soon()
            now = time.monotonic()
            if self.gone.is_set() or self._links.calls.is_leaving:
                self._links.holders.left(hello.name, now)
            else:
                self._node_joins(hello, principal, now)
        except Exception as error:  # nobody else would hear of it
            _log.exception("A node could not be taken on", extra=self.named)
            self.dismiss(GoingAway(f"the gateway could not take the node on: {error}"))

    def _node_joins(self, hello: Hello, principal: Principal, now: float) -> None:
        links = self._links
        self._welcome(now)
        known = links.nodes.get(hello.name)
        if known is not None:
            links.supersede(known, hello)
        self._role = links.nodes.welcome(hello, self.link, now)
        self._role.owner = principal.name
        links.feed.node_joined(self._role)
        self.link.ping_interval = NODE_PING_INTERVAL
        self.link.ping(now)  # how long it takes to answer is what the strategy `latency` compares
        _log.info("A node has joined with the key %s", principal.key_id, extra=self.named)

    def _check(self, hello: Hello, now: float) -> Principal:
        """Who it is; an error where it may not come in."""
        if hello.protocol[0] != PROTOCOL[0]:
            raise VersionMismatch(
                f"This gateway speaks protocol {PROTOCOL[0]}, you speak {hello.protocol[0]}. "
                "Update the older side: pip install -U easyremote."
            )
        if hello.role not in ("client", "node"):
            raise ProtocolError(f"there is no role {hello.role!r}")
        if hello.fresh != self.fresh:
            raise ProtocolError("HELLO belongs to another connection, which was recorded")
        kind: Kind = "client" if hello.role == "client" else "node"
        record = self._links.check_key(hello.key, kind, self._address, now)
        if hello.role == "node" and not is_node_id(hello.name):
            raise UsageError(
                f"{hello.name[:80]!r} can't be a node's id: it has 1 to 200 printable characters "
                "and no space, slash or comma."
            )
        if hello.role == "node":
            self._links.keys.claim(hello.name, record.key_id)
        self._principal = principal = holder_of(record)
        self.name = f"{hello.role}:{hello.name}"
        return principal

    def lost_its_right(self) -> str | None:
        """Why this connection may not go on; None if it may."""
        keys, principal = self._links.keys, self._principal
        if principal is None:
            return None  # the link watches how long it is silent
        if not keys.is_valid(principal.key_id):
            return "The key was revoked, or has expired."
        if isinstance(self._role, Node) and keys.owner_of(self._role.node_id) != principal.key_id:
            return f"The node id {self._role.node_id!r} was given to another key."
        return None

    @property
    def named(self) -> dict[str, str]:
        """For the log."""
        return about(peer=self.name)

    @property
    def is_client(self) -> bool:
        return isinstance(self._role, ClientLink)

    def say_goodbye(self) -> None:
        word = GoingAway("the gateway stops")
        if self.is_client:
            self.link.send(word)  # and wait for its own
        else:
            self.dismiss(word)

    def dismiss(self, word: Refused | GoingAway) -> None:
        self.link.send(word)
        if self.connection is not None:
            self.connection.end(word.message if isinstance(word, Refused) else word.reason)

    def left(self, now: float) -> None:
        self.gone.set()
        if isinstance(self._role, ClientLink):
            self._links.client_left(self._role, self._instance)
        elif isinstance(self._role, Node):
            self._links.holders.left(self._role.node_id, now)
            self._links.calls.node_left(self._role, self.link, now)
            _log.info("A node has left", extra=self.named)
