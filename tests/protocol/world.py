"""A client, a gateway and a node without sockets: their cores, joined by `Wire`s."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from easyremote.errors import ProtocolError
from easyremote.gateway.hub import Hub
from easyremote.gateway.nodes import Nodes
from easyremote.gateway.permissions import principal_of
from easyremote.gateway.records import ClientLink, Node
from easyremote.node.processes.process import Process, RelayedCall
from easyremote.node.processes.relay import RelayedCalls
from easyremote.protocol.answers import OutstandingCall
from easyremote.protocol.call import HeldCall
from easyremote.protocol.callee import Callee, LocalCall
from easyremote.protocol.caller import Caller
from easyremote.protocol.failures import unpack_error
from easyremote.protocol.held import Outcome, failure
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    Cancel,
    Function,
    Hello,
    Message,
    Payload,
    Register,
    Resume,
    Resumed,
    Submit,
)
from easyremote.protocol.streams import Assembly, Buffer, Relay
from tests.protocol.wires import Wire

MAX_PAYLOAD = 1 << 30
SLOTS = 2
#: What a process takes to start; longer than a message takes from one to the other.
STARTING = 0.5


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
    def code(self) -> str:
        return self.outcomes[0][0]

    @property
    def may_have_run(self) -> bool:
        code, body = self.outcomes[0]
        return not code or bool(unpack_error(body)[2]["may_have_run"])


class Recorder:
    """What runs a node's calls, and runs nothing by itself: a test says what becomes of a call."""

    #: A pipe to a process, where the calls run in one.
    pipe: Wire | None = None

    def __init__(self, starts: Counter[bytes]) -> None:
        self.calls = Callee(self)
        #: What has not begun, as if all threads were busy.
        self.queued: dict[LocalCall, bytes] = {}
        self.running: dict[LocalCall, bytes] = {}
        #: How often each call began, in this process and those before.
        self.starts = starts

    def start(self, held: LocalCall, encoding: str, arguments: Buffer) -> None:
        self.queued[held] = bytes(arguments)

    def cancel(self, held: LocalCall, *, kill: bool) -> None:
        self.queued.pop(held, None)
        self.running.pop(held, None)
        self.calls.finish(held, failure("cancelled", "stopped"))

    def window_opened(self, held: LocalCall) -> None:
        """The test asks `LocalCall.window_is_open`."""

    def begin(self, held: LocalCall) -> None:
        self._run(held)
        self.calls.started(held)

    def finish(self, held: LocalCall) -> None:
        """End a call with the value that belongs to its argument; STARTED may be left out."""
        if held in self.queued:
            self._run(held)
        value = answer(self.running.pop(held))
        self.calls.finish(held, Outcome((value,), len(value), "pickle5"))

    def emit(self, held: LocalCall, size: int) -> None:
        if held.window_is_open:
            body = item(held.last_event + 1, self.running[held], size)
            self.calls.emit(held, (body,), len(body), "pickle5")

    def hand_back(self, held: LocalCall) -> None:
        del self.queued[held]
        self.calls.hand_back([held])

    def finish_all(self) -> None:
        for held in [*self.queued, *self.running]:
            self.finish(held)

    def check_empty(self) -> None:
        """Nothing is held any more."""
        assert len(self.calls) == 0

    def _run(self, held: LocalCall) -> None:
        self.starts[held.call_id] += 1
        self.running[held] = self.queued.pop(held)


class Supervisor:
    """What passes a node's calls on to a process, in which a `Recorder` runs them.

    A call waits here until a test says that it begins.
    """

    def __init__(self, starts: Counter[bytes]) -> None:
        self.calls = RelayedCalls(self)
        self.queued: dict[RelayedCall, None] = {}
        self._starts = starts
        self._make_process()

    def start_process(self) -> None:
        """A new process; the one before is killed, with what ran in it."""
        before = self.process
        self._make_process()
        before.link.close()
        for call in list(before.calls.values()):
            self.calls.lost(before, call, failure("crashed", "killed"))

    def _make_process(self) -> None:
        self.pipe = Wire(0.0)
        self.process = Process("alice", "", {})
        self.process.link = self.pipe.ends[0]
        self.inner = Recorder(self._starts)
        self.inner.calls.attach(self.pipe.ends[1])

    @property
    def running(self) -> dict[LocalCall, bytes]:
        return self.inner.running

    def place(self, call: RelayedCall) -> None:
        self.queued[call] = None

    def stop(self, call: RelayedCall, *, kill: bool) -> None:
        if call.process is None:
            self.calls.finish(call, failure("cancelled", "stopped", may_have_run=False))
        else:
            call.process.link.send(Cancel(call.inner, kill))

    def left(self, call: RelayedCall) -> None:
        self.queued.pop(call, None)

    def begin(self, call: RelayedCall) -> None:
        del self.queued[call]
        self.calls.pass_to(self.process, call)
        self._move_all()
        for held in [held for held in self.inner.queued if held.call_id == call.call_id]:
            self.inner.begin(held)

    def finish(self, call: RelayedCall | LocalCall) -> None:
        if isinstance(call, RelayedCall):
            self.begin(call)
            call = next(held for held in self.inner.running if held.call_id == call.call_id)
        self.inner.finish(call)

    def emit(self, held: LocalCall, size: int) -> None:
        self.inner.emit(held, size)

    def hand_back(self, call: RelayedCall) -> None:
        del self.queued[call]
        self.calls.hand_back([call])

    def finish_all(self) -> None:
        for call in [*self.queued, *self.running]:
            self.finish(call)

    def check_empty(self) -> None:
        """Nothing is held any more, in the process neither."""
        assert len(self.calls) == len(self.process.calls) == 0
        self.inner.check_empty()

    def from_process(self, message: Message) -> None:
        self.calls.receive_from(self.process, message)

    def _move_all(self) -> None:
        while not self.pipe.is_quiet:
            for side, receive in enumerate((self.from_process, self.inner.calls.receive)):
                data = self.pipe.take(side, 1 << 20)
                for message in self.pipe.ends[side].receive_data(data, 0.0):
                    receive(message)


def answer(argument: bytes) -> bytes:
    return argument[::-1]


def item(seq: int, argument: bytes, size: int) -> bytes:
    return b"%d of " % seq + argument[:4] + bytes(size)


class World:
    """One client, one gateway, one node; connections come and go.

    Parameters
    ----------
    kind
        Whether the node runs its calls itself, or passes them on to a process.
    """

    def __init__(self, kind: type[Recorder] | type[Supervisor] = Recorder) -> None:
        self._kind = kind
        self.now = 1000.0
        self.caller = Caller()
        self.sinks: list[Waiting] = []
        self.calls: list[OutstandingCall] = []
        self.client_wire: Wire | None = None
        self.node_wire: Wire | None = None
        self.client: ClientLink | None = None
        self.node: Node | None = None
        self.named: Sequence[HeldCall] = ()
        #: Whether a record was repeated or moved: then a link may be closed for it.
        self.is_disturbed = False
        self.copies: list[tuple[Wire, int, bytes]] = []
        self.starts: Counter[bytes] = Counter()
        self._processes = 0
        self.start_gateway()
        self.start_node()

    # -- processes and connections -----------------------------------------------------------------

    def start_gateway(self) -> None:
        """A gateway with empty tables; what was connected to the one before is cut."""
        self.cut_client()
        self.cut_node()
        self.now += STARTING
        self.nodes = Nodes(self.now, ("n",))
        self.gateway = Hub(self.nodes, max_payload=MAX_PAYLOAD)

    def start_node(self) -> None:
        """A new process of the node; what ran in the one before is gone."""
        self.cut_node()
        self.now += STARTING
        self._processes += 1
        self.instance, self.born = self._processes.to_bytes(16, "big"), self.now
        self.recorder: Any = self._kind(self.starts)

    def connect(self) -> None:
        self.connect_client()
        self.connect_node()

    def connect_client(self) -> None:
        if self.client_wire is None:
            self.client_wire = Wire(self.now)
            self.client = ClientLink(
                self.client_wire.ends[1], principal_of("alice", "alice", "client")
            )
            self.caller.attach(self.client_wire.ends[0], 5, self.now)

    def connect_node(self) -> None:
        if self.node_wire is not None:
            return
        wire = self.node_wire = Wire(self.now)
        ours = wire.ends[0]
        hello = Hello((1, 0), "node", "", "n", self.instance, uptime=self.now - self.born)
        known = self.nodes.get("n")
        if known is not None and known.instance != hello.instance:
            self.gateway.node_restarted(known, self.now)
        self.node = self.nodes.welcome(hello, wire.ends[1], self.now)
        ours.send(Register((Function("f"),), SLOTS))
        self.named = self.recorder.calls.attach(ours)
        ids = tuple(held.call_id for held in self.named)
        ours.send(Resume(ids, fences=tuple(held.fence for held in self.named)))

    def cut_client(self) -> None:
        if self.client_wire is not None and self.client is not None:
            near, far = self.client_wire.ends
            self.caller.detach(near, self.now)
            self.gateway.client_left(self.client, self.now)
            near.close()
            far.close()
            self._forget_copies(self.client_wire)
            self.client_wire = self.client = None

    def cut_node(self) -> None:
        if self.node_wire is not None and self.node is not None:
            near, far = self.node_wire.ends
            self.recorder.calls.detach(near)
            self.gateway.node_left(self.node, far, self.now)
            near.close()
            far.close()
            self._forget_copies(self.node_wire)
            self.node_wire = None

    def _forget_copies(self, wire: Wire) -> None:
        self.copies = [copied for copied in self.copies if copied[0] is not wire]

    # -- what is under way -------------------------------------------------------------------------

    def submit(self, argument: bytes, *, node: str = "n", timeout: float = 0.0) -> Waiting:
        sink = Waiting(argument)
        call_id = len(self.sinks).to_bytes(16, "big")
        submit = Submit(0, call_id, node, "f", Payload(), timeout=timeout)
        call = self.caller.submit(submit, (argument,), len(argument), "pickle5", sink, self.now)
        self.sinks.append(sink)
        self.calls.append(call)
        return sink

    def wire(self, which: int) -> Wire | None:
        """0 and 1 are to the client and to the gateway from it; 2 and 3 likewise for the node.

        4 and 5 are to the node from its process, and to the process.
        """
        wires = (self.client_wire, self.node_wire, self.recorder.pipe)
        return wires[which // 2]

    def move(self, which: int, size: int) -> None:
        """Let so many bytes through."""
        wire = self.wire(which)
        if wire is None:
            return
        side = which % 2
        data = wire.take(side, size)
        receive: Callable[[Message], None] = (
            self._to_client,
            self._from_client,
            self._to_node,
            self._from_node,
            self._from_process,
            self._to_process,
        )[which]
        try:
            for message in wire.ends[side].receive_data(data, self.now):
                receive(message)
        except ProtocolError:
            assert which < 4, "a pipe was closed"
            assert self.is_disturbed, "an undisturbed link was closed"
            (self.cut_client if which < 2 else self.cut_node)()
        else:
            if which == 0:
                self.caller.flush(self.now)

    def move_record(self, which: int) -> None:
        """Let the next record through."""
        wire = self.wire(which)
        if wire is not None:
            self.move(which, wire.next_record(which % 2))

    @property
    def repeatable(self) -> list[tuple[Wire, int, bytes]]:
        """What may be delivered twice."""
        sides = [(wire, side) for wire in self._wires() for side in (0, 1)]
        return [(wire, side, each) for wire, side in sides for each in wire.repeatable(side)]

    @property
    def swappable(self) -> list[tuple[Wire, int, int]]:
        """What may come in another order."""
        sides = [(wire, side) for wire in self._wires() for side in (0, 1)]
        return [(wire, side, each) for wire, side in sides for each in wire.swappable(side)]

    def copy(self, wire: Wire, side: int, record: bytes) -> None:
        """Have it delivered once more, later on the same connection (`repeat`)."""
        self.copies.append((wire, side, record))
        self.is_disturbed = True

    def repeat(self, copied: tuple[Wire, int, bytes]) -> None:
        self.copies.remove(copied)
        wire, side, record = copied
        wire.repeat(side, record)

    def swap(self, wire: Wire, side: int, index: int) -> None:
        wire.swap(side, index)
        self.is_disturbed = True

    def settle(self) -> None:
        """Move everything until nothing moves."""
        for _ in range(10_000):
            pipe = self.recorder.pipe
            if all(wire.is_quiet for wire in self._wires()) and (pipe is None or pipe.is_quiet):
                return
            for which in range(6):
                self.move(which, 1 << 20)
        raise AssertionError("it never becomes quiet")

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.gateway.handle_timeout(self.now)
        self.caller.handle_timeout(self.now)

    def credits(self) -> Iterator[tuple[str, int]]:
        """Every credit that anybody has at the moment, with its name."""
        for wire in self._wires():
            for link in wire.ends:
                yield from _credits(link)
        for node in self.nodes:
            yield "busy slots", node.busy
            # As many arguments may be on their way as there are slots, beside those that are taken.
            yield "free slots", 2 * SLOTS - node.busy if not node.runs else 0
            yield "room for arguments", SLOTS - len(node.arriving)
            for function, active in node.active.items():
                yield f"active calls of {function}", active
        yield "calls under way", self.caller._sent
        for held in self.recorder.running:
            yield "unseen bytes", held.unseen_bytes

    def _wires(self) -> list[Wire]:
        return [wire for wire in (self.client_wire, self.node_wire) if wire is not None]

    def _to_client(self, message: Message) -> None:
        self.caller.receive(message, self.now)

    def _from_client(self, message: Message) -> None:
        assert self.client is not None
        self.gateway.receive_from_client(self.client, message, self.now)

    def _to_node(self, message: Message) -> None:
        if isinstance(message, Resumed):
            self.recorder.calls.resumed(self.named, message.calls)
        else:
            self.recorder.calls.receive(message)

    def _from_process(self, message: Message) -> None:
        self.recorder.from_process(message)

    def _to_process(self, message: Message) -> None:
        self.recorder.inner.calls.receive(message)

    def _from_node(self, message: Message) -> None:
        assert self.node is not None
        self.gateway.receive_from_node(self.node, message, self.now)


def _credits(link: Link) -> Iterator[tuple[str, int]]:
    for number, outgoing in link._streams.outgoing.items():
        yield f"credit of stream {number}", outgoing.credit
        yield f"rest of stream {number}", outgoing.unsent
    for number, incoming in link._streams.incoming.items():
        if isinstance(incoming, Relay):
            yield f"welcome of relay {number}", incoming._granted
            yield f"rest of relay {number}", incoming._left
        elif isinstance(incoming, Assembly):
            yield f"welcome of stream {number}", incoming._granted - incoming._at
