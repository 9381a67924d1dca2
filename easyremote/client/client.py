"""`Client`: a connection to a gateway, and what can be asked through it.

It connects at its first use, on the I/O thread, and stays connected; calls survive a broken
connection (``protocol/caller.py``). Arguments are pickled on the caller's thread.
``tests/client/test_client.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, ParamSpec, TypeVar, overload

import msgspec

from easyremote.client.connected import Connected
from easyremote.client.files import Channel, missing, send
from easyremote.client.info import FunctionInfo as FunctionInfo
from easyremote.client.info import NodeInfo as NodeInfo
from easyremote.client.io_thread import IOThread, io_thread
from easyremote.client.job import RemoteJob, RemoteStream, results
from easyremote.client.roster import Roster
from easyremote.config import Settings, find_settings
from easyremote.errors import CannotShip, GatewayUnreachable, UsageError
from easyremote.protocol.builtins import CALL, CANCEL, KILL, NODES, PING, WATCH
from easyremote.protocol.messages import INLINE_LIMIT, Payload, Submit
from easyremote.protocol.streams import Buffer
from easyremote.serialize.files import File, collected
from easyremote.serialize.values import Dumped, dump, dump_call

P = ParamSpec("P")
T = TypeVar("T")

#: Characters that a function's name or a node's id has at the most.
NAME_LIMIT = 1000
#: How long the first connection may take; after that, being away is a matter of deadlines.
CONNECT_LIMIT = 15.0


class Client(Executor):
    """A connection to a gateway; also a `concurrent.futures.Executor`.

    Parameters
    ----------
    gateway
        ``host:port`` or a URL; None for what is configured (see `easyremote.config`).
    api_key
        A client key; None likewise.
    timeout
        Seconds that a call may take, for those that don't say; None for no limit.

    Examples
    --------
    >>> client = Client("my-vps:8080")                  # doctest: +SKIP
    >>> client.execute("add", 1, 2)                     # doctest: +SKIP
    3
    """

    def __init__(
        self,
        gateway: str | None = None,
        api_key: str | None = None,
        timeout: float | None = None,
    ) -> None:
        self.settings = find_settings(gateway, api_key, kind="client")
        self.settings.key("client")
        self._timeout = timeout
        self._lock = threading.Lock()
        self._pid = 0
        self._connected: Connected | None = None
        self._io: IOThread | None = None
        self._is_closed = False
        self._roster = Roster(self)
        _open_clients.add(self)

    def __repr__(self) -> str:
        return f"<Client of {self.settings.gateway}>"

    # -- connection --------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection at this moment."""
        return self._connected is not None and self._connected.is_open

    @property
    def connection(self) -> int:
        """Which connection it is, by number; 0 where there is none at this moment."""
        connected = self._connected
        if connected is None or not connected.is_open or self._pid != os.getpid():
            return 0
        return connected.opened_count

    def connect(self) -> Client:
        """Connect now, not at the first call.

        Raises
        ------
        GatewayUnreachable, NotAuthorized, VersionMismatch
            What stands in the way.
        """
        self._ensure_connected()
        return self

    async def connect_async(self) -> Client:
        """`connect` for async code: the event loop goes on meanwhile."""
        return self if self.is_connected else await asyncio.to_thread(self.connect)

    def close(self) -> None:
        """Close the connection; calls that are outstanding end here, and run on at their nodes."""
        self._is_closed = True
        with self._lock:
            connected, self._connected = self._connected, None
            if connected is not None and self._io is not None and self._pid == os.getpid():
                self._io.call(connected.stop)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As of `concurrent.futures.Executor`."""
        self.close()

    def _ensure_connected(self) -> tuple[Connected, IOThread]:
        connected, io = self._connected, self._io
        if connected is None or io is None or self._pid != os.getpid() or connected.error:
            connected, io = self._dial()
        return connected, io

    def _dial(self) -> tuple[Connected, IOThread]:
        with self._lock:
            if self._is_closed:
                raise UsageError("This Client is closed. Make a new one: easyremote.Client().")
            connected, io = self._connected, self._io
            if connected is None or io is None or self._pid != os.getpid():
                io, connected = io_thread(), Connected(self.settings)
                self._io, self._connected, self._pid = io, connected, os.getpid()
                io.start(connected.run())
        io.check_not_current()
        if connected.error is None and not connected.ready.wait(CONNECT_LIMIT):
            raise GatewayUnreachable(f"{self.settings.gateway} did not answer in {CONNECT_LIMIT} s")
        error = connected.error
        if error is not None and not connected.is_open:
            with self._lock:  # the next call may find it running: dial anew then
                if self._connected is connected and len(connected.core) == 0:
                    self._connected = None
                    io.call(connected.stop)
            raise error
        return connected, io

    def check_may_wait(self) -> None:
        """Refuse to wait where that would be for ever: on the I/O thread."""
        if self._io is not None:
            self._io.check_not_current()

    # -- calls -------------------------------------------------------------------------------------

    def execute(self, function: str, *args: Any, **kwargs: Any) -> Any:
        """Call a registered function by its name, on any node that has it, and wait.

        ``node_id`` and ``timeout`` (seconds) may be given as keywords.

        Raises
        ------
        NotFound
            No node online has it.
        CallError
            It ended without a value.
        """
        return self._named(function, args, kwargs).result()

    async def execute_async(self, function: str, *args: Any, **kwargs: Any) -> Any:
        """`execute` for async code."""
        await self.connect_async()
        return await self._named(function, args, kwargs)

    def _named(
        self, function: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> RemoteJob[Any]:
        node_id = kwargs.pop("node_id", "") or ""
        timeout = kwargs.pop("timeout", None)
        return self.call(function, args, kwargs, node_id=node_id, timeout=timeout)

    def call(
        self,
        function: str,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        node_id: str = "",
        timeout: float | None = None,
        stream: bool = False,
        snapshot: bool = False,
    ) -> RemoteJob[Any]:
        """Submit a call of a registered function.

        Parameters
        ----------
        function
            The name under which it was registered.
        args, kwargs
            Its arguments.
        node_id
            Where; empty for any node that has it.
        timeout
            Seconds in which it has to be over; None for the Client's own.
        stream
            Whether it is a generator: the answer is then a `RemoteStream`.
        snapshot
            Copy large arguments now, so that they may change before they are sent.
        """
        dumped = dump_call(args, kwargs or {}, name=function)
        return self.start(
            function, dumped, node_id=node_id, timeout=timeout, stream=stream, snapshot=snapshot
        )

    def call_plain(
        self,
        function: str,
        arguments: Mapping[str, Any],
        *,
        node_id: str = "",
        timeout: float | None = None,
    ) -> RemoteJob[Any]:
        """Submit a call of a registered function with plain values only, both ways.

        Parameters
        ----------
        function
            The name under which it was registered.
        arguments
            By name; what JSON can hold. The value comes back as such, too: nothing is pickled.
        node_id, timeout
            As of `call`.
        """
        body = msgspec.json.encode(arguments)
        dumped = Dumped([body], len(body))
        return self.start(function, dumped, node_id=node_id, timeout=timeout, encoding="json")

    def start(
        self,
        function: str,
        dumped: Dumped,
        *,
        node_id: str = "",
        session: str = "",
        timeout: float | None = None,
        queue_timeout: float | None = None,
        run_timeout: float | None = None,
        hold: float | None = None,
        origin: str = "",
        encoding: str = "pickle5",
        stream: bool = False,
        snapshot: bool = False,
    ) -> RemoteJob[Any]:
        """Submit a call whose arguments are a payload already.

        ``hold``: seconds that it goes on when this process is gone, below 0 until it is over.
        ``encoding``: how the arguments are written; the answer must be written like them, where
        that is not ``pickle5``. ``origin``: what it is known by in `watch`, to find the place that
        it came from.
        """
        limit = timeout if timeout is not None else self._timeout
        check_call(function, node_id, limit)
        connected, io = self._ensure_connected()
        call_id = os.urandom(16)
        kind: type[RemoteJob[Any]] = RemoteStream if stream else RemoteJob
        job = kind(self, function, call_id, encoding)
        submit = Submit(
            *(0, call_id, node_id, function, Payload(), session),
            timeout=limit or 0.0,
            queue_timeout=queue_timeout or 0.0,
            run_timeout=run_timeout or 0.0,
            hold=hold or 0.0,
            origin=origin,
        )
        parts: Sequence[Buffer] = dumped.parts
        if snapshot and dumped.size > INLINE_LIMIT:
            parts = [bytes(part) for part in parts]
        io.call(self._submit, connected, job, submit, parts, dumped.size)
        return job

    @staticmethod
    def _submit(
        connected: Connected,
        job: RemoteJob[Any],
        submit: Submit,
        parts: Sequence[Buffer],
        size: int,
    ) -> None:
        now = time.monotonic()
        job._call = connected.core.submit(submit, parts, size, job.encoding, job, now)

    def cancel_call(self, job: RemoteJob[Any], *, kill: bool) -> None:
        """Stop a call; `RemoteJob.cancel` is the way to do it."""
        connected, io = self._connected, self._io
        if connected is not None and io is not None and self._pid == os.getpid():
            io.call(self._cancel, connected, job, kill)

    @staticmethod
    def _cancel(connected: Connected, job: RemoteJob[Any], kill: bool) -> None:
        if job._call is not None:
            connected.core.cancel(job._call, kill=kill)

    def event_seen(self, job: RemoteJob[Any], count: int) -> None:
        """So many events of a call were consumed: its node may make more."""
        connected, io = self._connected, self._io
        if connected is not None and io is not None:
            io.call(self._seen, connected, job, count)

    @staticmethod
    def _seen(connected: Connected, job: RemoteJob[Any], count: int) -> None:
        if job._call is not None:
            connected.core.seen(job._call, count)

    # -- code --------------------------------------------------------------------------------------

    def ship(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        node_id: str = "",
        timeout: float | None = None,
        stream: bool = False,
        snapshot: bool = False,
    ) -> RemoteJob[Any]:
        """Send a function with its body to a node, and run it there.

        Raises
        ------
        CannotShip
            The function or an argument can't travel; the message names it.
        """
        python = self.python_of(node_id)
        with collected() as files:
            try:
                dumped = dump((function, args, kwargs), python=python)
            except CannotShip:
                dump(function, python=python)  # which of the two it was, which argument
                dump_call(args, kwargs, function=function, python=python)
                raise
        if files:
            self._send_files(files.values(), node_id)
        return self.start(
            CALL, dumped, node_id=node_id, timeout=timeout, stream=stream, snapshot=snapshot
        )

    def _send_files(self, files: Collection[File], node_id: str) -> None:
        if not node_id:
            names = ", ".join(file.name for file in files)
            raise CannotShip(
                f"Files ({names}) go to a node that is named: @remote(node_id=...), or client.ship("
                "..., node_id=...)."
            )
        from easyremote.client.terminal_bars import shown_bars  # with tqdm

        channel = Channel(self, node_id, "")
        with shown_bars() as show:
            send(channel, missing(channel, files), show)

    def python_of(self, node_id: str) -> tuple[int, int] | None:
        """The node's Python version; None where it is not known, or several will do."""
        if not node_id:
            return None
        pythons = (node.python for node in self.known_nodes() if node.node_id == node_id)
        return _minor(next(pythons, ""))

    # -- Executor ----------------------------------------------------------------------------------

    @overload
    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> RemoteJob[T]: ...

    @overload
    def submit(self, fn: str, /, *args: Any, **kwargs: Any) -> RemoteJob[Any]: ...

    def submit(self, fn: Callable[..., Any] | str, /, *args: Any, **kwargs: Any) -> RemoteJob[Any]:
        """Start a call and return at once.

        Parameters
        ----------
        fn
            A function, which is shipped to any node that runs code; or the name of a registered
            one.
        """
        if isinstance(fn, str):
            return self.call(fn, args, kwargs, snapshot=True)
        return self.ship(fn, args, kwargs, snapshot=True)

    @overload
    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = ...,
        chunksize: int = ...,
    ) -> Iterator[T]: ...

    @overload
    def map(
        self,
        fn: str,
        *iterables: Iterable[Any],
        timeout: float | None = ...,
        chunksize: int = ...,
    ) -> Iterator[Any]: ...

    def map(
        self,
        fn: Callable[..., Any] | str,
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
    ) -> Iterator[Any]:
        """Call it for each item, at the same time; the results in order.

        As `concurrent.futures.Executor.map`.
        """
        jobs = [self.submit(fn, *args) for args in zip(*iterables, strict=False)]
        return results(jobs, timeout)

    # -- who is there ------------------------------------------------------------------------------

    def list_nodes(self) -> list[NodeInfo]:
        """The nodes that the gateway knows."""
        return msgspec.convert(self._ask()["nodes"], list[NodeInfo])

    def known_nodes(self) -> list[NodeInfo]:
        """The nodes that the gateway knows, without asking: it tells of those that come or go.

        How busy they are is as it was when they came.
        """
        return self._roster.nodes()

    def list_functions(self) -> list[FunctionInfo]:
        """The functions of all nodes online."""
        return msgspec.convert(self._ask()["functions"], list[FunctionInfo])

    def get_function_info(self, name: str) -> FunctionInfo | None:
        """What is known of a function; None where no node online has it."""
        return next((each for each in self.list_functions() if each.name == name), None)

    def ping(self) -> float:
        """Seconds that the gateway takes to answer a call that asks for nothing."""
        began = time.monotonic()
        self.start(PING, Dumped([], 0), timeout=CONNECT_LIMIT).result()
        return time.monotonic() - began

    def watch(self) -> RemoteStream[dict[str, Any]]:
        """Snapshots of nodes and of this key's jobs, one a second, until it is closed."""
        return self.start_stream(WATCH)

    def start_stream(self, function: str) -> RemoteStream[dict[str, Any]]:
        """What the gateway tells again and again, until it is closed."""
        stream = self.start(function, Dumped([], 0), stream=True)
        assert isinstance(stream, RemoteStream), "it was asked for"
        return stream

    def stop(self, call_id: str, *, kill: bool = False) -> bool:
        """Stop a call of the same key, wherever it was started; safe to repeat.

        Parameters
        ----------
        call_id
            The call's, whole.
        kill
            Also the process that it runs in, at once, and with it its session.

        Returns
        -------
        bool
            Whether it was told to stop; False where it is over, or not known.
        """
        function = KILL if kill else CANCEL
        stopped: bool = self.start(
            function, Dumped([], 0), session=call_id, timeout=CONNECT_LIMIT
        ).result()
        return stopped

    def _ask(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.start(NODES, Dumped([], 0), timeout=CONNECT_LIMIT).result()
        return answer


def check_call(function: str, node_id: str, timeout: float | None) -> None:
    """Refuse what can't be sent at all.

    Raises
    ------
    UsageError
        A name is none, or the time is none.
    """
    if not isinstance(function, str):
        raise UsageError(
            f"A registered function is called by its name, a text, not by {function!r}. To send "
            "a function itself: client.submit(function, ...)."
        )
    if not isinstance(node_id, str):
        raise UsageError(f"node_id is a text, not {node_id!r}.")
    for name, what in ((function, "a function's name"), (node_id, "a node's id")):
        if len(name) > NAME_LIMIT or not name.isprintable():
            raise UsageError(f"{name[:40]!r} can't be {what}.")
    if timeout is not None and (not isinstance(timeout, int | float) or not timeout > 0):
        raise UsageError(f"timeout is in seconds and above 0, or None, not {timeout!r}.")


def _minor(version: str) -> tuple[int, int] | None:
    try:
        major, minor = version.split(".")[:2]
        return int(major), int(minor)
    except ValueError:
        return None


_open_clients: weakref.WeakSet[Client] = weakref.WeakSet()
_default: tuple[Settings, Client] | None = None


def connect(gateway: str | None = None, api_key: str | None = None) -> Client:
    """The Client that this process uses for a gateway; made at the first use.

    Parameters
    ----------
    gateway, api_key
        As for `Client`.
    """
    global _default
    settings = find_settings(gateway, api_key, kind="client")
    if _default is None or _default[0] != settings or _default[1]._is_closed:
        _default = (settings, Client(gateway, api_key))
    return _default[1]


@atexit.register
def _close_all() -> None:
    for client in list(_open_clients):
        client.close()
