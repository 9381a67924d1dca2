"""Time: what is done to a call when one of its limits has passed. Pure.

``tests/gateway/test_calls.py`` and ``test_hold.py`` prove it.
"""

from __future__ import annotations

from functools import partial

from easyremote.errors import CallTimeout
from easyremote.gateway.dispatch import STALLED_AFTER, Dispatcher
from easyremote.gateway.records import GatewayCall
from easyremote.gateway.recovery import NEVER_BACK
from easyremote.gateway.returns import patience
from easyremote.gateway.scheduling.explain import explain
from easyremote.gateway.table import CallTable
from easyremote.protocol.call import CallEvent, CallState
from easyremote.protocol.messages import Cancel, Delivered
from easyremote.protocol.streams import Relay


class Deadlines:
    """Ends, stops or gives back calls whose time is over."""

    def __init__(self, table: CallTable, dispatcher: Dispatcher) -> None:
        self._table, self._dispatcher = table, dispatcher

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        self._refuse_hopeless(now)
        self._table.tombstones.handle_timeout(now)
        nodes, queues = self._table.nodes, self._table.queues
        declined, queues.declined = queues.declined, set()
        again = (*nodes.rested(now), *nodes.offered_again(now), *nodes.heard_again(now))
        for node in (*again, *declined):
            self._dispatcher.fill(node, now)
        self._table.for_each(self._table.due(now), lambda call: self._time_is_up(call, now), now)

    def _time_is_up(self, call: GatewayCall, now: float) -> None:
        node = call.node
        self._do_what_is_due(call, now)
        if node is not None:
            self._dispatcher.fill(node, now)  # its slot is free

    def _do_what_is_due(self, call: GatewayCall, now: float) -> None:
        if call.hold_until and call.hold_until <= now:
            self._release(call, now)
        elif call.state is CallState.EXPECTED:
            self._table.give_up(call, NEVER_BACK, now=now)
        elif call.state is CallState.QUEUED:
            self._waited_too_long(call, now)
        elif call.arguments is not None and 0 < call.arguments_by <= now:
            self._arguments_stalled(call, call.arguments, now)
        elif call.state is CallState.SUSPECT:
            node_id = call.node.node_id if call.node is not None else "?"
            why = f"Node {node_id!r} has been out of reach for {patience(call):.0f} s"
            self._table.give_up(call, why, now=now)
        elif call.node is not None and call.node.link is not None:
            call.node.link.send(Cancel(call.number, kill=True))
            why = f"Node {call.node.node_id!r} did not stop it at its deadline"
            self._table.give_up(call, why, now=now)

    def _arguments_stalled(self, call: GatewayCall, arguments: Relay, now: float) -> None:
        if arguments.is_awaited and arguments.received == call.arguments_seen:
            self._table.hand_back(call, now)  # it did not start
        else:
            call.arguments_seen = arguments.received
            call.arguments_by = now + STALLED_AFTER
            self._table.arm(call)

    def _release(self, call: GatewayCall, now: float) -> None:
        """The hold time is over: stop the call and forget it."""
        if call.node is not None and call.node.link is not None:
            call.node.link.send(Cancel(call.number))
            call.node.link.send(Delivered((call.number,)))
        self._table.abandon(call, now)

    def _waited_too_long(self, call: GatewayCall, now: float) -> None:
        waited = now - call.created
        why = explain(self._table.queues, call, now)
        text = f"No turn came within {waited:.1f} s: {call.title} did not run. How it stood: {why}."
        self._table.end(call, CallEvent.EXPIRED, CallTimeout(text), now=now)

    def _refuse_hopeless(self, now: float) -> None:
        """Refuse the calls that wait for a node or a function that is not there any more."""
        for target in self._table.queues.targets():
            error = self._table.nodes.refusal(target, now)
            if error is not None:
                refuse = partial(self._table.end, event=CallEvent.REJECTED, error=error, now=now)
                # An expected call may have run: it waits for its node until its time is up.
                waiting = self._table.queues.waiting.calls(target)
                queued = [call for call in waiting if call.state is CallState.QUEUED]
                self._table.for_each(queued, refuse, now)
