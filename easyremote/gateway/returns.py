"""What nodes send: what they offer, how their calls go on, outcomes, calls handed back. Pure.

``tests/gateway/test_calls.py`` proves it.
"""

from __future__ import annotations

from easyremote.gateway.dispatch import Dispatcher
from easyremote.gateway.records import KEPT, LOST_AFTER, ClientLink, GatewayCall, Node
from easyremote.gateway.scheduling.explain import stands_still
from easyremote.gateway.scheduling.release import questions
from easyremote.gateway.table import CallTable
from easyremote.options.retries import FAIL
from easyremote.protocol.call import CallEvent, CallState
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    Delivered,
    Event,
    Finished,
    GoingAway,
    HandBack,
    NodeAway,
    Register,
    Resources,
    Started,
    Watch,
)


class Returns:
    """Takes what nodes say of themselves and of their calls."""

    def __init__(self, table: CallTable, dispatcher: Dispatcher) -> None:
        self._table, self._dispatcher = table, dispatcher
        self._nodes = table.nodes
        #: What the owners of sessions are asked, without the text, which tells a time.
        self._asked: dict[Node, set[tuple[str, str, str]]] = {}

    def node_left(self, node: Node, link: Link, now: float) -> None:
        """The node's connection is gone: its calls are suspect until it is back."""
        if node.link is not link:
            return  # a newer connection has taken its place
        self._nodes.left(node, now)
        # Without all of its arguments a call did not start.
        self._table.for_each(
            list(node.arriving), lambda call: self._table.hand_back(call, now), now
        )
        self._table.for_each(list(node.calls.values()), lambda call: self._suspect(call, now), now)
        tell_clients(node, LOST_AFTER)
        queues = self._table.queues
        targets = [each for each in queues.targets() if each[0] == node.node_id]
        queued = [call for target in targets for call in queues.waiting.calls(target)]
        hasty = [call for call in queued if call.on_node_loss == FAIL]
        self._table.for_each(hasty, lambda call: self._refuse(call, node, now), now)

    def _refuse(self, call: GatewayCall, node: Node, now: float) -> None:
        if call.state is CallState.QUEUED:
            error = self._nodes.offline(node, now)
            self._table.end(call, CallEvent.REJECTED, error, now=now)

    def _suspect(self, call: GatewayCall, now: float) -> None:
        if call.state in (CallState.DISPATCHED, CallState.RUNNING, CallState.FINISHED):
            self._table.advance(call, CallEvent.NODE_LOST, now)
            call.suspect_until = now + patience(call)
            if call.on_node_loss and call.node is not None:
                why = f"Node {call.node.node_id!r} is gone"
                self._table.give_up(call, why, now=now)
            else:
                self._table.arm(call)

    # -- what a node says of itself ----------------------------------------------------------------

    def going_away(self, node: Node, message: GoingAway, now: float) -> None:
        """The node takes no new calls, and hears that it gets none."""
        node.draining = True
        if node.link is not None:
            node.link.send(GoingAway())

    def register(self, node: Node, message: Register, now: float) -> None:
        """The node says what it offers now."""
        stood_still = node.said.stands_still
        self._nodes.offer(node, message, now)
        if stood_still or message.stands_still:
            tell_clients(node, 0.0)
        for each in (node, *self._nodes.offered_again(now)):
            self._dispatcher.fill(each, now)

    def resources(self, node: Node, message: Resources, now: float) -> None:
        """The node says how busy its machine is."""
        node.resources = message
        queues = self._table.queues
        if queues.waiting.queues or node.aside:
            self._dispatcher.fill(node, now)  # others may use less of the machine than before
        if not self._nodes.watched and not queues.awaits(node):
            self._measure(node, on=False)  # nobody wants to know any more
        asked = {each[:3] for each in questions(queues, node)}
        if asked != self._asked.get(node, set()):
            self._asked[node] = asked
            self._nodes.changed(node)  # owners of sessions hear of it

    @staticmethod
    def _measure(node: Node, *, on: bool) -> None:
        """Tell a node whether to say how busy its machine is."""
        if not on:
            node.resources = None  # it would soon be wrong
        if node.link is not None:
            node.link.send(Watch(on))

    # -- what it says of its calls -----------------------------------------------------------------

    def started(self, node: Node, message: Started, now: float) -> None:
        """A function began to run."""
        call = node.calls.get(message.call)
        if call is None:
            return
        if call.state in (CallState.DISPATCHED, CallState.RUNNING):
            self._table.advance(call, CallEvent.STARTED, now)
            call.began = call.began or now
            node.began()
        if call.client is not None:
            call.client.link.send(Started(call.client_number, node.node_id, call.retry))

    def event(self, node: Node, message: Event, now: float) -> None:
        """Pass an event on to the client, if it is connected."""
        assert node.link is not None, "messages come from an attached link"
        call = node.calls.get(message.call)
        if call is None or call.client is None:
            node.link.drop(message.payload)
        else:
            call.result_bytes += message.payload.size
            message.payload = node.link.pass_on(message.payload, call.client.link)
            message.call = call.client_number
            call.client.link.send(message)

    def finished(self, node: Node, message: Finished, now: float) -> None:
        """Pass an outcome on to the client; without a client the node keeps it."""
        assert node.link is not None, "messages come from an attached link"
        call = node.calls.get(message.call)
        if call is None or message.fence != call.fence:
            node.link.drop(message.payload)
            self._out_of_place(node, message, call, now)
            return
        call.code = "cancelled" if message.code and call.was_cancelled else message.code
        seconds = message.seconds
        if not seconds and call.began and not call.is_over:
            seconds = now - call.began  # its node says it only of what returned
        call.seconds = seconds or call.seconds
        if call.client is not None:
            call.result_bytes += message.payload.size
        self._table.advance(call, CallEvent.FINISHED, now)
        if call.free_slot():
            if node.rests or node.handed_back:
                node.began()
            self._table.queues.finished(call, node, seconds, now)
            self._dispatcher.fill(node, now)
        if call.client is None:
            node.link.drop(message.payload)  # the node keeps it
            if not call.hold_until:
                call.unbind(now)
                self._table.arm(call)
            return
        message.payload = node.link.pass_on(message.payload, call.client.link)
        message.call = call.client_number
        message.retry = call.retry if message.code else None
        call.client.link.send(message)

    def handed_back(self, node: Node, message: HandBack, now: float) -> None:
        """These calls did not start, and will not start there."""
        calls = [node.calls[number] for number in message.calls if number in node.calls]
        wanted = [(call, node.needs_of(call)) for call in calls]
        self._table.for_each(calls, lambda call: self._hand_back(call, now), now)
        unexplained = len(message.calls)
        if message.resources is not None:
            # The calls come again, and wait until the node says that what they need is free.
            node.resources = message.resources
            self._measure(node, on=True)
            unexplained -= sum(
                node.held.short_of(call, needs, node.said, node.resources) is not None
                for call, needs in wanted
                if needs is not None
            )
        self._nodes.handed_back(node, unexplained, now)
        self._dispatcher.fill(node, now)

    def _hand_back(self, call: GatewayCall, now: float) -> None:
        if call.state in (CallState.DISPATCHED, CallState.RUNNING, CallState.SUSPECT):
            self._table.hand_back(call, now)

    def _out_of_place(
        self, node: Node, message: Finished, call: GatewayCall | None, now: float
    ) -> None:
        """An outcome of a call that was given up or let go, or of another attempt."""
        if call is not None:
            # The right outcome will not come: its client must not wait for it.
            why = f"Node {node.node_id!r} sent the outcome of another attempt"
            self._table.give_up(call, why, now=now)
        assert node.link is not None, "messages come from an attached link"
        node.link.send(Delivered((message.call,)))
        self._dispatcher.fill(node, now)


def is_detached(call: GatewayCall) -> bool:
    """Whether the gateway itself is its client, so that its node has it in a journal."""
    return call.client is not None and call.client.is_own


def patience(call: GatewayCall) -> float:
    """Seconds for which its node may be out of reach: one that comes back may have the outcome."""
    return KEPT if is_detached(call) else LOST_AFTER


def tell_clients(node: Node, seconds: float) -> None:
    """Tell the clients of a node's calls that it is gone and waited for, or that it is there (0).

    Of one that is there they are told which calls stand still.
    """
    numbers: dict[tuple[ClientLink, str], list[int]] = {}
    for call in node.calls.values():
        if call.client is not None:
            halted = "" if seconds else stands_still(call)
            numbers.setdefault((call.client, halted), []).append(call.client_number)
    for (client, halted), calls in numbers.items():
        client.link.send(NodeAway(tuple(calls), node.node_id, seconds, halted))
