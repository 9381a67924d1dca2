"""`fake_gateway`: a gateway, a node and a client in one process, joined without a socket.

The machines are the real ones: the client's calls pass the gateway's call table, and the node's
runner runs them in its threads. Only what carries the bytes is another: links that are joined in
the client's event loop (``transport/local.py``). ``tests/testing/test_fake.py`` proves it.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import platform
import time
from collections.abc import Awaitable

from msgspec.structs import replace

import easyremote
from easyremote.client.client import Client, standing_in
from easyremote.client.connection import TICK, GatewayConnection, Line
from easyremote.client.io_thread import io_thread
from easyremote.config import Settings
from easyremote.errors import UsageError
from easyremote.gateway.feed import GatewayFeed
from easyremote.gateway.hub import Hub
from easyremote.gateway.links import MAX_PAYLOAD
from easyremote.gateway.nodes import Nodes
from easyremote.gateway.permissions import principal_of
from easyremote.gateway.records import MAX_CALLS, ClientLink
from easyremote.node.functions import Functions, RegisteredFunction, Registrar
from easyremote.node.registered.runner import Runner
from easyremote.protocol import builtins
from easyremote.protocol.callee import LocalCall
from easyremote.protocol.held import plain_outcome
from easyremote.protocol.messages import (
    PROTOCOL,
    Function,
    Hello,
    Message,
    Register,
    Resume,
    Resumed,
    Submit,
    Welcome,
)
from easyremote.protocol.requests import Blobs
from easyremote.protocol.streams import Buffer
from easyremote.serialize.calls import Functions as Sent
from easyremote.serialize.values import dump_call
from easyremote.transport.local import LocalPair

__all__ = ["FakeGateway", "fake_gateway"]

#: How many calls run at a time.
SLOTS = 8
#: What the client of a fake shows as its gateway and its key; nobody looks at them.
_SETTINGS = Settings("fake-gateway", "", "easyremote.testing", "easyremote.testing")


def fake_gateway(node_id: str = "fake-node") -> FakeGateway:
    """A gateway and a node inside this process, for tests: no socket, no key, no other process.

    In its ``with`` block every call of this process goes there: of the client that it gives, and of
    all ``@remote`` functions, whatever gateway and node they name. Arguments and results are
    pickled as on the way to a real node, so what can't travel fails here as well. A function that
    is sent runs in a thread of this process; a generator has to be registered.

    Parameters
    ----------
    node_id
        What its one node is called.

    Examples
    --------
    >>> gateway = fake_gateway()
    >>> @gateway.register
    ... def add(a, b):
    ...     return a + b
    >>> with gateway as client:
    ...     client.execute("add", 1, 2)
    3
    """
    return FakeGateway(node_id)


class FakeGateway(Registrar):
    """See `fake_gateway`. `register` takes the options of `easyremote.ComputeNode.register`."""

    def __init__(self, node_id: str) -> None:
        super().__init__()
        self.functions.add(RegisteredFunction(run_sent, Function(builtins.CALL)))
        self._node_id = node_id
        self._node: _FakeNode | None = None
        self._stack = contextlib.ExitStack()

    def client(self) -> Client:
        """A client of this gateway alone; close it. `easyremote.connect` goes on as it was."""
        return Client.over(GatewayConnection(_SETTINGS, self._make_line))

    def __enter__(self) -> Client:
        client = self._stack.enter_context(contextlib.closing(self.client()))
        return self._stack.enter_context(standing_in(client))

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def _make_line(self, settings: Settings) -> Line:
        self._node = _FakeNode(self._node_id, self.functions)
        return _FakeLine(settings, self._node)

    def _registered(self) -> None:
        if self._node is not None:
            io_thread().call(self._node.offer)


class _FakeLine(Line):
    """A client's line to a gateway that runs in the client's event loop."""

    def __init__(self, settings: Settings, node: _FakeNode) -> None:
        super().__init__(settings)
        self._node = node

    async def _stay_connected(self) -> None:
        now = time.monotonic()
        hub = Hub(Nodes(now, patience=0.0), max_payload=MAX_PAYLOAD)
        self._feed = GatewayFeed(hub)
        pairs = [self._node.join(hub, now), self._join(hub, now)]
        try:
            while True:
                await asyncio.sleep(TICK)
                hub.handle_timeout(time.monotonic())
                self._feed.send_snapshots()
        finally:
            for pair in pairs:
                pair.close()
            self._node.runner.close()

    def _join(self, hub: Hub, now: float) -> LocalPair:
        def take(message: Message, now: float) -> None:
            if isinstance(message, Submit):
                message.node = ""  # the one node there is has the functions of all
            if not self._feed.receive(client, message):
                hub.receive_from_client(client, message, now)

        pair = LocalPair(self.receive, take, self.flush, self.failed)
        client = ClientLink(pair.far, principal_of("test", "test", "client"))
        versions = {"easyremote": easyremote.__version__, "python": platform.python_version()}
        welcome = Welcome(PROTOCOL, os.urandom(16), versions, (), MAX_PAYLOAD, MAX_CALLS)
        self.opened(pair.near, welcome, now)
        return pair


class _FakeNode:
    """A node without processes: registered functions, and functions that are sent, in threads."""

    def __init__(self, node_id: str, functions: Functions) -> None:
        self._node_id = node_id
        self._functions = functions
        self.runner = _FakeRunner(functions, SLOTS, node_id)
        self._pair: LocalPair | None = None

    def join(self, hub: Hub, now: float) -> LocalPair:
        """Join a gateway; on the event loop."""
        self.runner.bind(asyncio.get_running_loop())
        versions = {"easyremote": easyremote.__version__, "python": platform.python_version()}
        hello = Hello(PROTOCOL, "node", "", self._node_id, os.urandom(16), 0.0, versions)
        pair = self._pair = LocalPair(
            self._receive,
            lambda message, now: hub.receive_from_node(node, message, now),
            lambda now: None,
            self._failed,
        )
        node = hub.nodes.welcome(hello, pair.far, now)
        self.runner.callee.attach(pair.near)
        self.offer()
        pair.near.send(Resume((), fences=()))
        pair.pump()  # the client's first call finds the functions
        return pair

    def offer(self) -> None:
        """Say what the node has; on the event loop."""
        if self._pair is not None:
            # What a function needs of a machine is not looked for in a test.
            specs = [replace(function.spec, requirements=None) for function in self._functions]
            beside = [Function(builtins.HAVE), Function(builtins.KEEP)]
            self._pair.near.send(Register((*specs, *beside), SLOTS))

    def _receive(self, message: Message, now: float) -> None:
        if not isinstance(message, Resumed):
            self.runner.callee.receive(message)

    def _failed(self, message: Message, error: Exception) -> None:
        self.runner.callee.fail(
            message, f"A {type(message).__name__} could not be handled: {error}"
        )


class _FakeRunner(Runner):
    """Runs functions that are sent, too: `run_sent` is registered, and gets the whole payload."""

    def start(self, held: LocalCall, encoding: str, arguments: Buffer) -> None:
        match held.function:
            case builtins.HAVE:
                self.callee.finish(held, plain_outcome(Blobs(())))
            case builtins.KEEP:
                self.callee.finish(held, plain_outcome(False))  # so it comes with the call
            case builtins.CALL:
                payload = dump_call((bytes(arguments),), {})
                super().start(held, encoding, b"".join(payload.parts))
            case _:
                super().start(held, encoding, arguments)


def run_sent(payload: bytes) -> object:
    """Run a function that was sent, as a process of a real node does."""
    function, args, kwargs = Sent().open(payload, _comes_along)
    value = function(*args, **kwargs)
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise UsageError(
            "A fake gateway can't run a generator that is sent to it. Register the generator, or "
            "use the fixture easyremote_node, which is a real node."
        )
    return asyncio.run(_value_of(value)) if inspect.iscoroutine(value) else value


async def _value_of(awaitable: Awaitable[object]) -> object:
    return await awaitable


def _comes_along(hash_: bytes, piece: Buffer | None) -> Buffer:
    assert piece is not None, "a fake node keeps no blobs"
    return piece
