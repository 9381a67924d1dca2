"""A client, a gateway and a node without sockets: their cores, joined by lists of bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from easyremote.gateway.calls import Calls, Client
from easyremote.gateway.nodes import Node, Nodes
from easyremote.protocol.callee import Callee, HeldCall, Outcome
from easyremote.protocol.caller import Caller, OutstandingCall, unpack_error
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    Function,
    Hello,
    Message,
    Payload,
    Register,
    Resume,
    Resumed,
    Submit,
)
from easyremote.protocol.streams import Buffer

MAX_PAYLOAD = 1 << 30


class Wire:
    """Two links and the bytes between them."""

    def __init__(self, now: float) -> None:
        self.ends = (Link(now), Link(now))
        for link in self.ends:
            link.open(now)
        self.bytes: tuple[bytearray, bytearray] = (bytearray(), bytearray())

    def fill(self) -> None:
        for link, sent in zip(self.ends, self.bytes, strict=True):
            while (data := link.data_to_send()) is not None:
                sent += data

    def take(self, side: int, size: int) -> bytes:
        """The next bytes for this end."""
        self.fill()
        pending = self.bytes[1 - side]
        data = bytes(pending[:size])
        del pending[:size]
        return data

    @property
    def is_quiet(self) -> bool:
        self.fill()
        return not any(self.bytes)


@dataclass(eq=False)
class Waiting:
    """The sink of one call: keeps what it is told."""

    argument: bytes
    events: list[bytes] = field(default_factory=list)
    outcomes: list[tuple[str, bytes]] = field(default_factory=list)
    starts: int = 0

    def started(self, node: str) -> None:
        self.starts += 1

    def event(self, encoding: str, body: Buffer) -> None:
        assert not self.outcomes, "an event after the outcome"
        self.events.append(bytes(body))

    def finish(self, code: str, encoding: str, body: Buffer) -> None:
        self.outcomes.append((code, bytes(body)))

    @property
    def may_have_run(self) -> bool:
        code, body = self.outcomes[0]
        return not code or bool(unpack_error(body)[2]["may_have_run"])


class Recorder:
    """A runner that runs nothing by itself: a test says what becomes of a call."""

    def __init__(self) -> None:
        self.callee = Callee(self)
        self.running: dict[HeldCall, bytes] = {}
        self.starts: dict[bytes, int] = {}

    def start(self, held: HeldCall, encoding: str, arguments: Buffer) -> None:
        self.starts[held.call_id] = self.starts.get(held.call_id, 0) + 1
        self.running[held] = bytes(arguments)
        self.callee.started(held)

    def cancel(self, held: HeldCall, *, kill: bool) -> None:
        if self.running.pop(held, None) is not None:
            from easyremote.protocol.callee import failure

            self.callee.finish(held, failure("cancelled", "stopped"))

    def window_opened(self, held: HeldCall) -> None:
        """The test asks `HeldCall.window_is_open`."""

    def finish(self, held: HeldCall) -> None:
        """End a call with the value that belongs to its argument."""
        argument = self.running.pop(held)
        self.callee.finish(held, Outcome((answer(argument),), len(answer(argument)), "pickle5"))

    def emit(self, held: HeldCall) -> None:
        if held.window_is_open:
            body = b"%d of " % (held.last_event + 1) + self.running[held][:8]
            self.callee.emit(held, (body,), len(body), "pickle5")


def answer(argument: bytes) -> bytes:
    return argument[::-1]


class World:
    """One client, one gateway, one node; connections come and go."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.caller = Caller()
        self.recorder = Recorder()
        self.sinks: list[Waiting] = []
        self.calls: list[OutstandingCall] = []
        self.client_wire: Wire | None = None
        self.node_wire: Wire | None = None
        self.client: Client | None = None
        self.node: Node | None = None
        self.named: list[HeldCall] = []
        self.start_gateway()

    def start_gateway(self) -> None:
        """A gateway with empty tables; what was connected to the one before is cut."""
        self.cut_client()
        self.cut_node()
        self.nodes = Nodes()
        self.gateway = Calls(self.nodes, now=self.now, max_payload=MAX_PAYLOAD)

    def connect_client(self) -> None:
        if self.client_wire is None:
            self.client_wire = Wire(self.now)
            self.client = Client(self.client_wire.ends[1], "alice")
            self.caller.attach(self.client_wire.ends[0], 100, self.now)

    def connect_node(self) -> None:
        if self.node_wire is not None:
            return
        wire = self.node_wire = Wire(self.now)
        hello = Hello((1, 0), "node", "", "n", b"i" * 16, uptime=self.now)
        self.node = self.nodes.welcome(hello, wire.ends[1], self.now)
        ours = wire.ends[0]
        ours.send(Register((Function("f"),), 4))
        self.named = self.recorder.callee.attach(ours)
        ids = tuple(held.call_id for held in self.named)
        ours.send(Resume(ids, fences=tuple(held.fence for held in self.named)))

    def cut_client(self) -> None:
        if self.client_wire is not None and self.client is not None:
            near, far = self.client_wire.ends
            self.caller.detach(near, self.now)
            self.gateway.client_left(self.client, self.now)
            near.close()
            far.close()
            self.client_wire = self.client = None

    def cut_node(self) -> None:
        if self.node_wire is not None and self.node is not None:
            near, far = self.node_wire.ends
            self.recorder.callee.detach(near)
            self.gateway.node_left(self.node, far, self.now)
            near.close()
            far.close()
            self.node_wire = None

    def submit(self, argument: bytes, *, node: str = "n", timeout: float = 0.0) -> Waiting:
        sink = Waiting(argument)
        call_id = len(self.sinks).to_bytes(16, "big")
        submit = Submit(0, call_id, node, "f", Payload(), timeout=timeout)
        call = self.caller.submit(submit, (argument,), len(argument), "pickle5", sink, self.now)
        self.sinks.append(sink)
        self.calls.append(call)
        return sink

    def move(self, which: int, size: int) -> None:
        """Move some bytes: 0 and 1 to the client and to the gateway from it, 2 and 3 likewise."""
        wire = self.client_wire if which < 2 else self.node_wire
        if wire is None:
            return
        side = which % 2
        data = wire.take(side, size)
        receive: Callable[[Message], None] = (
            self._to_client,
            self._from_client,
            self._to_node,
            self._from_node,
        )[which]
        for message in wire.ends[side].receive_data(data, self.now):
            receive(message)
        if which == 0:
            self.caller.flush(self.now)

    def settle(self) -> None:
        """Move everything until nothing moves."""
        for _ in range(10_000):
            wires = [wire for wire in (self.client_wire, self.node_wire) if wire is not None]
            if all(wire.is_quiet for wire in wires):
                return
            for which in range(4):
                self.move(which, 1 << 20)
        raise AssertionError("it never becomes quiet")

    def _to_client(self, message: Message) -> None:
        self.caller.receive(message, self.now)

    def _from_client(self, message: Message) -> None:
        assert self.client is not None
        self.gateway.receive_from_client(self.client, message, self.now)

    def _to_node(self, message: Message) -> None:
        if isinstance(message, Resumed):
            self.recorder.callee.resumed(self.named, message.calls)
        else:
            self.recorder.callee.receive(message)

    def _from_node(self, message: Message) -> None:
        assert self.node is not None
        self.gateway.receive_from_node(self.node, message, self.now)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.gateway.handle_timeout(self.now)
        self.caller.handle_timeout(self.now)
