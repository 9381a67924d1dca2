"""RESUME: the call table made again from what clients and nodes hold. Pure.

The client and the node both hold a live call. After a new connection each names its calls, and
this settles them one by one with what the table knows: it goes on, it is known under this number,
or it is not known. A call from before this gateway started is named by one side first, and kept
for the other: *adopted* from a node, *expected* from one. Nothing is dispatched again that a node
still holds. ``tests/gateway/test_recovery.py`` and ``tests/protocol/test_machine.py`` prove it.
"""

from __future__ import annotations

from functools import partial

from easyremote.errors import ProtocolError
from easyremote.gateway.callers import Access
from easyremote.gateway.dispatch import Dispatcher
from easyremote.gateway.permissions import Action, may
from easyremote.gateway.records import LOST_AFTER, ClientLink, GatewayCall, Node
from easyremote.gateway.table import CallTable
from easyremote.protocol.call import TERMINAL, WAITING, CallEvent, CallState
from easyremote.protocol.caller import RECONNECT_LIMIT
from easyremote.protocol.messages import Cancel, Resume, Resumed

#: How many calls that the gateway does not know one node may bring back; the rest is refused.
MAX_ADOPTED = 10_000
#: Fences rise by one with every dispatch; a larger one would leave no room for those that follow.
MAX_FENCE = 1 << 53
NEVER_BACK = "The gateway was restarted, and no node came back with it"


class Recovery:
    """Settles what is said in RESUME with the call table."""

    def __init__(self, table: CallTable, dispatcher: Dispatcher) -> None:
        self._table, self._dispatcher = table, dispatcher
        self._born = table.nodes.born

    def is_new(self, now: float) -> bool:
        """Whether nodes may still be on their way back to this gateway."""
        return now < self._born + LOST_AFTER

    def predates(self, moment: float) -> bool:
        """Whether the table was there at this moment: what is not in it was not dispatched."""
        return self._born <= moment

    def client_resumes(self, client: ClientLink, message: Resume, now: float) -> None:
        """Give a client its calls back, under the numbers that it has for them."""
        if not len(message.call_ids) == len(message.numbers) == len(message.started):
            raise ProtocolError("a client's RESUME has a number and a state for each call")
        known = []
        for call_id, number, started in zip(
            message.call_ids, message.numbers, message.started, strict=True
        ):
            client.check_number(number, call_id)
            call = self._table.by_id.get(call_id)
            over = call_id in self._table.tombstones or client.is_full
            if call is None and started and not over and self.is_new(now):
                call = self._expect(call_id, now)
            if call is not None and not call.owner:  # adopted from a node, its client is back
                call.owner = client.principal.key_id
            if call is not None and may(client.principal, Action.CLAIM, call):
                known.append(call)
                take_back = partial(self._take_back, client=client, number=number)
                self._table.for_each([call], take_back, now)
        numbers = tuple(number if number in client.calls else 0 for number in message.numbers)
        client.link.send(Resumed(numbers))
        client.resumed = client.resumed or now  # a repeated RESUME does not change it
        self._table.for_each(known, GatewayCall.say_again, now)

    def node_resumes(self, node: Node, message: Resume, now: float) -> None:
        """Settle every call between this node and the gateway."""
        assert node.link is not None, "messages come from an attached link"
        if len(message.call_ids) != len(message.fences):
            raise ProtocolError("a node's RESUME has a fence for each call")
        if max(message.fences, default=0) > MAX_FENCE:
            raise ProtocolError(f"a fence above {MAX_FENCE}: no gateway gave it out")
        numbers = []
        for call_id, fence in zip(message.call_ids, message.fences, strict=True):
            call = self._table.by_id.get(call_id)
            is_new = call is None and call_id not in self._table.tombstones
            if is_new and len(node.calls) < MAX_ADOPTED:
                call = self._adopt(call_id, now)
            claims = call is not None and self._claims(call, node, fence, now)
            numbers.append(call.number if call is not None and claims else 0)
        node.link.send(Resumed(tuple(numbers)))
        for call in node.calls.values():
            if call.cancelling is not None:
                node.link.send(Cancel(call.number, call.cancelling))
        named = set(message.call_ids)
        # The node does not hold these calls: DISPATCH did not reach it, or it handed them back.
        missing = [
            call
            for call in node.calls.values()
            if call.call_id not in named and call.state is CallState.SUSPECT
        ]
        self._table.for_each(missing, lambda call: self._table.hand_back(call, now), now)
        node.has_resumed = True
        self._dispatcher.fill(node, now)

    def _adopt(self, call_id: bytes, now: float) -> GatewayCall:
        """A call from before this gateway started; its client will come back for it."""
        target = ("", "", Access.LINK)
        call = self._table.add(call_id, "", target, CallState.EXPECTED, now)
        call.hold_until = now + RECONNECT_LIMIT
        self._table.arm(call)
        return call

    def _expect(self, call_id: bytes, now: float) -> GatewayCall:
        """A call from before this gateway started; its node may come back with it."""
        call = self._adopt(call_id, now)
        call.suspect_until = now + LOST_AFTER
        return call

    def _take_back(self, call: GatewayCall, *, client: ClientLink, number: int) -> None:
        call.bind(client, number)
        self._table.arm(call)

    def _claims(self, call: GatewayCall, node: Node, fence: int, now: float) -> bool:
        """Whether the node goes on with this call."""
        if call.state in TERMINAL or (call.node is not None and call.node is not node):
            return False
        if call.node is node and call.fence != fence:
            return False
        try:
            self._claim(call, node, fence, now)
        except Exception:
            self._table.broke(call, now)
            return False
        return True

    def _claim(self, call: GatewayCall, node: Node, fence: int, now: float) -> None:
        if call.state in WAITING:
            self._table.queues.remove(call)
            call.drop_arguments()
            call.node, call.fence = node, fence
            self._dispatcher.fence = max(self._dispatcher.fence, fence)
            node.calls[call.number] = call
        elif call.state is not CallState.SUSPECT:
            self._table.advance(call, CallEvent.NODE_LOST, now)
        self._table.advance(call, CallEvent.NODE_RESUMED, now)
        call.suspect_until = 0.0
        self._table.arm(call)
