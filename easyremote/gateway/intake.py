"""What clients send: new calls, outcomes that arrived, cancels. Pure.

``tests/gateway/test_calls.py`` proves it.
"""

from __future__ import annotations

from collections.abc import Callable

from easyremote.errors import Busy, CallLost, EasyRemoteError, NotAuthorized, UsageError
from easyremote.gateway.dispatch import Dispatcher
from easyremote.gateway.notify.notices import Notices
from easyremote.gateway.permissions import Action, may, may_lend, not_yours
from easyremote.gateway.records import LOST_AFTER, ClientLink, GatewayCall
from easyremote.gateway.recovery import NEVER_BACK, Recovery
from easyremote.gateway.returns import patience
from easyremote.gateway.table import CallTable, failed
from easyremote.options.retries import FAIL
from easyremote.protocol.builtins import RULES, is_builtin
from easyremote.protocol.call import TERMINAL, CallEvent, CallState
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    Cancel,
    Delivered,
    HandBack,
    Seen,
    Submit,
)

#: Characters that are kept of a call's origin.
ORIGIN_LIMIT = 200


class Intake:
    """Accepts calls of clients."""

    def __init__(
        self,
        table: CallTable,
        dispatcher: Dispatcher,
        recovery: Recovery,
        notices: Notices,
        *,
        max_payload: int,
    ) -> None:
        self._table, self._dispatcher, self._recovery = table, dispatcher, recovery
        self._nodes, self._notices = table.nodes, notices
        self._max_payload = max_payload
        #: The gateway stops: it accepts no more calls.
        self.is_leaving = False
        #: Takes detached calls; see ``durable/``.
        self.detach: Callable[[ClientLink, Submit, float], None] = self._no_detached_calls

    def client_left(self, client: ClientLink, now: float) -> None:
        """The connection is gone: start the hold timers of the client's calls."""
        calls = list(client.calls.values())
        awaiting = {call.node for call in calls if call.node and call in call.node.arriving}
        self._table.for_each(calls, lambda call: self._unbind(call, now), now)
        client.calls.clear()
        for node in awaiting:
            self._dispatcher.fill(node, now)  # there is room for the arguments of others

    def _unbind(self, call: GatewayCall, now: float) -> None:
        call.unbind(now)
        if call.arguments is not None and not call.arguments.is_complete:
            # The rest of its arguments was lost with the connection: it can't start.
            self._table.forget(call, remember=False)
        else:
            self._table.arm(call)

    def leave(self, now: float) -> None:
        """The gateway stops: hand the calls that wait back to their clients."""
        self.is_leaving = True
        waiting = [call for call in self._table.by_id.values() if call.state is CallState.QUEUED]
        self._table.for_each(waiting, self._give_back, now)

    def _give_back(self, call: GatewayCall) -> None:
        client, number = call.client, call.client_number
        if client is not None:
            self._table.forget(call, remember=False)
            client.link.send(HandBack((number,)))

    def key_is_over(self, key_id: str, now: float) -> None:
        """Refuse the calls of a key that wait; what may have run waits for its node."""
        waiting = self._table.queues.waiting.of(key_id)
        queued = [call for call in waiting if call.state is CallState.QUEUED]
        self._table.for_each(queued, lambda call: self._key_is_over(call, now), now)

    def _key_is_over(self, call: GatewayCall, now: float) -> None:
        error = NotAuthorized(
            f"The key {call.owner} was revoked, or has expired, while {call.title} waited: it did "
            "not run. Ask for a new key: easyremote key create"
        )
        self._table.end(call, CallEvent.REJECTED, error, now=now)

    # -- messages ----------------------------------------------------------------------------------

    def seen(self, client: ClientLink, message: Seen, now: float) -> None:
        """The client has consumed events of a call."""
        call = client.calls.get(message.call)
        if call is not None and call.node is not None and call.node.link is not None:
            call.node.link.send(Seen(call.number, message.seq))

    def cancel(self, client: ClientLink, message: Cancel, now: float) -> None:
        """The client wants the end of a call."""
        call = client.calls.get(message.call)
        if call is not None:
            self._dispatcher.cancel(call, kill=message.kill, now=now)

    def submit(self, client: ClientLink, message: Submit, now: float) -> None:
        """A new call, or one that is sent again."""
        if message.call in client.calls:
            client.check_number(message.call, message.call_id)
        call = self._table.by_id.get(message.call_id)
        if self.is_leaving:
            client.link.drop(message.payload)
            client.link.send(HandBack((message.call,)))
        elif message.keep is not None:
            self.detach(client, message, now)
        elif call is not None:
            self._submitted_again(call, client, message)
        elif message.call_id in self._table.tombstones:
            over = CallLost("This call is over, and its outcome was delivered.")
            self._turn_away(client, message, over)
        elif client.is_full:
            text = (
                f"This client has {len(client.calls)} calls at the gateway, and that is the most. "
                "Wait until some of them are over."
            )
            self._turn_away(client, message, Busy(text, may_have_run=bool(message.age)))
        else:
            self._take_on(client, message, now)

    def _take_on(self, client: ClientLink, message: Submit, now: float) -> None:
        # The age was fixed when SUBMIT was sent, perhaps long ago: count from the RESUME.
        sent = (client.resumed or now) - message.age if message.age else now
        if message.age and self._recovery.is_nowhere(message.node, sent):
            message.age = 0.0
        arguments = client.link.relay(message.payload)  # first, because it can raise
        target = (message.node, message.function, client.access)
        state = CallState.EXPECTED if message.age else CallState.QUEUED
        call = self._table.add(message.call_id, client.principal.key_id, target, state, now)
        call.submit, call.arguments, call.sent = message, arguments, sent
        call.hold = message.hold
        call.session, call.origin = message.session, message.origin[:ORIGIN_LIMIT]
        call.notify = message.notify
        call.balancing, call.needs = message.balancing, message.needs
        if message.priority:
            call.priority = message.priority
        if client.principal.weight != 1.0:
            self._table.queues.weights[call.owner] = client.principal.weight
        call.on_node_loss = message.on_node_loss
        call.bind(client, message.call)
        error = self._refusal(call, client, message, now)
        if error is not None:
            if message.age:  # it may be running on a node that is away
                self._table.give_up(call, NEVER_BACK, now=now)
            else:
                self._table.end(call, CallEvent.REJECTED, error, now=now)
            return
        if message.timeout:
            call.deadline = now + message.timeout
        if message.queue_timeout:
            call.queue_deadline = now + message.queue_timeout
        # A call that was sent before waits for what its node says: it may be running there.
        node = None if message.age else self._table.queues.place(call, now)
        if node is not None:
            self._dispatcher.dispatch(call, node, now)
        else:
            self._wait(call, message, now)

    def refusal(self, client: ClientLink, message: Submit, now: float) -> EasyRemoteError | None:
        """Why a call that is not in the table can't be accepted; None if it can."""
        key_id, target = client.principal.key_id, (message.node, message.function, client.access)
        call = GatewayCall(0, message.call_id, key_id, target, is_code=is_builtin(message.function))
        call.needs, call.priority = message.needs, message.priority
        return self._refusal(call, client, message, now)

    def _no_detached_calls(self, client: ClientLink, message: Submit, now: float) -> None:
        no_disk = UsageError("This gateway takes no detached calls. Call it plainly.")
        self._turn_away(client, message, no_disk)

    def _submitted_again(self, call: GatewayCall, client: ClientLink, message: Submit) -> None:
        if not call.owner:  # adopted from a node
            target = (message.node, message.function, client.access)
            call.belongs_to(client.principal.key_id, target)
            call.hold, call.session = message.hold, message.session
            call.origin = message.origin[:ORIGIN_LIMIT]
            call.on_node_loss, call.notify = message.on_node_loss, message.notify
        if may(client.principal, Action.CLAIM, call):
            client.link.drop(message.payload)
            call.bind(client, message.call)
            call.say_again()
        else:
            taken = UsageError("This call id is taken. Make a new one: 16 random bytes.")
            self._turn_away(client, message, taken)

    @staticmethod
    def _turn_away(client: ClientLink, message: Submit, error: EasyRemoteError) -> None:
        """Answer a call that is refused; nothing of it is kept."""
        client.link.drop(message.payload)
        client.link.send(failed(message.call, error, may_have_run=error.may_have_run))

    def _not_allowed(
        self, call: GatewayCall, client: ClientLink, message: Submit
    ) -> EasyRemoteError | None:
        """Why its caller may not make a call; None if he may."""
        if not may(client.principal, Action.START, call):
            if call.priority > 0:
                return NotAuthorized(
                    f"The key {client.principal.key_id} may not give {call.title} the priority "
                    f"{call.priority}: any key may give 0 and less. Ask the gateway's owner for a "
                    "key that may: easyremote key create --may-prioritise"
                )
            return NotAuthorized(
                f"The key {client.principal.key_id} may not run {call.title}. Ask for a key that "
                "may: easyremote key create"
            )
        if message.function == RULES:  # for the node's owner, so that the node has to be known
            node = self._nodes.get(message.node)
            if node is None:
                return self._nodes.no_such_node(message.node)
            if not may_lend(client.principal, node):
                return not_yours(client.principal, node)
        return None

    def _refusal(
        self, call: GatewayCall, client: ClientLink, message: Submit, now: float
    ) -> EasyRemoteError | None:
        """Why a call can't be accepted; None if it can."""
        not_allowed = self._not_allowed(call, client, message)
        if not_allowed is not None:
            return not_allowed
        if message.payload.size > self._max_payload:
            return UsageError(
                f"The arguments of {call.title} are {message.payload.size / 1e9:.1f} GB; "
                f"this gateway carries at most {self._max_payload / 1e9:.1f} GB in one call. Keep "
                "the data on the node (in a session, or a file there), or send it in parts."
            )
        named = self._nodes.get(message.node)
        if message.notify and not message.age:
            refused = self._notices.refusal(message.notify)
            if refused is not None:
                call.notify = ""
                return refused
        if message.age and self._recovery.is_new(now):
            return None  # it may run on a node that is on its way back to us
        if message.on_node_loss == FAIL and named is not None and named.link is None:
            return self._nodes.offline(named, now)
        error = self._nodes.refusal(call.target, now)
        return error if error or call.needs is None else self._nodes.never(call, call.needs, now)

    def _wait(self, call: GatewayCall, message: Submit, now: float) -> None:
        if message.age:
            # It may run on a node that will come back and claim it.
            call.suspect_until = now + (patience(call) if message.node else LOST_AFTER)
        if message.node or not message.age:  # else any node may be running it
            self._table.queues.enqueue(call)
        self._table.arm(call)
        if message.age and not message.node:
            self._recovery.settle_unnamed(call, now)
        node = self._nodes.get(message.node)
        if node is not None and node.has_resumed:
            # The node has resumed already: nothing that it says later would settle this call.
            self._dispatcher.fill(node, now)

    def delivered(self, client: ClientLink, message: Delivered, now: float) -> None:
        """The client has these outcomes: forget the calls, and have their nodes forget them."""
        numbers: dict[Link, list[int]] = {}
        for number in message.calls:
            call = client.calls.get(number)
            if call is None or not (call.is_over or call.state is CallState.SUSPECT):
                continue
            try:
                if call.state not in TERMINAL:
                    self._table.advance(call, CallEvent.DELIVERED, now)
                if call.node is not None and call.node.link is not None:
                    numbers.setdefault(call.node.link, []).append(call.number)
                self._table.forget(call)
            except Exception:
                self._table.broke(call, now)
        for link, delivered in numbers.items():
            link.send(Delivered(tuple(delivered)))
