"""`ComputeNode`: registers functions, and serves them and shipped code through a gateway.

``tests/node/test_compute_node.py`` proves it with real processes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, Self, TypeVar, overload

import easyremote
from easyremote.config import find_settings
from easyremote.errors import EasyRemoteError, UsageError
from easyremote.node import node as registrar
from easyremote.node.functions import Functions
from easyremote.node.resources import ResourceMeter
from easyremote.node.runner import Runner
from easyremote.node.session import CALL, CELL, RelayedCall, Sessions
from easyremote.protocol.callee import HeldCall
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    PROTOCOL,
    Delivered,
    Function,
    GoingAway,
    Hello,
    Message,
    Register,
    Resume,
    Resumed,
    Watch,
    Welcome,
)
from easyremote.transport.dial import stay_connected
from easyremote.transport.loop import new_event_loop

P = ParamSpec("P")
R = TypeVar("R")

#: What runs at the time of SIGTERM has so many seconds to finish.
DRAIN_TIMEOUT = 60.0
#: Seconds between two measurements, while somebody looks.
METER_INTERVAL = 1.0
#: How many cells and shipped functions may be under way here; the processes are far fewer.
CODE_CONCURRENCY = 256

_log = logging.getLogger("easyremote.node")
_STARTED = time.monotonic()


class ComputeNode:
    """A node: this machine, lent to those who have a key.

    Parameters
    ----------
    vps_address, gateway
        The gateway's ``host:port`` (two names for one thing); None for what is configured.
    node_id
        What the node is called; None for the machine's name.
    api_key
        A node key; None for what is configured.
    max_workers
        How many plain functions run at a time; None for the number of cores plus 4.
    allow_code
        Whether it runs cells and shipped functions, in processes of their own. That is a shell
        account for whoever has a client key, so the default is no.

    Examples
    --------
    >>> node = ComputeNode("my-vps:8080", node_id="gpu-node")   # doctest: +SKIP
    >>> @node.register                                          # doctest: +SKIP
    ... def add(a, b):
    ...     return a + b
    >>> node.serve()                                            # doctest: +SKIP
    """

    def __init__(
        self,
        vps_address: str | None = None,
        node_id: str | None = None,
        *,
        gateway: str | None = None,
        api_key: str | None = None,
        max_workers: int | None = None,
        allow_code: bool = False,
    ) -> None:
        self.settings = find_settings(gateway or vps_address, api_key, kind="node")
        self.settings.key("node")
        self.node_id = node_id or platform.node() or "node"
        self.functions = Functions()
        self._slots = max_workers or (os.cpu_count() or 1) + 4
        self._allow_code = allow_code
        self._served: _Served | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._online = threading.Event()

    # -- functions ---------------------------------------------------------------------------------

    @overload
    def register(self, function: Callable[P, R]) -> Callable[P, R]: ...

    @overload
    def register(
        self,
        *,
        name: str | None = None,
        timeout: float | None = None,
        async_func: bool | None = None,
        stream: bool | None = None,
        max_concurrency: int | None = None,
        public: bool = False,
        auth_required: bool | None = None,
        tags: Sequence[str] = (),
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def register(self, function: Callable[..., Any] | None = None, **options: Any) -> Any:
        """Offer a function to clients.

        The function stays what it is; nothing is wrapped. What it returns must not change after it
        returned, because large arrays are sent from where they lie.

        Parameters
        ----------
        name
            Under which name; None for its own.
        timeout
            Seconds that it may run; the caller's wins if shorter. None for no limit.
        async_func
            Found out by itself; given and wrong is an error.
        stream
            Found out for generators; True on a plain function streams the iterable it returns.
        max_concurrency
            How many calls run at a time here; None for as many as there are slots.
        public
            Also an HTTP endpoint of the gateway: ``POST /api/<name>``.
        auth_required
            Whether that endpoint asks for a client key.
        tags
            Free words, shown to people.

        Raises
        ------
        UsageError
            An option contradicts the function, or the name is taken.
        """

        def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
            self.functions.register(function, **options)
            if self._served is not None and self._loop is not None:
                self._loop.call_soon_threadsafe(self._served.offer)
            return function

        return decorate if function is None else decorate(function)

    def register_function(self, name: str, function: Callable[..., Any]) -> None:
        """Offer a function under a name, as ``register(name=...)`` does."""
        self.register(name=name)(function)

    # -- serving -----------------------------------------------------------------------------------

    @property
    def is_online(self) -> bool:
        """Whether it is connected to its gateway."""
        return self._served is not None and self._served.link is not None

    def serve(self) -> None:
        """Serve until `stop`, SIGINT or SIGTERM; what runs then may finish. Blocks.

        Raises
        ------
        EasyRemoteError
            The gateway refused the node, or another process took its id.
        """
        in_main = threading.current_thread() is threading.main_thread()
        self._run(self._serve(with_signals=in_main))

    def start(self) -> Self:
        """Serve in a thread of its own; returns when the node is online."""
        if self._thread is not None:
            raise UsageError(f"Node {self.node_id!r} is running already.")
        self._online.clear()
        self._error = None
        self._thread = threading.Thread(
            target=self._run_in_thread, name=f"easyremote-node-{self.node_id}", daemon=True
        )
        self._thread.start()
        self._online.wait()
        if self._error is not None:
            self._thread = None
            raise self._error
        return self

    def stop(self) -> None:
        """Finish what runs, tell the gateway, and stop. Safe to repeat."""
        loop, served, thread = self._loop, self._served, self._thread
        if loop is not None and served is not None and not loop.is_closed():
            loop.call_soon_threadsafe(served.stopping.set)
        if thread is not None and thread is not threading.current_thread():
            thread.join(DRAIN_TIMEOUT)
            self._thread = None

    async def serve_async(self) -> None:
        """Serve in the running event loop, until `stop` or cancellation."""
        await self._serve(with_signals=False)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _run_in_thread(self) -> None:
        try:
            self._run(self._serve(with_signals=False))
        except BaseException as error:  # noqa: B036 - raised again in start()
            self._error = error
        finally:
            self._online.set()

    def _run(self, main: Any) -> None:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(main)

    async def _serve(self, *, with_signals: bool) -> None:
        self._loop = asyncio.get_running_loop()
        served = _Served(self, self._slots, self._allow_code, self._online)
        self._served = served
        if with_signals:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._loop.add_signal_handler(number, served.stopping.set)
        try:
            await served.run()
        finally:
            self._served = None


class _Served:
    """A node that is being served: what happens on its event loop."""

    def __init__(
        self, node: ComputeNode, slots: int, allow_code: bool, online: threading.Event
    ) -> None:
        self._node = node
        self._slots = slots
        self._allow_code = allow_code
        self._online = online
        self._instance = os.urandom(16)
        self.link: Link | None = None
        self.stopping = asyncio.Event()
        self._watched = asyncio.Event()
        self._runner = Runner(node.functions, slots, node.node_id)
        self._runner.bind(asyncio.get_running_loop())
        self._callee = self._runner.callee
        self._sessions = Sessions(os.cpu_count() or 1, node.node_id)
        self._named: tuple[list[HeldCall], list[RelayedCall]] = ([], [])

    async def run(self) -> None:
        tasks = [
            asyncio.create_task(stay_connected(self._node.settings, self)),
            asyncio.create_task(self.stopping.wait()),
            asyncio.create_task(self._measure()),
            asyncio.create_task(self._tidy()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # what the gateway refused us for
            await self._drain()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._sessions.close()
            self._runner.close()

    async def _drain(self) -> None:
        """Take nothing new, hand back what waits, and let finish what runs."""
        if self.link is not None:
            self.link.send(GoingAway("the node stops"))
        self._sessions.hand_back()
        deadline = time.monotonic() + DRAIN_TIMEOUT
        while self._callee.unfinished or self._sessions.unfinished:
            if time.monotonic() > deadline or self.link is None:
                return
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.05)  # the last outcomes leave

    # -- the connection's owner --------------------------------------------------------------------

    def hello(self) -> Hello:
        return Hello(
            PROTOCOL,
            "node",
            str(self._node.settings.key("node")),
            self._node.node_id,
            self._instance,
            time.monotonic() - _STARTED,
            {"easyremote": easyremote.__version__, "python": platform.python_version()},
        )

    def opened(self, link: Link, welcome: Welcome, now: float) -> None:
        self.link = link
        self.offer()
        held, relayed = self._callee.attach(link), self._sessions.attach(link)
        self._named = (held, relayed)
        both: list[HeldCall | RelayedCall] = [*held, *relayed]
        link.send(
            Resume(tuple(call.call_id for call in both), fences=tuple(call.fence for call in both))
        )
        self._online.set()
        _log.info("%s is online at %s", self._node.node_id, self._node.settings.gateway)

    def offer(self) -> None:
        """Say what the node has; again whenever that changes."""
        if self.link is None:
            return
        specs = [function.spec for function in self._node.functions]
        if self._allow_code:
            specs += [Function(name, max_concurrency=CODE_CONCURRENCY) for name in (CELL, CALL)]
        self.link.send(Register(tuple(specs), self._slots))

    def receive(self, message: Message, now: float) -> None:
        match message:
            case Resumed():
                held, relayed = self._named
                self._callee.resumed(held, message.calls[: len(held)])
                self._sessions.resumed(relayed, message.calls[len(held) :])
            case Delivered():
                for number in message.calls:
                    self._sessions.delivered(number)
                self._callee.receive(message)
            case Watch():
                (self._watched.set if message.on else self._watched.clear)()
            case _ if self._sessions.owns(message):
                self._sessions.receive(message)
            case _:
                self._callee.receive(message)

    def flush(self, now: float) -> None:
        """Nothing is kept back for a batch."""

    def closed(self, link: Link | None, error: EasyRemoteError | None, now: float) -> None:
        self.link = None
        self._watched.clear()
        if link is not None:
            self._callee.detach(link)
            self._sessions.detach(link)
        if error is not None:
            _log.warning("%s", error)

    # -- beside it ---------------------------------------------------------------------------------

    async def _measure(self) -> None:
        """Send how the machine is doing, only while somebody looks."""
        await self._watched.wait()
        meter = await asyncio.to_thread(ResourceMeter)
        while True:
            await self._watched.wait()
            await asyncio.sleep(METER_INTERVAL)
            reading = await asyncio.to_thread(meter.read)
            if self.link is not None and self._watched.is_set():
                self.link.send(reading)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(10.0)
            self._sessions.end_idle(time.monotonic())


def load_modules(names: Sequence[str], node: ComputeNode) -> None:
    """Import modules that register functions, and offer these on ``node``.

    A name is a module's or a path to a ``.py`` file.

    Raises
    ------
    UsageError
        There is no such module.
    """
    import importlib
    import importlib.util
    import sys

    for name in names:
        try:
            if name.endswith(".py"):
                path = Path(name)
                spec = importlib.util.spec_from_file_location(path.stem, path)
                if spec is None or spec.loader is None or not path.exists():
                    raise UsageError(f"There is no file {name}.")
                module = importlib.util.module_from_spec(spec)
                sys.modules[path.stem] = module
                spec.loader.exec_module(module)
            else:
                module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            raise UsageError(f"There is no module {name!r}. Is it installed, or here?") from None
        adopt(module, node)


def adopt(module: Any, node: ComputeNode) -> None:
    """Take over what a module offered: on `easyremote.node.node`, or on ComputeNodes of its own."""
    offers = [registrar.functions]
    offers += [each.functions for each in vars(module).values() if isinstance(each, ComputeNode)]
    for functions in offers:
        for function in functions:
            node.functions.add(function)
