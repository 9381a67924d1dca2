"""The call table: what the gateway knows of every call, and when something is due. Pure.

The gateway keeps a call's header, never its payload: what it can't place waits at the client, what
passes is relayed chunk by chunk. All states are those of ``protocol/call.py``; each that can last
has a timer here. A call enters by `CallTable.add` and leaves by `CallTable.forget`, which takes it
out of wherever it stands: its queue, its node, its client. Who does what with a call is
``intake.py``, ``returns.py`` and ``deadlines.py``. ``tests/gateway/test_table.py`` proves it.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterator

from easyremote.errors import CallLost, EasyRemoteError, to_wire
from easyremote.gateway.nodes import Nodes
from easyremote.gateway.recent import Recent
from easyremote.gateway.records import GatewayCall, Target
from easyremote.gateway.scheduler import Scheduler
from easyremote.protocol.call import CallEvent, CallState
from easyremote.protocol.callee import TOMBSTONES
from easyremote.protocol.caller import pack_error
from easyremote.protocol.messages import Finished, HandBack, Payload

#: Timers of calls that are over may outnumber the calls by so many before they are swept out.
SPENT_TIMERS = 1000


class CallTable:
    """All calls of one gateway: by id, in their queues, by what is due next."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
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
        call.drop_arguments()
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
    body = pack_error(code, text, **{**details, "may_have_run": may_have_run})
    return Finished(number, Payload("msgpack", len(body), body), code, may_have_run)
