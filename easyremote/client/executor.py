"""`RemoteExecutor`: calls of functions by name, and of functions that are sent, with their options.

A `Client` is one. `Client.on` makes one with options of its own, so that no option has a place
among the arguments of the function that is called. Arguments are pickled on the caller's thread.
``tests/client/test_calls.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent import futures
from typing import Any, ParamSpec, TypeVar, Unpack, overload

import msgspec

from easyremote.client.connection import GatewayConnection, Line, new_call_id
from easyremote.client.detached.detaching import DAY, Detaching
from easyremote.client.detached.job import Acceptance
from easyremote.client.job import RemoteJob
from easyremote.client.mapping import map_calls
from easyremote.client.remote_options import KEEP, CallOptions, read_hold
from easyremote.client.roster import Roster
from easyremote.client.shipping import Shipments, send_files
from easyremote.client.stream import RemoteStream
from easyremote.client.targets import check_names, that_can_give
from easyremote.errors import Closed
from easyremote.options.requirements import Requirements
from easyremote.options.retries import RETRY, Retry
from easyremote.packing import pack
from easyremote.protocol.builtins import CALL
from easyremote.protocol.messages import INLINE_LIMIT, Keep, Payload, Submit
from easyremote.protocol.streams import Buffer
from easyremote.serialize.blobs import BLOB_MIN
from easyremote.serialize.values import Dumped, dump_call
from easyremote.times import in_seconds

__all__ = ["KEEP", "RemoteExecutor"]

P = ParamSpec("P")
T = TypeVar("T")


class RemoteExecutor(Detaching):
    """A `concurrent.futures.Executor` whose work runs on nodes; made by `Client.on`."""

    def __init__(
        self,
        connection: GatewayConnection,
        *,
        roster: Roster | None = None,
        shipments: Shipments | None = None,
        node_id: str = "",
        timeout: float | None = None,
        options: CallOptions | None = None,
        keep: float = DAY,
    ) -> None:
        self._connection = connection
        self._roster = roster if roster is not None else Roster(self)
        self._shipments = shipments if shipments is not None else Shipments()
        self._node_id = node_id
        #: Seconds that a call may take; 0 for no limit.
        self._timeout = in_seconds(timeout, "timeout")
        #: Of each function that it calls, or sends.
        self._options = options if options is not None else CallOptions()
        #: Seconds that the outcome of a detached call is kept.
        self.keep = keep
        #: What `submit` and `map` have started and what is not done yet.
        self._jobs: set[RemoteJob[Any]] = set()
        self._forget = self._jobs.discard
        self._is_shut = False

    def __repr__(self) -> str:
        limit = f", within {self._timeout:g} s" if self._timeout else ""
        return f"<RemoteExecutor on {self._node_id or 'any node'}{limit}>"

    @property
    def connection(self) -> int:
        """Which connection it is, by number; 0 where there is none at this moment."""
        return self._connection.number

    @property
    def line(self) -> Line:
        """The connection that calls go by; raises as `GatewayConnection.line`."""
        return self._connection.line()

    # -- registered functions ----------------------------------------------------------------------

    def execute(self, function: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a registered function by its name, and wait for its value.

        All arguments are the function's. Options of the call belong to `Client.on`.

        Raises
        ------
        NotFound
            No node online has it.
        CallError
            It ended without a value.

        Examples
        --------
        >>> client.execute("add", 1, 2)                                      # doctest: +SKIP
        3
        >>> client.on("gpu-node", timeout=30).execute("wait", timeout=5)     # doctest: +SKIP
        """
        return self.call(function, args, kwargs).wait_as_if_here()

    async def execute_async(self, function: str, /, *args: Any, **kwargs: Any) -> Any:
        """`execute` for async code."""
        await self.connect_async()
        return await self.call(function, args, kwargs)

    async def connect_async(self) -> None:
        """Connect, if there is no connection; the event loop goes on meanwhile."""
        if not self._connection.number:
            await asyncio.to_thread(self._connection.line)

    def call(
        self,
        function: str,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        *,
        node_id: str = "",
        timeout: float | None = None,
        **options: Unpack[CallOptions],
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
        options
            As of `start`.
        """
        dumped = dump_call(args, kwargs or {}, name=function)
        merged = self._options | options
        return self.start(function, dumped, node_id=node_id, timeout=timeout, **merged)

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
        return self.start(
            *(function, dumped),
            node_id=node_id,
            timeout=timeout,
            encoding="json",
            **self._options,
        )

    # -- functions that are sent -------------------------------------------------------------------

    def ship(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        node_id: str = "",
        timeout: float | None = None,
        **options: Unpack[CallOptions],
    ) -> RemoteJob[Any]:
        """Send a function with its body to a node, and run it there.

        Raises
        ------
        CannotShip
            The function or an argument can't travel; the message names it.
        """
        from easyremote.serialize.calls import pack_call  # with it come `inspect` and `dis`

        node_id = node_id or self._node_id
        packed = pack_call(function, args, kwargs, python=self.python_of(node_id))
        if packed.files:
            send_files(self, packed.files, node_id)
        merged = self._options | options
        start = functools.partial(self.start, CALL, timeout=timeout, **merged)
        if packed.size >= BLOB_MIN and self._connection.may_wait:
            nodes = that_can_give(merged.get("needs"), self._roster.nodes())
            stream = merged.get("stream", False)
            return self._shipments.start(self, packed, nodes, node_id, start, stream=stream)
        return start(packed.dumped(), node_id=node_id)

    def python_of(self, node_id: str) -> tuple[int, int] | None:
        """The node's Python version; None where it is not known, or several will do."""
        return self._roster.python_of(node_id) if node_id else None

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
            A function, which is shipped to a node that runs code; or the name of a registered
            one.
        """
        if self._is_shut:
            raise Closed(f"{self!r} was shut down. Make a new one: easyremote.Client().")
        start: Callable[..., RemoteJob[Any]] = self.call if isinstance(fn, str) else self.ship
        job = start(fn, args, kwargs, snapshot=True)
        self._jobs.add(job)
        job.add_done_callback(self._forget)
        return job

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
        return map_calls(functools.partial(self.submit, fn), iterables, timeout)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take on no more work, as `concurrent.futures.Executor.shutdown`.

        Parameters
        ----------
        wait
            Whether to wait until all that `submit` and `map` have started is done. A ``with`` block
            waits at its end.
        cancel_futures
            Whether to cancel what has not begun.
        """
        self._is_shut = True
        jobs = list(self._jobs)
        for job in jobs if cancel_futures else ():
            if not job.running():
                job.cancel()
        if wait:
            futures.wait(jobs)

    # -- what EasyRemote itself is asked -----------------------------------------------------------

    def ask(
        self,
        function: str,
        request: object = None,
        *,
        node_id: str = "",
        session: str = "",
        timeout: float | None = None,
        queue_timeout: float | None = None,
        stream: bool = False,
    ) -> RemoteJob[Any]:
        """Submit a call of a builtin; ``protocol/builtins.py`` says what it takes and answers."""
        body = pack(request)
        return self.start(
            *(function, Dumped([body], len(body))),
            node_id=node_id,
            session=session,
            timeout=timeout,
            queue_timeout=queue_timeout,
            encoding="msgpack",
            stream=stream,
        )

    # -- the one door ------------------------------------------------------------------------------

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
        retry: Retry | None = None,
        balancing: str = "",
        needs: Requirements | None = None,
        priority: int = 0,
        on_node_loss: str = "",
        notify: str = "",
        keep: float | None = None,
    ) -> RemoteJob[Any]:
        """Submit a call whose arguments are a payload already: every call passes here.

        Parameters
        ----------
        timeout, queue_timeout, run_timeout
            Seconds in which it has to be over; that it may wait in a queue; that it may run.
        hold
            Seconds that it goes on when this process is gone; `KEEP` until it is over.
        origin
            By which `watch` finds the place that it came from.
        encoding
            How the arguments are written. A registered function answers in the same encoding.
        stream
            Whether it is a generator: the answer is then a `RemoteStream`.
        snapshot
            Copy large arguments now, so that they may change before they are sent.
        retry
            When it is tried again if it fails; None for what the function's node says. A stream
            has one attempt.
        balancing, needs
            By which strategy its node is chosen, and what it holds there; else its nodes decide.
        priority
            Calls of a higher one go first, whoever's they are; above 0 only for keys that may.
        on_node_loss
            ``fail`` or ``retry``, as of `Client.on`; empty to wait.
        notify
            The address that is told of its end; empty for nobody.
        keep
            Seconds that the outcome of a detached call is kept: the answer is nothing, as soon as
            the gateway's disk has it.
        """
        node_id = node_id or self._node_id
        check_names(function, node_id)
        call_id = new_call_id()
        submit = Submit(
            *(0, call_id, node_id, function, Payload(), session),
            timeout=in_seconds(timeout, "timeout") or self._timeout,
            queue_timeout=in_seconds(queue_timeout, "queue_timeout"),
            run_timeout=in_seconds(run_timeout, "timeout"),
            hold=read_hold(hold, is_stream=stream and function == CALL),
            origin=origin,
            balancing=balancing,
            needs=needs,
            priority=priority,
            on_node_loss=on_node_loss,
            notify=notify,
        )
        line = self._connection.line()
        kind: type[RemoteJob[Any]] = RemoteStream if stream else RemoteJob
        kind = kind if keep is None else Acceptance
        job = kind(line, function, call_id, encoding)
        job.node_id = node_id
        is_copied = snapshot and dumped.size > INLINE_LIMIT
        parts: Sequence[Buffer] = [*map(bytes, dumped.parts)] if is_copied else dumped.parts
        retry = retry or (Retry() if on_node_loss == RETRY else None)
        if keep is not None:
            submit.keep, retry = Keep(keep, retry), None
        line.submit(job.sink, submit, parts, dumped.size, None if stream else retry)
        return job
