"""Every call between its client and its node: what each message does to it. Pure, as the Links are.

A call goes SUBMIT, DISPATCH, STARTED, FINISHED, DELIVERED; CANCEL, lost connections and timers can
end it on the way. What is known of a call is in ``table.py``; how the table is made again after a
reconnection, in ``recovery.py``. ``tests/gateway/test_calls.py`` and
``tests/protocol/test_machine.py`` prove it.
"""

from __future__ import annotations

from easyremote.errors import (
    CallCancelled,
    CallLost,
    CallTimeout,
    EasyRemoteError,
    UsageError,
)
from easyremote.gateway.nodes import LOST_AFTER, Node, Nodes
from easyremote.gateway.recovery import Recovery
from easyremote.gateway.scheduler import Target
from easyremote.gateway.table import ORIGIN_LIMIT, CallTable, Client, GatewayCall, failed
from easyremote.protocol.builtins import is_builtin
from easyremote.protocol.call import CallEvent, CallState
from easyremote.protocol.caller import RECONNECT_LIMIT
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
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
    Seen,
    Started,
    Submit,
)

#: So long after its start a gateway waits for nodes that it never saw: they dial back to it.
RETURN = 3.0
NEVER_BACK = "The gateway was restarted, and no node came back with it"


class Calls:
    """All calls of one gateway."""

    def __init__(self, nodes: Nodes, *, now: float, max_payload: int) -> None:
        self.nodes = nodes
        self.table = CallTable(nodes)
        self._recovery = Recovery(self.table, now=now)
        self._born = now
        self._max_payload = max_payload
        #: The gateway stops: nothing is taken on any more.
        self.is_leaving = False

    def __len__(self) -> int:
        return len(self.table.by_id)

    # -- clients -----------------------------------------------------------------------------------

    def client_left(self, client: Client, now: float) -> None:
        """Its calls run on; their outcomes are held for a while."""
        for call in list(client.calls.values()):
            call.unbind(now)
            if call.arguments is not None and not call.arguments.is_complete:
                # The rest of its arguments went with the connection: it can't start.
                self.table.forget(call, remember=False)
            else:
                self.table.arm(call)
        client.calls.clear()

    def leave(self) -> None:
        """The gateway stops: what waits here goes back to its client, for the next gateway."""
        self.is_leaving = True
        for call in list(self.table.by_id.values()):
            client, number = call.client, call.client_number
            if call.submit is not None and client is not None and not call.suspect_until:
                call.drop_arguments()
                self.table.forget(call, remember=False)
                client.link.send(HandBack((number,)))

    def receive_from_client(self, client: Client, message: Message, now: float) -> None:
        """Handle a message of a client."""
        kind = type(message)
        if kind is Submit and self.is_leaving:
            client.link.drop(message.payload)  # type: ignore[union-attr]  # narrowed by `kind`
            client.link.send(HandBack((message.call,)))  # type: ignore[union-attr]  # as above
            return
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
                    self.cancel(call, kill=message.kill, now=now)
            case Resume():
                self._recovery.client_resumes(client, message, now)

    def _submit(self, client: Client, message: Submit, now: float) -> None:
        call = self.table.by_id.get(message.call_id)
        if call is not None:
            self._submitted_again(call, client, message)
            return
        if message.call_id in self.table.tombstones:
            client.link.drop(message.payload)
            over = CallLost("This call is over, and its outcome was delivered.")
            client.link.send(failed(message.call, over, may_have_run=True))
            return
        # Not `now`: it may have been on its way for long, and its age does not grow meanwhile.
        sent = (client.resumed or now) - message.age if message.age else now
        if message.age and self._recovery.predates(sent):
            message.age = 0.0  # it is younger than this table: not in it, it was not dispatched
        arguments = client.link.relay(message.payload)  # first of all, because it can raise
        target = (message.node, message.function)
        call = self.table.add(message.call_id, client.owner, target, now)
        call.submit, call.arguments, call.sent = message, arguments, sent
        call.hold = message.hold or RECONNECT_LIMIT
        call.session, call.origin = message.session, message.origin[:ORIGIN_LIMIT]
        call.bind(client, message.call)
        error = self._refusal(call, message, now)
        if error is not None:
            if message.age:  # it may run where we can't see it
                self.table.give_up(call, NEVER_BACK, now=now)
            else:
                self.table.end(call, CallEvent.REJECTED, error, now=now)
            return
        if message.timeout:
            call.deadline = now + message.timeout
        if message.queue_timeout:
            call.queue_deadline = now + message.queue_timeout
        node = self.table.queues.place(call) if self._may_run_now(call, message) else None
        if node is not None:
            self._dispatch(call, node, now)
        else:
            self._wait(call, message, now)

    def _submitted_again(self, call: GatewayCall, client: Client, message: Submit) -> None:
        client.link.drop(message.payload)
        if not call.owner:  # adopted from a node
            call.owner, call.target = client.owner, (message.node, message.function)
        if call.owner == client.owner:
            call.bind(client, message.call)
            call.say_again()
        else:
            taken = UsageError("This call id is taken. Make a new one: 16 random bytes.")
            client.link.send(failed(message.call, taken, may_have_run=False))

    def _refusal(self, call: GatewayCall, message: Submit, now: float) -> EasyRemoteError | None:
        """Why a call can't be accepted; None if it can."""
        if message.payload.size > self._max_payload:
            return UsageError(
                f"The arguments of {call.title} are {message.payload.size / 1e9:.1f} GB; "
                f"this gateway carries at most {self._max_payload / 1e9:.1f} GB in one call. Keep "
                "the data on the node (in a session, or a file there), or send it in parts."
            )
        if message.age and self._recovery.is_new(now):
            return None  # it may run on a node that is on its way back to us
        return self._hopeless(call.target, now)

    def _hopeless(self, target: Target, now: float) -> EasyRemoteError | None:
        """Why no node will ever take such a call; None if one may."""
        node_id, function = target
        error = self.nodes.refusal(node_id, function, now)
        if error is not None and now < self._born + RETURN and self.nodes.get(node_id) is None:
            return None
        return error

    def _refuse_hopeless(self, now: float) -> None:
        """What waits for a node that will not come, or no longer offers it, waits in vain."""
        for target in self.table.queues.targets():
            if (error := self._hopeless(target, now)) is None:
                continue
            for call in self.table.queues.waiting(target):
                if not call.suspect_until:  # else it may have run; nobody can say that it did not
                    self.table.end(call, CallEvent.REJECTED, error, now=now)

    def _may_run_now(self, call: GatewayCall, message: Submit) -> bool:
        """A call that was sent before may only go where, surely, it does not run already."""
        if not message.age:
            return True
        node = self.nodes.get(message.node)
        return node is not None and node.has_resumed and _remembers(node, call)

    def _wait(self, call: GatewayCall, message: Submit, now: float) -> None:
        if message.age:
            # It may run on a node that will come back and claim it; until then it is suspect.
            call.suspect_until = now + LOST_AFTER
        if message.node or not message.age:  # else no node can say that no other one runs it
            self.table.queues.enqueue(call)
        self.table.arm(call)
        node = self.nodes.get(message.node)
        if node is not None and node.has_resumed:
            self._fill(node, now)  # where it was restarted since, that is known, and no news come

    def _delivered(self, client: Client, message: Delivered) -> None:
        numbers: dict[Link, list[int]] = {}
        for number in message.calls:
            call = client.calls.get(number)
            if call is None or not call.is_over:
                continue
            if call.state is CallState.FINISHED:
                call.advance(CallEvent.DELIVERED)
            if call.node is not None and call.node.link is not None:
                numbers.setdefault(call.node.link, []).append(call.number)
            self.table.forget(call)
        for link, delivered in numbers.items():
            link.send(Delivered(tuple(delivered)))

    def cancel(self, call: GatewayCall, *, kill: bool, now: float) -> None:
        """Somebody wants its end: its client, or another one with the same key."""
        call.was_cancelled = True
        if call.suspect_until:
            # It may run; only its node can say that it does not.
            call.cancelling = kill or bool(call.cancelling)
        elif call.state is CallState.QUEUED:
            text = f"Cancelled while it waited for its turn: {call.title} did not run."
            self.table.end(call, CallEvent.CANCELLED, CallCancelled(text), now=now)
        elif call.node is not None and call.node.link is not None:
            call.node.link.send(Cancel(call.number, kill))

    # -- nodes -------------------------------------------------------------------------------------

    def node_left(self, node: Node, link: Link, now: float) -> None:
        """Its connection is gone; its calls are suspect until it is back, or given up."""
        if node.link is not link:
            return  # a newer connection has taken its place
        self.nodes.left(node, now)
        for call in node.calls.values():
            if call.state in (CallState.DISPATCHED, CallState.RUNNING, CallState.FINISHED):
                call.advance(CallEvent.NODE_LOST)
                call.suspect_until = now + LOST_AFTER
                self.table.arm(call)

    def node_restarted(self, node: Node, now: float) -> None:
        """A new process has the node's id: what ran in the old one is lost."""
        for call in list(node.calls.values()):
            if call.state is not CallState.SUSPECT:
                call.advance(CallEvent.NODE_LOST)
            why = f"Node {node.node_id!r} was restarted while it ran"
            self.table.give_up(call, why, now=now)

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
                self._refuse_hopeless(now)
                self._fill(node, now)
            case Resources():
                node.resources = message
            case Resume():
                self._recovery.node_resumes(node, message, now)
                node.has_resumed = True
                self._fill(node, now)
            case HandBack():
                self._handed_back(node, message, now)

    def _dispatch(self, call: GatewayCall, node: Node, now: float) -> None:
        submit, link = call.submit, node.link
        assert submit is not None and link is not None, "only a queued call goes to a live node"
        call.advance(CallEvent.DISPATCHED)
        call.suspect_until = 0.0
        self._recovery.fence += 1
        call.fence = self._recovery.fence
        call.node = node
        node.calls[call.number] = call
        call.occupies = True
        node.occupy(call.function)
        payload = submit.payload
        if call.arguments is not None:
            stream = call.arguments.forward(link)
            payload = Payload(payload.encoding, payload.size, b"", stream)
        call.submit = None
        link.send(
            Dispatch(
                call.number,
                call.call_id,
                call.fence,
                call.function,
                payload,
                submit.session,
                _left(call.deadline, now),
                call.owner,
                queue_timeout=_left(call.queue_deadline, now),
                run_timeout=submit.run_timeout,
                origin=call.origin,
            )
        )
        if call.deadline:
            self.table.arm(call)

    def _fill(self, node: Node, now: float) -> None:
        """Give a node with room what waits for it, once it has said what it holds."""
        while node.has_resumed and (call := self.table.queues.next_for(node)) is not None:
            submit = call.submit
            assert submit is not None, "a queued call has what its client sent"
            if submit.age and not _remembers(node, call):
                why = f"Node {node.node_id!r} was restarted after it was sent"
                self.table.give_up(call, why, now=now)
                continue
            call.suspect_until = 0.0
            if call.cancelling is not None:
                self.table.queues.enqueue(call)
                self.cancel(call, kill=False, now=now)
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
            if call is None:  # it was given up, or nobody came back for it
                node.link.send(Delivered((message.call,)))
            return
        call.advance(CallEvent.FINISHED)
        code = "cancelled" if message.code and call.was_cancelled else message.code
        self.table.recent.note(call, code, message.seconds, now)
        if call.occupies:
            call.occupies = False
            node.release(call.function)
            if not is_builtin(call.function):
                node.ran(message.seconds)
            self._fill(node, now)
        if call.client is None:
            node.link.drop(message.payload)  # the node holds it
            if not call.hold_until:
                call.unbind(now)
                self.table.arm(call)
            return
        message.payload = node.link.pass_on(message.payload, call.client.link)
        message.call = call.client_number
        call.client.link.send(message)

    def _handed_back(self, node: Node, message: HandBack, now: float) -> None:
        for number in message.calls:
            call = node.calls.get(number)
            if call is not None and call.state is not CallState.FINISHED:
                self.table.hand_back(call)
        self._fill(node, now)

    # -- time --------------------------------------------------------------------------------------

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        self._refuse_hopeless(now)
        for call in self.table.due(now):
            node = call.node
            self._time_is_up(call, now)
            if node is not None:
                self._fill(node, now)  # its slot is free

    def _time_is_up(self, call: GatewayCall, now: float) -> None:
        if call.hold_until and call.hold_until <= now:
            self._release(call)
        elif call.state is CallState.QUEUED:
            self._waited_too_long(call, now)
        elif call.state is CallState.SUSPECT:
            node_id = call.node.node_id if call.node is not None else "?"
            why = f"Node {node_id!r} has been out of reach for {LOST_AFTER:.0f} s"
            self.table.give_up(call, why, now=now)
        elif call.node is not None and call.node.link is not None:
            call.node.link.send(Cancel(call.number, kill=True))
            why = f"Node {call.node.node_id!r} did not stop it at its deadline"
            self.table.give_up(call, why, now=now)

    def _release(self, call: GatewayCall) -> None:
        """Nobody came back for it."""
        if call.node is not None and call.node.link is not None:
            call.node.link.send(Cancel(call.number))
            call.node.link.send(Delivered((call.number,)))
        self.table.forget(call)

    def _waited_too_long(self, call: GatewayCall, now: float) -> None:
        if call.suspect_until:
            self.table.give_up(call, NEVER_BACK, now=now)
        else:
            waited = now - call.created
            text = f"No turn came within {waited:.1f} s: {call.title} did not run."
            self.table.end(call, CallEvent.EXPIRED, CallTimeout(text), now=now)


def _left(deadline: float, now: float) -> float:
    """What is left until then, in seconds; 0 is no limit."""
    return max(deadline - now, 0.001) if deadline else 0.0


def _remembers(node: Node, call: GatewayCall) -> bool:
    """Whether the node's memory reaches back to when the call was first sent."""
    return node.born <= call.sent
