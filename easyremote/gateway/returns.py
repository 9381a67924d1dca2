"""What nodes send: what they offer, how their calls go on, outcomes, calls handed back. Pure.

``tests/gateway/test_calls.py`` proves it.
"""

from __future__ import annotations

from easyremote.gateway.deadlines import Deadlines
from easyremote.gateway.dispatch import Dispatcher
from easyremote.gateway.records import LOST_AFTER, GatewayCall, Node
from easyremote.gateway.recovery import Recovery
from easyremote.gateway.table import CallTable
from easyremote.protocol.builtins import is_builtin
from easyremote.protocol.call import CallEvent, CallState
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    Delivered,
    Event,
    Finished,
    GoingAway,
    HandBack,
    Message,
    Register,
    Resources,
    Resume,
    Started,
)


class Returns:
    """Takes what nodes say of themselves and of their calls."""

    def __init__(
        self, table: CallTable, dispatcher: Dispatcher, recovery: Recovery, deadlines: Deadlines
    ) -> None:
        self._table, self._dispatcher, self._recovery = table, dispatcher, recovery
        self._nodes, self._deadlines = table.nodes, deadlines

    def node_left(self, node: Node, link: Link, now: float) -> None:
        """Its connection is gone; its calls are suspect until it is back, or given up."""
        if node.link is not link:
            return  # a newer connection has taken its place
        self._nodes.left(node, now)
        for call in list(node.arriving):
            self._table.hand_back(call)  # without all of its arguments it did not start
        for call in node.calls.values():
            if call.state in (CallState.DISPATCHED, CallState.RUNNING, CallState.FINISHED):
                call.advance(CallEvent.NODE_LOST)
                call.suspect_until = now + LOST_AFTER
                self._table.arm(call)

    def node_restarted(self, node: Node, now: float) -> None:
        """A new process has the node's id: what ran in the old one is lost."""
        for call in list(node.calls.values()):
            if call.state is not CallState.SUSPECT:
                call.advance(CallEvent.NODE_LOST)
            why = f"Node {node.node_id!r} was restarted while it ran"
            self._table.give_up(call, why, now=now)

    def receive(self, node: Node, message: Message, now: float) -> None:
        """Handle a message of a node."""
        kind = type(message)
        if kind is Finished:
            self._finished(node, message, now)  # type: ignore[arg-type]  # narrowed by `kind`
            return
        match message:
            case Started() if message.call in node.calls and node.has_resumed:
                self._started(node.calls[message.call], node, now)
            case Event():
                self._event(node, message)
            case GoingAway():
                node.draining = True
            case Register():
                self._nodes.offer(node, message)
                self._deadlines.refuse_hopeless(now)
                self._dispatcher.fill(node, now)
            case Resources():
                node.resources = message
            case Resume():
                self._recovery.node_resumes(node, message, now)
                node.has_resumed = True
                self._dispatcher.fill(node, now)
            case HandBack():
                self._handed_back(node, message, now)

    def _started(self, call: GatewayCall, node: Node, now: float) -> None:
        if call.state in (CallState.DISPATCHED, CallState.RUNNING):
            call.advance(CallEvent.STARTED)
            call.began = call.began or now
            node.began()
        if call.client is not None:
            call.client.link.send(Started(call.client_number, node.node_id))

    def _event(self, node: Node, message: Event) -> None:
        assert node.link is not None, "messages come from an attached link"
        call = node.calls.get(message.call)
        if call is None or call.client is None or not node.has_resumed:
            node.link.drop(message.payload)
        else:
            message.payload = node.link.pass_on(message.payload, call.client.link)
            message.call = call.client_number
            call.client.link.send(message)

    def _finished(self, node: Node, message: Finished, now: float) -> None:
        assert node.link is not None, "messages come from an attached link"
        call = node.calls.get(message.call)
        if call is None or message.fence != call.fence or not node.has_resumed:
            node.link.drop(message.payload)
            if node.has_resumed:
                self._out_of_place(node, message, call, now)
            return
        call.advance(CallEvent.FINISHED)
        code = "cancelled" if message.code and call.was_cancelled else message.code
        self._table.recent.note(call, code, message.seconds, now)
        if call.free_slot():
            node.began()
            if not is_builtin(call.function):
                node.ran(message.seconds)
            self._dispatcher.fill(node, now)
        if call.client is None:
            node.link.drop(message.payload)  # the node holds it
            if not call.hold_until:
                call.unbind(now)
                self._table.arm(call)
            return
        message.payload = node.link.pass_on(message.payload, call.client.link)
        message.call = call.client_number
        call.client.link.send(message)

    def _out_of_place(
        self, node: Node, message: Finished, call: GatewayCall | None, now: float
    ) -> None:
        """An outcome of a call that was given up or let go, or of another attempt."""
        if call is not None:
            # No right outcome comes after this one: its caller must not wait for it.
            why = f"Node {node.node_id!r} sent the outcome of another attempt"
            self._table.give_up(call, why, now=now)
        assert node.link is not None, "messages come from an attached link"
        node.link.send(Delivered((message.call,)))
        self._dispatcher.fill(node, now)

    def _handed_back(self, node: Node, message: HandBack, now: float) -> None:
        for number in message.calls:
            call = node.calls.get(number)
            if call is not None and call.state is not CallState.FINISHED:
                self._table.hand_back(call)
        self._nodes.handed_back(node, len(message.calls), now)
        self._dispatcher.fill(node, now)
