"""The public face of the gateway: `Server` starts it and stops it.

``tests/gateway/test_server.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import ssl
import threading
from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from easyremote import config
from easyremote.errors import NotAuthorized, UsageError
from easyremote.gateway.app import make_app
from easyremote.gateway.durable.door import MAX_KEPT
from easyremote.gateway.http.access import Door
from easyremote.gateway.http.api import MAX_WAITING, Api
from easyremote.gateway.http.listener import Listener
from easyremote.gateway.keys import KeyStore
from easyremote.gateway.links import Links
from easyremote.gateway.permissions import LOCAL_USER
from easyremote.gateway.scheduling.scheduler import ASK_IDLE_AFTER
from easyremote.identity import Kind, read_private, write_private
from easyremote.protocol.builtins import is_builtin
from easyremote.times import check_seconds
from easyremote.transport.freed_memory import keep_freed_memory
from easyremote.transport.loop import new_event_loop

_log = logging.getLogger("easyremote.gateway")

#: Connections that are still open at the end are cut after this many seconds.
SHUTDOWN_TIMEOUT = 5.0


#: The name of the keys in the connection file.


class Server:
    """A gateway.

    Parameters
    ----------
    host
        The address to listen on. Another one than loopback needs TLS or ``behind_proxy``.
    port
        The port; 0 for any free one (see `address`).
    max_workers
        How many calls by HTTP may be under way at a time; None for 100.
    tls
        Paths of a certificate chain and its key.
    behind_proxy
        Whether a proxy in front does TLS. The gateway may then listen beyond loopback without TLS
        of its own, and believes the proxy's ``X-Forwarded-For``.
    allow_hosts
        Host names, besides loopback and ``host``, under which people reach this gateway; with a
        port where a proxy in front has another one than that of its scheme.
    ask_idle_after
        Seconds for which a session was idle before its owner is asked for the GPU memory that it
        holds and somebody waits for.
    notify_hosts
        Hosts in private networks, or on this machine, to which notifications may go: names,
        addresses or networks. They go to every address of the public internet.
    max_kept
        Bytes of arguments and outcomes of detached calls that are kept for one key.
    home
        The directory of its keys; None for the user's data directory.

    Examples
    --------
    >>> with Server(port=0) as server:  # doctest: +SKIP
    ...     print(server.address)
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = config.DEFAULT_PORT,
        *,
        max_workers: int | None = None,
        tls: tuple[str, str] | None = None,
        behind_proxy: bool = False,
        allow_hosts: Iterable[str] = (),
        ask_idle_after: float = ASK_IDLE_AFTER,
        notify_hosts: Iterable[str] = (),
        max_kept: float = MAX_KEPT,
        home: Path | None = None,
    ) -> None:
        if not (config.is_loopback(host) or tls or behind_proxy):
            raise UsageError(
                f"Listening on {host} without TLS would show every key to the network. Give "
                "--tls-cert and --tls-key, or --behind-proxy if a proxy does TLS in front."
            )
        self._host, self._port = host, port
        self._tls = tls
        self._door = Door.of(host, allow_hosts, tls=tls is not None, behind_proxy=behind_proxy)
        check_seconds(ask_idle_after, "ask_idle_after")
        self._ask_idle_after = ask_idle_after
        self._home, self._notify_hosts = home, tuple(notify_hosts)
        self._max_kept = max_kept
        self._max_waiting = max_workers or MAX_WAITING
        self._links: Links | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._error: BaseException | None = None

    # -- what people look at ---------------------------------------------------------------------

    @property
    def address(self) -> str:
        """``host:port`` that it listens on."""
        return f"{f'[{self._host}]' if ':' in self._host else self._host}:{self._port}"

    @property
    def is_running(self) -> bool:
        """Whether the gateway takes connections."""
        return self._links is not None

    @property
    def node_count(self) -> int:
        """How many nodes are online."""
        return sum(node.online for node in self._links.nodes) if self._links else 0

    @property
    def function_count(self) -> int:
        """How many functions the nodes online have registered, each name once."""
        if self._links is None:
            return 0
        names = {name for node in self._links.nodes if node.online for name in node.functions}
        return sum(not is_builtin(name) for name in names)

    # -- start and stop --------------------------------------------------------------------------

    def start(self) -> None:
        """Serve until `stop`, or SIGINT or SIGTERM; blocks."""
        self._run(self._serve(with_signals=threading.current_thread() is threading.main_thread()))

    def start_background(self) -> Self:
        """Serve in a thread of its own; returns when it listens."""
        self._ready.clear()
        self._thread = threading.Thread(
            target=self._run_in_thread, name="easyremote-gateway", daemon=True
        )
        self._thread.start()
        self._ready.wait()
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self

    async def start_async(self) -> None:
        """Serve in the running event loop until `stop` or cancellation."""
        await self._serve(with_signals=False)

    def stop(self) -> None:
        """Tell all peers that the gateway stops, and stop. Safe to repeat, and from any thread.

        Raises
        ------
        Exception
            What had ended a gateway that `start_background` started, if it was not `stop`.
        """
        loop, stopping, thread = self._loop, self._stopping, self._thread
        if loop is not None and stopping is not None and not loop.is_closed():
            loop.call_soon_threadsafe(stopping.set)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=2 * SHUTDOWN_TIMEOUT)
            self._thread = None
            error, self._error = self._error, None
            if error is not None:
                raise error

    def __enter__(self) -> Self:
        return self.start_background()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        self._ready.clear()
        self._task = asyncio.create_task(self._serve(with_signals=False))
        self._task.add_done_callback(lambda task: self._ready.set())
        await asyncio.to_thread(self._ready.wait)
        if not self.is_running:
            await self._task  # raises what went wrong
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.stop()
        if self._task is not None:
            await self._task

    def _run_in_thread(self) -> None:
        try:
            self._run(self._serve(with_signals=False))
        except BaseException as error:  # noqa: B036 - raised again in start_background, or stop
            self._error = error
            if self._ready.is_set():
                _log.exception("The gateway has ended")
        finally:
            self._ready.set()

    def _run(self, main: Coroutine[Any, Any, None]) -> None:
        keep_freed_memory()
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(main)

    async def _serve(self, *, with_signals: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        if with_signals:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._loop.add_signal_handler(number, self._stopping.set)
        home = self._home or config.home()
        keys = KeyStore(home / "gateway.sqlite3")
        links = Links(keys, notify_hosts=self._notify_hosts)
        links.calls.table.queues.ask_idle_after = self._ask_idle_after
        links.detached.max_kept = self._max_kept
        api = Api(links, max_waiting=self._max_waiting)
        app = make_app(links, api, self._door)
        await links.detached.open()
        runner = web.AppRunner(
            app,
            shutdown_timeout=SHUTDOWN_TIMEOUT,
            handler_cancellation=True,  # who asked by HTTP and went, takes the call along
        )
        await runner.setup()
        assert runner.server is not None, "it has been set up"
        listener = Listener(
            runner.server, context=self._context(), behind_proxy=self._door.behind_proxy
        )
        try:
            self._port = await listener.listen(self._host, self._port)
            self._announce(keys, home / config.local_file().name)
            self._links = links
            self._ready.set()
            await self._stopping.wait()
            api.leave()
            await links.going_away()
        finally:
            self._links = None
            listener.close()
            api.close()
            await runner.cleanup()
            await links.detached.close()
            links.close()
            keys.close()

    def _context(self) -> ssl.SSLContext | None:
        if self._tls is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self._tls)
        return context

    def _announce(self, keys: KeyStore, path: Path) -> None:
        """Write the connection file, where other processes of this user find address and keys.

        The keys are made at the first start and kept, so that configured clients and nodes go on
        working.
        """
        known = read_private(path)
        texts = dict(known.get("keys", {}))
        kinds: tuple[Kind, ...] = ("client", "node")
        for kind in kinds:
            try:
                keys.check(texts.get(kind, ""), kind)
            except NotAuthorized:
                made = keys.create(kind, LOCAL_USER)
                texts[kind] = str(made)
                if kind == "node":
                    keys.succeed(LOCAL_USER, made.key_id)
        scheme = "https://" if self._tls else ""
        write_private(path, {"gateway": scheme + self.address, "keys": texts, "pid": os.getpid()})
