"""The call table: what the gateway knows of every call, and when something is due. Pure.

The gateway keeps a call's header, never its payload: what it can't place waits at the client, what
passes is relayed chunk by chunk. All states are those of ``protocol/call.py``; each that can last
has a timer here. A call enters by `CallTable.add` and leaves by `CallTable.forget`, which takes it
out of wherever it stands: its queue, its node, its client. Who does what with a call is
``calls.py``. ``tests/gateway/test_table.py`` proves it.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from easyremote.errors import CallLost, EasyRemoteError, to_wire
from easyremote.gateway.nodes import Node, Nodes
from easyremote.gateway.recent import Recent
from easyremote.gateway.scheduler import Scheduler, Target
from easyremote.protocol.builtins import CALL, CELL
from easyremote.protocol.call import TERMINAL, CallEvent, CallState, advance
from easyremote.protocol.caller import GRACE, RECONNECT_LIMIT, pack_error
from easyremote.protocol.held import TOMBSTONES
from easyremote.protocol.link import Link
from easyremote.protocol.messages import Attach, Finished, HandBack, Payload, Submit
from easyremote.protocol.streams import Relay

#: Timers of calls that are over may outnumber the calls by so many before they are swept out.
SPENT_TIMERS = 1000
#: Seconds that the outcome of a call which went on without its client is kept for it.
KEPT = 24 * 3600.0
#: Characters of an error's text; with names of 1,000 characters in its details it rides inline.
TEXT_LIMIT = 2000
#: Characters that are kept of a call's origin.
ORIGIN_LIMIT = 200


@dataclass(slots=True, eq=False)
class Client:
    """One client's connection."""

    link: Link
    #: The id of its key: it sees the calls of this owner only.
    owner: str
    #: Its calls, by its own numbers.
    calls: dict[int, GatewayCall] = field(default_factory=dict)
    #: When it said what it holds; the ages of what it sends again were taken after that.
    resumed: float = 0.0


@dataclass(slots=True, eq=False)
class GatewayCall:
    """One call, as the gateway holds it."""

    number: int
    call_id: bytes
    #: Empty while only its node has spoken of it; then ``target`` is not known, either.
    owner: str
    target: Target
    state: CallState = CallState.QUEUED
    client: Client | None = None
    client_number: int = 0
    node: Node | None = None
    fence: int = 0
    #: While it queues: what the client sent, and the start of its payload if that is a stream.
    submit: Submit | None = None
    arguments: Relay | None = None
    created: float = 0.0
    #: When its client first sent it, on our clock, or a little before.
    sent: float = 0.0
    began: float = 0.0
    #: Moments on our clock, 0 for never.
    deadline: float = 0.0
    queue_deadline: float = 0.0
    suspect_until: float = 0.0
    hold_until: float = 0.0
    #: Seconds that it goes on without its client; below 0 until it is over.
    hold: float = RECONNECT_LIMIT
    timer: float = 0.0
    #: What its client said of them in SUBMIT.
    session: str = ""
    origin: str = ""
    #: Whether it counts as active on its node.
    occupies: bool = False
    #: Its client wants its end, and its node can't be told yet: None, or whether to kill.
    cancelling: bool | None = None
    #: Whether somebody has asked for its end: an interrupt that it reports was wanted then.
    was_cancelled: bool = False
    #: An outcome that the gateway made itself.
    outcome: Finished | None = None

    @property
    def function(self) -> str:
        return self.target[1]

    @property
    def title(self) -> str:
        """What to call it in a message."""
        special = {"": "the call", CELL: "the cell", CALL: "the shipped function"}
        return special.get(self.function, f"{self.function}()")

    @property
    def is_over(self) -> bool:
        """Whether it has an outcome, delivered or not."""
        return self.state is CallState.FINISHED or self.state in TERMINAL

    def advance(self, event: CallEvent) -> None:
        self.state = advance(self.state, event)

    def next_deadline(self) -> float:
        """When something has to happen if nothing else does."""
        limits = [self.hold_until, self.suspect_until]
        if self.state is CallState.QUEUED:
            limits += [self.deadline, self.queue_deadline]
        elif self.deadline and self.state in (CallState.DISPATCHED, CallState.RUNNING):
            limits.append(self.deadline + GRACE)
        return min((limit for limit in limits if limit), default=0.0)

    def bind(self, client: Client, number: int) -> None:
        """This connection waits for it from now on."""
        if self.client is not None:
            self.client.calls.pop(self.client_number, None)
        self.client, self.client_number = client, number
        self.hold_until = 0.0
        client.calls[number] = self

    def unbind(self, now: float) -> None:
        """Nobody waits for it, for as long as it may go on, or be kept, so."""
        self.client = None
        if self.hold > 0:
            self.hold_until = now + self.hold
        elif self.is_over:
            self.hold_until = now + KEPT

    def say_again(self) -> None:
        """Somebody waits for it anew: have everything said again that was not seen."""
        if self.outcome is not None and self.client is not None:
            self.outcome.call = self.client_number
            self.client.link.send(self.outcome)
        elif self.node is not None and self.node.link is not None:
            self.node.link.send(Attach(self.number))

    def leave_node(self) -> None:
        node = self.node
        if node is not None:
            node.calls.pop(self.number, None)
            if self.occupies:
                self.occupies = False
                node.release(self.function)
            self.node = None

    def drop_arguments(self) -> None:
        if self.arguments is not None:
            self.arguments.stop()
        self.submit = self.arguments = None


class CallTable:
    """All calls of one gateway: by id, in their queues, by what is due next."""

    def __init__(self, nodes: Nodes) -> None:
        self.queues = Scheduler(nodes)
        self.by_id: dict[bytes, GatewayCall] = {}
        #: Ids of calls that are over, so that a node that comes back late is told to forget them.
        self.tombstones: OrderedDict[bytes, None] = OrderedDict()
        self.recent = Recent()
        self._last = 0
        #: (moment, number, id): ids, so that no call is kept only because it had a deadline.
        self._timers: list[tuple[float, int, bytes]] = []

    def add(self, call_id: bytes, owner: str, target: Target, now: float) -> GatewayCall:
        self._last += 1
        call = self.by_id[call_id] = GatewayCall(self._last, call_id, owner, target, created=now)
        return call

    # -- endings -----------------------------------------------------------------------------------

    def end(
        self, call: GatewayCall, event: CallEvent, error: EasyRemoteError, *, now: float
    ) -> None:
        """End a call with an outcome of our own; it is kept until its client has it."""
        self.recent.note(call, error.code, now - call.began if call.began else 0.0, now)
        if call.state is CallState.QUEUED:
            self.queues.remove(call)
        call.advance(event)
        call.leave_node()
        call.drop_arguments()
        call.suspect_until = 0.0
        may_have_run = event is CallEvent.GIVEN_UP
        call.outcome = failed(call.client_number, error, may_have_run=may_have_run)
        if call.client is not None:
            call.client.link.send(call.outcome)
        elif call.hold < 0:
            self.forget(call)  # nobody may ever come for it
            return
        self.arm(call)

    def give_up(self, call: GatewayCall, why: str, *, now: float) -> None:
        """End a call of which nobody can know whether it ran."""
        text = (
            f"{why}: {call.title} may have run, and its result is lost. "
            "Call it again if that does no harm."
        )
        self.end(call, CallEvent.GIVEN_UP, CallLost(text), now=now)

    def hand_back(self, call: GatewayCall) -> None:
        """It did not start: its client, who has the payload, sends it once more."""
        call.advance(CallEvent.HANDED_BACK)
        client, number = call.client, call.client_number
        self.forget(call, remember=False)
        if client is not None:
            client.link.send(HandBack((number,)))

    def forget(self, call: GatewayCall, *, remember: bool = True) -> None:
        """Remove a call everywhere."""
        if call.state is CallState.QUEUED:
            self.queues.remove(call)
        call.leave_node()
        if call.client is not None:
            call.client.calls.pop(call.client_number, None)
        self.by_id.pop(call.call_id, None)
        if remember:
            self.tombstones[call.call_id] = None
            if len(self.tombstones) > TOMBSTONES:
                self.tombstones.popitem(last=False)

    # -- time --------------------------------------------------------------------------------------

    def arm(self, call: GatewayCall) -> None:
        """See to it that `due` has this call when it is time; after each change of its limits."""
        when = call.next_deadline()
        if when and when != call.timer:
            call.timer = when
            heapq.heappush(self._timers, (when, call.number, call.call_id))
            if len(self._timers) > 2 * len(self.by_id) + SPENT_TIMERS:
                self._sweep()

    def due(self, now: float) -> Iterator[GatewayCall]:
        """Yield the calls for which something has to happen now, and watch them further."""
        while self._timers and self._timers[0][0] <= now:
            _, number, call_id = heapq.heappop(self._timers)
            call = self.by_id.get(call_id)
            if call is None or call.number != number:
                continue
            call.timer = 0.0
            when = call.next_deadline()
            if when and when <= now:
                yield call
            else:
                self.arm(call)

    def _sweep(self) -> None:
        """Calls that ended well before their deadline leave their timers behind."""
        self._timers = [timer for timer in self._timers if self._is_set(timer)]
        heapq.heapify(self._timers)

    def _is_set(self, timer: tuple[float, int, bytes]) -> bool:
        when, number, call_id = timer
        call = self.by_id.get(call_id)
        return call is not None and call.number == number and call.timer == when


def failed(number: int, error: EasyRemoteError, *, may_have_run: bool) -> Finished:
    """An outcome that no node made."""
    code, text, details = to_wire(error)
    body = pack_error(code, text[:TEXT_LIMIT], **{**details, "may_have_run": may_have_run})
    return Finished(number, Payload("msgpack", len(body), body), code, may_have_run)
