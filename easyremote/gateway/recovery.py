"""RESUME: the call table made again from what clients and nodes hold. Pure.

The client and the node both hold a live call. After a new connection each names its calls, and
this settles them one by one with what the table knows: it goes on, it is known under this number,
or it is not known. A call from before this gateway started is named by one side first, and kept
for the other: *adopted* from a node, *expected* from one. Nothing is dispatched again that a node
still holds: a call for any node is expected until every node that the gateway before may have given
calls to has said which ones it holds; then it runs nowhere, and its client sends it again.
``tests/gateway/test_recovery.py`` and ``tests/protocol/test_machine.py`` prove it.
"""

from __future__ import annotations

import math
from functools import partial

from easyremote.errors import ProtocolError
from easyremote.gateway.callers import Access
from easyremote.gateway.dispatch import Dispatcher
from easyremote.gateway.keys import KeyStore
from easyremote.gateway.nodes import Nodes
from easyremote.gateway.permissions import Action, may
from easyremote.gateway.records import LOST_AFTER, ClientLink, GatewayCall, Node
from easyremote.gateway.returns import is_detached, tell_clients
from easyremote.gateway.table import CallTable
from easyremote.protocol.call import TERMINAL, WAITING, CallEvent, CallState
from easyremote.protocol.caller import RECONNECT_LIMIT
from easyremote.protocol.messages import Cancel, Resume, Resumed

#: How many calls that the gateway does not know one node may bring back; the rest is refused.
MAX_ADOPTED = 10_000
#: Fences rise by one with every dispatch; a larger one would leave no room for those that follow.
MAX_FENCE = 1 << 53
#: Seconds that a node counts as one that may hold calls after it left with some. They are given up
#: meanwhile; until then, and for a while after that, their clients may come and ask for them.
HELD = LOST_AFTER + RECONNECT_LIMIT
#: The same, of a node that left with none.
EMPTY = 10.0
NEVER_BACK = "The gateway was restarted, and no node came back with it"
NOT_BROUGHT_BACK = "The gateway was restarted, and the node that ran it came back without it"
RESTARTED = "The gateway was restarted, and so was a node to which it may have been given"


class Recovery:
    """Settles what is said in RESUME with the call table."""

    def __init__(self, table: CallTable, dispatcher: Dispatcher) -> None:
        self._table, self._dispatcher = table, dispatcher
        self._born = table.nodes.born
        #: The nodes from before this gateway started that have not said yet which calls they hold.
        self._silent = set(table.nodes.before)
        #: When the youngest process of the others was started: what was sent before that moment may
        #: have run in the process before it.
        self._youngest = -math.inf
        #: The journal of a node's process that has ended, until the next one has said RESUME.
        self._journals: dict[Node, bytes] = {}

    def is_new(self, now: float) -> bool:
        """Whether nodes may still be on their way back to this gateway."""
        return now < self._born + LOST_AFTER

    def is_nowhere(self, node_id: str, sent: float) -> bool:
        """Whether a call that is not in the table surely runs on no node, and never ran.

        Parameters
        ----------
        node_id
            The node that it is for; empty for any node.
        sent
            When its client sent it, on our clock.
        """
        if self._born <= sent:
            return True  # this gateway was there, and did not dispatch it
        return not node_id and not self._silent and self._youngest <= sent

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
        for number, address in message.notify.items():
            call = client.calls.get(number)
            # Of a call that it knows by SUBMIT the gateway knows this, or it has been done.
            if call is not None and not call.function and not call.is_over:
                call.notify = address
        client.resumed = client.resumed or now  # a repeated RESUME does not change it
        self._table.for_each(known, GatewayCall.say_again, now)
        if not self._silent:
            expected = [call for call in known if call.state is CallState.EXPECTED]
            self._table.for_each(expected, lambda call: self._settle(call, now), now)

    def node_restarted(self, node: Node, now: float) -> None:
        """A new process has the node's id: the calls of the old process are lost.

        A detached call is not: the node's journal knows how it stands, and RESUME tells.
        """
        self._journals.setdefault(node, node.said.journal)
        lost = [call for call in node.calls.values() if not is_detached(call)]
        self._table.for_each(lost, lambda call: self._lose(call, node, now), now)

    def _lose(self, call: GatewayCall, node: Node, now: float) -> None:
        if call.state is not CallState.SUSPECT:
            self._table.advance(call, CallEvent.NODE_LOST, now)
        why = f"Node {node.node_id!r} was restarted while it ran"
        self._table.give_up(call, why, now=now)

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
        before = self._journals.pop(node, None)
        if before is None or (before and before == node.said.journal):
            self._table.for_each(missing, lambda call: self._table.hand_back(call, now), now)
        else:  # what the process before this one has begun, nobody can know
            self._table.for_each(missing, lambda call: self._lose(call, node, now), now)
        tell_clients(node, 0.0)
        self._has_spoken(node, now)
        node.has_resumed = True
        self._dispatcher.fill(node, now)

    def _has_spoken(self, node: Node, now: float) -> None:
        """A node has said which calls it holds. After the last one, the others are on no node."""
        if node.node_id in self._silent:
            self._silent.remove(node.node_id)
            self._youngest = max(self._youngest, node.born)
            if not self._silent:
                calls = list(self._table.by_id.values())
                expected = [call for call in calls if call.state is CallState.EXPECTED]
                self._table.for_each(expected, lambda call: self._settle(call, now), now)

    def _settle(self, call: GatewayCall, now: float) -> None:
        """No node holds this expected call."""
        if call.submit is None:
            self._table.give_up(call, NOT_BROUGHT_BACK, now=now)
        elif not call.target[0]:  # a call for one node waits for its turn there
            self.settle_unnamed(call, now)

    def settle_unnamed(self, call: GatewayCall, now: float) -> None:
        """An expected call for any node: no node holds it, if all have spoken."""
        if self._silent:
            return
        if call.sent < self._youngest:
            self._table.give_up(call, RESTARTED, now=now)
        elif call.cancelling is not None:
            self._dispatcher.end_cancelled(call, now)
        else:
            self._table.hand_back(call, now)

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


class Holders:
    """Which nodes may hold calls: those that are here, and those that left a while ago.

    The next gateway sends a call that it does not know to no node before all of these have said
    which calls they hold.

    Parameters
    ----------
    keys
        Whose file names them.
    nodes
        Those that this gateway has seen.
    """

    def __init__(self, keys: KeyStore, nodes: Nodes) -> None:
        self._keys, self._nodes = keys, nodes
        #: Those that are away, and until when each counts.
        self._away = dict.fromkeys(keys.holders, nodes.born + HELD)

    def come(self, node_id: str) -> bool:
        """A node is here. Whether the file says so; else it has to before the node gets a call."""
        is_known = node_id in self._keys.holders and self._keys.is_noted(node_id)
        self._keys.holders.add(node_id)
        return is_known

    def left(self, node_id: str, now: float) -> None:
        """A node has gone, perhaps with calls."""
        node = self._nodes.get(node_id)
        self._away[node_id] = now + (HELD if node is not None and node.calls else EMPTY)

    def look(self, now: float) -> None:
        """Drop the nodes that hold nothing any more of which somebody may ask."""
        for node_id in [each for each, until in self._away.items() if until <= now]:
            node = self._nodes.get(node_id)
            if node is not None and any(map(is_detached, node.calls.values())):
                continue  # it is still waited for
            del self._away[node_id]
            if node is None or node.link is None:
                self._keys.holders.discard(node_id)
