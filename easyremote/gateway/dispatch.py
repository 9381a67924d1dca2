"""Hands calls to nodes, and asks nodes to stop them.

A call is dispatched at once where a node has room, else when one has. Pure;
``tests/gateway/test_calls.py`` proves it.
"""

from __future__ import annotations

from easyremote.errors import CallCancelled
from easyremote.gateway.records import LOST_AFTER, GatewayCall, Node
from easyremote.gateway.table import CallTable
from easyremote.protocol.call import CallEvent, CallState
from easyremote.protocol.messages import Cancel, Dispatch, Payload
from easyremote.protocol.streams import Relay

#: Arguments of a call on a node have to go on coming within so many seconds.
STALLED_AFTER = 60.0


class Dispatcher:
    """Sends calls to the nodes that run them."""

    def __init__(self, table: CallTable) -> None:
        self._table = table
        #: The highest fence of any attempt, those of earlier gateways included.
        self.fence = 0

    def dispatch(self, call: GatewayCall, node: Node, now: float) -> None:
        submit, link, function = call.submit, node.link, call.target[1]
        assert submit is not None and link is not None, "only a queued call goes to a live node"
        self._table.advance(call, CallEvent.DISPATCHED, now)
        call.suspect_until = 0.0
        self.fence += 1
        call.fence = self.fence
        call.node = node
        node.calls[call.number] = call
        self._table.queues.dispatched(call, node, now)
        payload = submit.payload
        call.argument_bytes = payload.size
        if call.arguments is not None:
            stream = call.arguments.forward(link)
            payload = Payload(payload.encoding, payload.size, b"", stream)
        if call.arguments is None or call.arguments.is_complete:
            call.occupies = True
            node.occupy(call)
        else:
            self._await_arguments(call, call.arguments, now)
        if call.client is None and call.streams and not call.hold:
            call.unbind(now)  # it is a stream, which was not known when its hold began
            self._table.arm(call)
        call.submit = None
        link.send(
            Dispatch(
                call.number,
                call.call_id,
                call.fence,
                function,
                payload,
                submit.session,
                _left(call.deadline, now) if call.deadline else 0.0,
                call.owner,
                queue_timeout=_left(call.queue_deadline, now) if call.queue_deadline else 0.0,
                run_timeout=submit.run_timeout,
                origin=call.origin,
                trace=submit.trace,
                needs=call.needs,
                durable=call.client is not None and call.client.is_own,
            )
        )
        if call.deadline:
            self._table.arm(call)

    def _await_arguments(self, call: GatewayCall, arguments: Relay, now: float) -> None:
        """Have the call take a slot when its arguments are whole; watch that they arrive."""
        assert call.node is not None, "it was dispatched"
        call.node.arriving.add(call)
        arguments.on_complete = call.arguments_came
        call.arguments_by = now + STALLED_AFTER
        call.arguments_seen = arguments.received
        self._table.arm(call)

    def fill(self, node: Node, now: float) -> None:
        """Dispatch what waits for this node, as far as it has room."""
        while node.has_resumed and (call := self._table.queues.next_for(node, now)) is not None:
            submit = call.submit
            assert submit is not None, "a queued call has what its client sent"
            if submit.age and call.sent < node.born:  # it may have run in the process before
                why = f"Node {node.node_id!r} was restarted after it was sent"
                self._table.give_up(call, why, now=now)
            elif call.cancelling is not None:
                self.end_cancelled(call, now)
            else:
                self.dispatch(call, node, now)

    def cancel(self, call: GatewayCall, *, kill: bool, now: float) -> None:
        """Cancel a call for its client, or for another client with the same key."""
        call.was_cancelled = True
        if call.state in (CallState.SUSPECT, CallState.EXPECTED):
            # It may be running: only its node can say that it is not.
            call.cancelling = kill or bool(call.cancelling)
            call.suspect_until = min(call.suspect_until, now + LOST_AFTER)
            self._table.arm(call)
        elif call.state is CallState.QUEUED:
            self.end_cancelled(call, now)
        elif call.node is not None and call.node.link is not None:
            call.node.link.send(Cancel(call.number, kill))

    def end_cancelled(self, call: GatewayCall, now: float) -> None:
        """End a call that surely did not run."""
        text = f"Cancelled while it waited for its turn: {call.title} did not run."
        self._table.end(call, CallEvent.CANCELLED, CallCancelled(text), now=now)


def _left(deadline: float, now: float) -> float:
    """Seconds that are left until a deadline; 0 would be no limit."""
    return max(deadline - now, 0.001)
