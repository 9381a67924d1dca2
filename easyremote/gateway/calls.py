"""The call table: every call between its client and its node. Pure, as the Links are.

The gateway keeps a call's header, never its payload: what it can't place waits at the client, what
passes is relayed chunk by chunk. The client and the node both hold a live call, so this table can
be made again from what they say in RESUME. All states are those of ``protocol/call.py``; each that
can last has a timer. ``tests/gateway/test_calls.py`` and ``tests/protocol/test_machine.py`` prove
it.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from dataclasses import dataclass, field

from easyremote.errors import (
    CallCancelled,
    CallLost,
    CallTimeout,
    EasyRemoteError,
    NodeOffline,
    UsageError,
    to_wire,
)
from easyremote.gateway.nodes import Node, Nodes
from easyremote.gateway.scheduler import Scheduler, Target
from easyremote.protocol.call import TERMINAL, CallEvent, CallState, advance
from easyremote.protocol.callee import TOMBSTONES
from easyremote.protocol.caller import GRACE, RECONNECT_LIMIT, pack_error
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    Attach,
    Cancel,
    Delivered,
    Dispatch,
    Event,
    Finished,
    GoingAway,
    HandBack,
    Message,
    Payload,
    Register,
    Resources,
    Resume,
    Resumed,
    Seen,
    Started,
    Submit,
)
from easyremote.protocol.streams import Relay

#: How long a node may be out of reach before its calls are given up.
LOST_AFTER = 60.0


@dataclass(slots=True, eq=False)
class Client:
    """One client's connection."""

    link: Link
    #: The id of its key: it sees the calls of this owner only.
    owner: str
    #: Its calls, by its own numbers.
    calls: dict[int, GatewayCall] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class GatewayCall:
    """One call, as the gateway holds it."""

    number: int
    call_id: bytes
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
    began: float = 0.0
    #: Moments on our clock, 0 for never.
    deadline: float = 0.0
    queue_deadline: float = 0.0
    suspect_until: float = 0.0
    hold_until: float = 0.0
    timer: float = 0.0
    #: Whether it counts as active on its node.
    occupies: bool = False
    #: Its client wants its end, and its node can't be told yet: None, or whether to kill.
    cancelling: bool | None = None
    #: An outcome that the gateway made itself.
    outcome: Finished | None = None

    @property
    def function(self) -> str:
        return self.target[1]

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


class Calls:
    """All calls of one gateway."""

    def __init__(
        self, nodes: Nodes, *, now: float, max_payload: int, lost_after: float = LOST_AFTER
    ) -> None:
        self.nodes = nodes
        self._scheduler = Scheduler(nodes)
        self._by_id: dict[bytes, GatewayCall] = {}
        self._tombstones: OrderedDict[bytes, None] = OrderedDict()
        self._last = 0
        self._fence = 0
        self._timers: list[tuple[float, int, GatewayCall]] = []
        self._born = now
        self._max_payload = max_payload
        self._lost_after = lost_after

    def __len__(self) -> int:
        return len(self._by_id)

    def of(self, owner: str) -> list[GatewayCall]:
        """The calls of one owner."""
        return [call for call in self._by_id.values() if call.owner == owner]

    # -- clients -----------------------------------------------------------------------------------

    def client_left(self, client: Client, now: float) -> None:
        """Its calls run on; their outcomes are held for a while."""
        for call in list(client.calls.values()):
            call.client = None
            if call.arguments is not None and not call.arguments.is_complete:
                # The rest of its arguments went with the connection: it can't start.
                self._scheduler.remove(call)
                self._forget(call, remember=False)
            else:
                call.hold_until = now + RECONNECT_LIMIT
                self._arm(call)
        client.calls.clear()

    def receive_from_client(self, client: Client, message: Message, now: float) -> None:
        """Handle a message of a client."""
        kind = type(message)
        if kind is Submit:
            self._submit(client, message, now)  # type: ignore[arg-type]  # narrowed by `kind`
            return
        match message:
            case Delivered():
                self._delivered(client, message)
            case Seen():
                call = client.calls.get(message.call)
                if call is not None and call.node is not None and call.node.link is not None:
                    call.node.link.send(Seen(call.number, message.seq))
            case Cancel():
                call = client.calls.get(message.call)
                if call is not None:
                    self._cancel(call, kill=message.kill)
            case Resume():
                self._client_resumes(client, message, now)

    def _submit(self, client: Client, message: Submit, now: float) -> None:
        call = self._by_id.get(message.call_id)
        if call is not None:
            client.link.drop(message.payload)
            call.owner = call.owner or client.owner  # adopted from a node
            if call.owner == client.owner:
                self._bind(call, client, message.call)
                self._attach(call)
            else:
                taken = UsageError("This call id is taken. Make a new one: 16 random bytes.")
                client.link.send(_failed(message.call, taken, may_have_run=False))
            return
        if message.age and self._born <= now - message.age:
            message.age = 0.0  # it is younger than this table: not in it, it was not dispatched
        self._last += 1
        target = (message.node, message.function)
        call = GatewayCall(self._last, message.call_id, client.owner, target, created=now)
        call.submit = message
        self._by_id[call.call_id] = call
        self._bind(call, client, message.call)
        error = self._refusal(message, now)
        if error is not None:
            client.link.drop(message.payload)
            self._end(call, CallEvent.REJECTED, error)
            return
        call.arguments = client.link.relay(message.payload)
        if message.timeout:
            call.deadline = now + message.timeout
        if message.queue_timeout:
            call.queue_deadline = now + message.queue_timeout
        node = self._scheduler.place(call) if self._may_run_now(message) else None
        if node is not None:
            self._dispatch(call, node, now)
        else:
            self._wait(call, now)

    def _refusal(self, message: Submit, now: float) -> EasyRemoteError | None:
        """Why a call can't be accepted; None if it can."""
        if message.payload.size > self._max_payload:
            return UsageError(
                f"The arguments of {message.function}() are {message.payload.size / 1e9:.1f} GB; "
                f"this gateway carries at most {self._max_payload / 1e9:.1f} GB in one call. Keep "
                "the data on the node (in a session, or a file there), or send it in parts."
            )
        if message.age and now < self._born + self._lost_after:
            return None  # this gateway is new: nodes may still be on their way back to it
        if not message.node:
            if self.nodes.offering(message.function):
                return None
            return self.nodes.no_such_function(message.function, None)
        node = self.nodes.get(message.node)
        if node is None:
            return self.nodes.no_such_node(message.node)
        if node.link is None and (node.draining or now > node.since + self._lost_after):
            return NodeOffline(
                f"Node {message.node!r} went offline {now - node.since:.0f} s ago. Start it again, "
                "or name another node.",
                node_id=message.node,
            )
        if (node.is_registered or node.functions) and message.function not in node.functions:
            return self.nodes.no_such_function(message.function, node)
        return None

    def _may_run_now(self, message: Submit) -> bool:
        """A call that was sent before may only go where, surely, it does not run already."""
        if not message.age:
            return True
        node = self.nodes.get(message.node)
        return node is not None and node.online and self._predates(node, message)

    def _predates(self, node: Node, message: Submit) -> bool:
        """Whether the node's memory reaches back to when the call was first sent."""
        call = self._by_id[message.call_id]
        return node.born <= call.created - message.age

    def _wait(self, call: GatewayCall, now: float) -> None:
        if call.submit is not None and call.submit.age:
            # It may run on a node that will come back and claim it; until then it is suspect.
            call.suspect_until = now + self._lost_after
        self._scheduler.enqueue(call)
        self._arm(call)

    def _delivered(self, client: Client, message: Delivered) -> None:
        numbers: dict[Link, list[int]] = {}
        for number in message.calls:
            call = client.calls.get(number)
            if call is None or not (call.state is CallState.FINISHED or call.state in TERMINAL):
                continue
            if call.state is CallState.FINISHED:
                call.advance(CallEvent.DELIVERED)
            if call.node is not None and call.node.link is not None:
                numbers.setdefault(call.node.link, []).append(call.number)
            self._forget(call)
        for link, delivered in numbers.items():
            link.send(Delivered(tuple(delivered)))

    def _cancel(self, call: GatewayCall, *, kill: bool) -> None:
        if call.suspect_until:
            call.cancelling = kill  # it may run; only its node can say that it does not
        elif call.state is CallState.QUEUED:
            self._scheduler.remove(call)
            self._end(
                call,
                CallEvent.CANCELLED,
                CallCancelled(f"{call.function}() was cancelled while it waited for its turn."),
            )
        elif call.node is not None and call.node.link is not None:
            call.node.link.send(Cancel(call.number, kill))

    def _client_resumes(self, client: Client, message: Resume, now: float) -> None:
        known = []
        for call_id, number, started in zip(
            message.call_ids, message.numbers, message.started, strict=True
        ):
            call = self._by_id.get(call_id)
            if call is None and started and now < self._born + self._lost_after:
                call = self._expect(call_id, now)
            if call is not None and not call.owner:  # adopted from a node, its client is back
                call.owner = client.owner
            if call is not None and call.owner == client.owner:
                self._bind(call, client, number)
                self._arm(call)
                known.append(call)
        client.link.send(
            Resumed(tuple(number if number in client.calls else 0 for number in message.numbers))
        )
        for call in known:
            self._attach(call)

    def _bind(self, call: GatewayCall, client: Client, number: int) -> None:
        if call.client is not None:
            call.client.calls.pop(call.client_number, None)
        call.client, call.client_number = client, number
        call.hold_until = 0.0
        client.calls[number] = call

    def _attach(self, call: GatewayCall) -> None:
        """Somebody waits for it anew: have everything said again that was not seen."""
        if call.outcome is not None and call.client is not None:
            call.outcome.call = call.client_number
            call.client.link.send(call.outcome)
        elif call.node is not None and call.node.link is not None:
            call.node.link.send(Attach(call.number))

    # -- nodes -------------------------------------------------------------------------------------

    def node_left(self, node: Node, link: Link, now: float) -> None:
        """Its connection is gone; its calls are suspect until it is back, or given up."""
        if node.link is not link:
            return  # a newer connection has taken its place
        node.link = None
        node.since = now
        for call in node.calls.values():
            if call.state in (CallState.DISPATCHED, CallState.RUNNING, CallState.FINISHED):
                call.advance(CallEvent.NODE_LOST)
                call.suspect_until = now + self._lost_after
                self._arm(call)

    def node_restarted(self, node: Node) -> None:
        """A new process has the node's id: what ran in the old one is lost."""
        for call in list(node.calls.values()):
            if call.state is not CallState.SUSPECT:
                call.advance(CallEvent.NODE_LOST)
            self._give_up(call, f"Node {node.node_id!r} was restarted while it ran")

    def receive_from_node(self, node: Node, message: Message, now: float) -> None:
        """Handle a message of a node."""
        kind = type(message)
        if kind is Finished:
            self._finished(node, message, now)  # type: ignore[arg-type]  # narrowed by `kind`
            return
        match message:
            case Started() if message.call in node.calls:
                self._started(node.calls[message.call], node, now)
            case Event():
                self._event(node, message)
            case GoingAway():
                node.draining = True
            case Register():
                self.nodes.offer(node, message)
                self._refuse_what_it_has_not(node)
                self._fill(node, now)
            case Resources():
                node.resources = message
            case Resume():
                self._node_resumes(node, message, now)
            case HandBack():
                for call in [node.calls[each] for each in message.calls if each in node.calls]:
                    self._hand_back(call)

    def _dispatch(self, call: GatewayCall, node: Node, now: float) -> None:
        submit, link = call.submit, node.link
        assert submit is not None and link is not None, "only a queued call goes to a live node"
        call.advance(CallEvent.DISPATCHED)
        call.suspect_until = 0.0
        self._fence += 1
        call.fence = self._fence
        call.node = node
        node.calls[call.number] = call
        call.occupies = True
        node.occupy(call.function)
        payload = submit.payload
        if call.arguments is not None:
            stream = call.arguments.forward(link)
            payload = Payload(payload.encoding, payload.size, b"", stream)
        call.submit = None
        remaining = max(call.deadline - now, 0.001) if call.deadline else 0.0
        link.send(
            Dispatch(
                call.number,
                call.call_id,
                call.fence,
                call.function,
                payload,
                submit.session,
                remaining,
                call.owner,
            )
        )
        if call.deadline:
            self._arm(call)

    def _fill(self, node: Node, now: float) -> None:
        """Give a node with room what waits for it."""
        while (call := self._scheduler.next_for(node)) is not None:
            submit = call.submit
            assert submit is not None, "a queued call has what its client sent"
            if submit.age and not (submit.node and self._predates(node, submit)):
                if submit.node:
                    self._give_up(call, f"Node {node.node_id!r} was restarted after it was sent")
                    continue
                self._scheduler.enqueue(call)  # any node: none can say that no other runs it
                return
            call.suspect_until = 0.0
            if call.cancelling is not None:
                self._scheduler.enqueue(call)
                self._cancel(call, kill=False)
            else:
                self._dispatch(call, node, now)

    def _started(self, call: GatewayCall, node: Node, now: float) -> None:
        if call.state in (CallState.DISPATCHED, CallState.RUNNING):
            call.advance(CallEvent.STARTED)
            call.began = call.began or now
        if call.client is not None:
            call.client.link.send(Started(call.client_number, node.node_id))

    def _event(self, node: Node, message: Event) -> None:
        assert node.link is not None, "messages come from an attached link"
        call = node.calls.get(message.call)
        if call is None or call.client is None:
            node.link.drop(message.payload)
        else:
            message.payload = node.link.pass_on(message.payload, call.client.link)
            message.call = call.client_number
            call.client.link.send(message)

    def _finished(self, node: Node, message: Finished, now: float) -> None:
        assert node.link is not None, "messages come from an attached link"
        call = node.calls.get(message.call)
        if call is None or message.fence != call.fence:
            node.link.drop(message.payload)
            return
        call.advance(CallEvent.FINISHED)
        if call.occupies:
            call.occupies = False
            node.release(call.function)
            if call.function[0] != "$":
                node.ran(message.seconds)
            self._fill(node, now)
        if call.client is None:
            node.link.drop(message.payload)  # the node holds it
            return
        message.payload = node.link.pass_on(message.payload, call.client.link)
        message.call = call.client_number
        call.client.link.send(message)

    def _refuse_what_it_has_not(self, node: Node) -> None:
        """Calls that waited for this node to come back may ask for what it no longer offers."""
        for call in list(self._scheduler):
            if call.target[0] == node.node_id and call.function not in node.functions:
                self._scheduler.remove(call)
                self._end(
                    call, CallEvent.REJECTED, self.nodes.no_such_function(call.function, node)
                )

    def _node_resumes(self, node: Node, message: Resume, now: float) -> None:
        """Settle every call between this node and us, after a new connection."""
        assert node.link is not None, "messages come from an attached link"
        numbers = []
        for call_id, fence in zip(message.call_ids, message.fences, strict=True):
            call = self._by_id.get(call_id)
            if call is None and call_id not in self._tombstones:
                call = self._adopt(call_id, now)
            if call is None or not self._claim(call, node, fence):
                numbers.append(0)
            else:
                numbers.append(call.number)
        node.link.send(Resumed(tuple(numbers)))
        for call in node.calls.values():
            if call.cancelling is not None:
                node.link.send(Cancel(call.number, call.cancelling))
        named = set(message.call_ids)
        for call in list(node.calls.values()):
            # What was dispatched since this connection is there is not named, and not missing.
            if call.call_id not in named and call.state is CallState.SUSPECT:
                self._hand_back(call)
        self._fill(node, now)

    def _adopt(self, call_id: bytes, now: float) -> GatewayCall:
        """A call from before this gateway started; its client will come back for it."""
        self._last += 1
        call = GatewayCall(self._last, call_id, "", ("", "$cell"), created=now)
        call.hold_until = now + RECONNECT_LIMIT
        self._by_id[call_id] = call
        self._arm(call)
        return call

    def _expect(self, call_id: bytes, now: float) -> GatewayCall:
        """A call from before this gateway started; its node may come back with it."""
        call = self._adopt(call_id, now)
        call.suspect_until = now + self._lost_after
        return call

    def _claim(self, call: GatewayCall, node: Node, fence: int) -> bool:
        """Whether the node goes on with this call."""
        if call.state in TERMINAL or (call.node is not None and call.node is not node):
            return False
        if call.node is node and call.fence != fence:
            return False
        if call.state is CallState.QUEUED:
            if call.submit is not None:
                self._scheduler.remove(call)
                self._drop_arguments(call)
            call.node, call.fence = node, fence
            self._fence = max(self._fence, fence)
            node.calls[call.number] = call
        elif call.state is not CallState.SUSPECT:
            call.advance(CallEvent.NODE_LOST)
        call.advance(CallEvent.NODE_RESUMED)
        call.suspect_until = 0.0
        return True

    def _hand_back(self, call: GatewayCall) -> None:
        """It did not start: its client, who has the payload, sends it once more."""
        if call.state not in (CallState.DISPATCHED, CallState.SUSPECT):
            return
        call.advance(CallEvent.HANDED_BACK)
        client, number = call.client, call.client_number
        self._forget(call, remember=False)
        if client is not None:
            client.link.send(HandBack((number,)))

    # -- endings -----------------------------------------------------------------------------------

    def _end(self, call: GatewayCall, event: CallEvent, error: EasyRemoteError) -> None:
        """End a call with an outcome of our own; it is kept until its client has it."""
        may_have_run = event is CallEvent.GIVEN_UP
        call.advance(event)
        self._leave_node(call)
        self._drop_arguments(call)
        call.outcome = _failed(call.client_number, error, may_have_run=may_have_run)
        if call.client is not None:
            call.client.link.send(call.outcome)

    def _give_up(self, call: GatewayCall, why: str) -> None:
        self._end(
            call,
            CallEvent.GIVEN_UP,
            CallLost(
                f"{why}: {call.function.lstrip('$')}() may have run, and its result is lost. "
                "Call it again if that does no harm."
            ),
        )

    def _drop_arguments(self, call: GatewayCall) -> None:
        if call.arguments is not None:
            call.arguments.stop()
        call.submit = call.arguments = None

    def _leave_node(self, call: GatewayCall) -> None:
        node = call.node
        if node is not None:
            node.calls.pop(call.number, None)
            if call.occupies:
                call.occupies = False
                node.release(call.function)
            call.node = None

    def _forget(self, call: GatewayCall, *, remember: bool = True) -> None:
        """Remove a call everywhere."""
        self._leave_node(call)
        if call.client is not None:
            call.client.calls.pop(call.client_number, None)
        self._by_id.pop(call.call_id, None)
        if remember:
            self._tombstones[call.call_id] = None
            if len(self._tombstones) > TOMBSTONES:
                self._tombstones.popitem(last=False)

    # -- time --------------------------------------------------------------------------------------

    def _arm(self, call: GatewayCall) -> None:
        when = call.next_deadline()
        if when and when != call.timer:
            call.timer = when
            heapq.heappush(self._timers, (when, call.number, call))

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`; None for never."""
        return self._timers[0][0] if self._timers else None

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        while self._timers and self._timers[0][0] <= now:
            _, _, call = heapq.heappop(self._timers)
            call.timer = 0.0
            if self._by_id.get(call.call_id) is not call:
                continue
            due = call.next_deadline()
            if due and due <= now:
                self._time_is_up(call, now)
            else:
                self._arm(call)

    def _time_is_up(self, call: GatewayCall, now: float) -> None:
        if call.hold_until and call.hold_until <= now:
            if call.state is CallState.QUEUED:
                self._scheduler.remove(call)
            elif call.node is not None and call.node.link is not None:
                call.node.link.send(Cancel(call.number))
                call.node.link.send(Delivered((call.number,)))
            self._forget(call)
        elif call.state is CallState.QUEUED:
            self._scheduler.remove(call)
            if call.suspect_until and call.suspect_until <= now:
                self._give_up(call, "The gateway was restarted, and no node came back with it")
            else:
                waited = now - call.created
                self._end(
                    call,
                    CallEvent.EXPIRED,
                    CallTimeout(
                        f"{call.function.lstrip('$')}() waited {waited:.1f} s for its turn and "
                        "did not get it; it did not run."
                    ),
                )
        elif call.state is CallState.SUSPECT:
            node_id = call.node.node_id if call.node is not None else "?"
            self._give_up(
                call, f"Node {node_id!r} has been out of reach for {self._lost_after:.0f} s"
            )
        elif call.node is not None and call.node.link is not None:
            call.node.link.send(Cancel(call.number, kill=True))
            self._give_up(call, f"Node {call.node.node_id!r} did not stop it at its deadline")


def _failed(number: int, error: EasyRemoteError, *, may_have_run: bool) -> Finished:
    code, text, details = to_wire(error)
    body = pack_error(code, text, **{**details, "may_have_run": may_have_run})
    return Finished(number, Payload("msgpack", len(body), body), code, may_have_run)
