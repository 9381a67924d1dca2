"""Accepts connections, and hands them to aiohttp.

This module has its own accept loop, because asyncio's accepts everybody. Here a connection is
counted before its TLS handshake, and a silent connection is cut before the process has no file
left for the next one. ``tests/gateway/http/test_listener.py`` proves it with real sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any, cast

from aiohttp import web

from easyremote.errors import UsageError
from easyremote.gateway.http.problems import problem
from easyremote.gateway.http.strangers import Strangers, Visit, group_of
from easyremote.logs import about

_log = logging.getLogger("easyremote.gateway")

#: Connections that the kernel keeps until they are accepted.
BACKLOG = 1024
#: Connections that are accepted before other work of the event loop has its turn.
AT_ONCE = 64
#: Files that are kept free for everything that is no connection.
RESERVE = 64
#: The most connections of strangers, however many files the process may have.
MAX_STRANGERS = 4096
#: Seconds for a TLS handshake, for the head of a request, and between two requests.
PATIENCE = 15.0
#: Seconds in which the rest of a refused request is read, so that its sender reads the answer.
LINGER = 2.0
#: Seconds to wait while many come at once.
MOMENT = 0.01
#: Seconds to wait where the process or the system has nothing left to accept with.
PAUSE = 0.1

_NOTHING_LEFT = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_NO_SUCH_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_REFUSAL = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Length: 0\r\n\r\n"
)


class Visitor(web.RequestHandler):
    """aiohttp's side of one connection; it knows its `Visit`."""

    __slots__ = ("_strangers", "_visit")

    def __init__(self, server: web.Server, strangers: Strangers, visit: Visit) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # aiohttp takes None for no log
            auto_decompress=False,  # a small body could become a very large one
            keepalive_timeout=PATIENCE,
            lingering_time=LINGER,
            logger=_log,
        )
        self._strangers, self._visit = strangers, visit

    def is_known(self) -> None:
        """A key was shown on this connection, or a call of it runs: don't cut it."""
        self._strangers.is_known(self._visit)

    def is_silent(self) -> None:
        """The call is over: the connection may be cut again."""
        self._strangers.is_silent(self._visit, time.monotonic())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        # Not checked by isinstance: uvloop's transports have no base class of asyncio's.
        self._visit.cut = cast(asyncio.Transport, transport).abort

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._strangers.left(self._visit)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what can't be read, or what failed. Only a failure is logged with a traceback."""
        named = about(peer=request.remote or "")
        if isinstance(exc, ConnectionError):
            _log.info("A peer had gone before it was answered", extra=named)
        elif status < 500:
            _log.info("Refused a request that is no HTTP: %s", message, extra=named)
        else:
            _log.error("A request failed", exc_info=exc, extra=named)
        if request.writer.output_size > 0:
            raise ConnectionError("The answer has begun; it can't become another one.")
        failed = "The gateway failed to answer. Its log says why."
        text = failed if status >= 500 else f"This request can't be read: {message or 'no HTTP'}"
        answer = problem(status, "internal" if status >= 500 else "usage", text)
        answer.force_close()
        return answer


@contextlib.contextmanager
def at_work(request: web.BaseRequest) -> Iterator[None]:
    """Keep the connection of a request from being cut while a call of it runs."""
    visitor = request.protocol
    assert isinstance(visitor, Visitor), "all connections come through the listener"
    visitor.is_known()
    try:
        yield
    finally:
        visitor.is_silent()


class Listener:
    """The listening sockets of a gateway.

    Parameters
    ----------
    server
        aiohttp's, which answers the requests.
    context
        For TLS; None without.
    behind_proxy
        Whether all connections come from one proxy, and so from few addresses.
    """

    def __init__(
        self, server: web.Server, *, context: ssl.SSLContext | None, behind_proxy: bool
    ) -> None:
        self._server, self._context = server, context
        self._behind_proxy = behind_proxy
        files = _file_limit()
        self._strangers = Strangers(files - RESERVE, min(files // 2, MAX_STRANGERS))
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, host: str, port: int) -> int:
        """Listen on every address of a host; the port, which is any free one for 0.

        Raises
        ------
        UsageError
            The address is not ours, or the port is taken.
        """
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(
                host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            missing = None
            for family, _, _, _, (name, _, *more) in dict.fromkeys(found):
                try:
                    listening = socket.create_server(
                        (name, port, *more), family=family, backlog=BACKLOG
                    )
                except OSError as error:
                    if error.errno not in _NO_SUCH_ADDRESS:
                        raise
                    missing = error  # as of IPv6 where the machine has none: another may do
                    continue
                listening.setblocking(False)
                self._sockets.append(listening)
                port = port or listening.getsockname()[1]
            if missing is not None and not self._sockets:
                raise missing
        except OSError as error:
            self.close()
            # The system's own words; an unknown name has no error number of the system.
            why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            raise UsageError(
                f"Can't listen on {f'[{host}]' if ':' in host else host}:{port}: {why}. If another "
                "gateway has the port, use that one, or give this one another: --port."
            ) from None
        for listening in self._sockets:
            self._start(self._accept(listening))
        return port

    def close(self) -> None:
        """Accept nothing any more. Connections go on."""
        for task in self._tasks:
            task.cancel()
        for listening in self._sockets:
            listening.close()
        self._sockets.clear()

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        is_short = False
        while True:
            try:
                for _ in range(AT_ONCE):
                    if self._strangers.are_many_and_new(time.monotonic()):
                        await asyncio.sleep(MOMENT)  # they show their keys meanwhile
                        break
                    connection, address = await loop.sock_accept(listening)
                    is_short = False
                    try:
                        self._came(connection, address[0])
                    except Exception:  # it must not end the accepting of others
                        _log.exception("A connection could not be taken on")
                        connection.close()
            except OSError as error:
                if error.errno in _NOTHING_LEFT:
                    if not is_short:
                        _log.error("No connection can be accepted at the moment: %s", error)
                    is_short = True
                    await asyncio.sleep(PAUSE)
                # Any other error: the peer was gone before it was accepted.
            await asyncio.sleep(0)

    def _came(self, connection: socket.socket, address: str) -> None:
        group = "" if self._behind_proxy else group_of(address)
        if not self._strangers.admits(group):
            with contextlib.suppress(OSError):  # it may be gone
                if self._context is None:
                    connection.send(_REFUSAL)
            connection.close()
            return
        visit = Visit(group)
        task = self._start(self._serve(connection, visit))
        visit.cut = task.cancel  # until there is a transport
        self._strangers.came(visit, time.monotonic())

    async def _serve(self, connection: socket.socket, visit: Visit) -> None:
        """Do the TLS handshake, if there is one, and leave the rest to aiohttp."""
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                lambda: Visitor(self._server, self._strangers, visit),
                connection,
                ssl=self._context,
                ssl_handshake_timeout=PATIENCE if self._context else None,
            )
        except BaseException as error:
            self._strangers.left(visit)
            connection.close()
            if isinstance(error, OSError):  # a TLS handshake that failed, too
                _log.debug("A connection was over before it began: %s", error)
            elif isinstance(error, Exception):
                _log.exception("A connection could not be taken on")
            else:
                raise


def _file_limit() -> int:
    """How many files this process may have open."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return 2 * MAX_STRANGERS
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**20 if limit == resource.RLIM_INFINITY else max(limit, 2 * RESERVE)
