"""The call table: what the gateway knows of every call, and when something is due. Pure.

The gateway keeps a call's header, never its payload: what it can't place waits at the client, what
passes is relayed chunk by chunk. All states are those of ``protocol/call.py``; each that can last
has a timer here. A call enters by `CallTable.add`, changes by `CallTable.advance`, and leaves by
`CallTable.forget`, which takes it out of wherever it stands: its queue, its node, its client. Who
does what with a call is ``intake.py``, ``returns.py`` and ``deadlines.py``.
``tests/gateway/test_table.py`` proves it.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Iterable, Iterator

from easyremote.errors import CallCancelled, CallLost, EasyRemoteError, InternalError, to_wire
from easyremote.gateway.callers import Target
from easyremote.gateway.nodes import Nodes
from easyremote.gateway.records import GatewayCall
from easyremote.gateway.scheduling.scheduler import Scheduler
from easyremote.logs import about
from easyremote.protocol.builtins import is_builtin
from easyremote.protocol.call import TERMINAL, TRANSITIONS, WAITING, CallEvent, CallState
from easyremote.protocol.failures import pack_error
from easyremote.protocol.messages import Finished, HandBack, Payload
from easyremote.protocol.tombstones import Tombstones

_log = logging.getLogger("easyremote.gateway")

#: How many timers of calls that are over are kept before they are removed.
SPENT_TIMERS = 1000
#: The calls that were handed back keep their places in line; of so many at the most.
MOST_RETURNED = 100_000
#: How many events the story of a call holds; later ones are left out.
STORY = 20
#: Characters of an error's text; with names of 1,000 characters in its details it rides inline.
TEXT_LIMIT = 2000

#: Hears of an event right after it has changed a call.
Listener = Callable[[GatewayCall, CallEvent, float], None]


class CallTable:
    """All calls of one gateway: by id, in their queues, by what is due next."""

    def __init__(self, nodes: Nodes, *, first: int = 0) -> None:
        self.nodes = nodes
        self.queues = Scheduler(nodes)
        self.by_id: dict[bytes, GatewayCall] = {}
        #: Ids of calls that are over: a node that comes back late is told to forget these calls.
        self.tombstones = Tombstones()
        #: By id of a call that its client will send again: its place in the line of its key, and
        #: when it came.
        self._returned: dict[bytes, tuple[int, float]] = {}
        #: For each event that may happen in a state: the next state, and who hears of it.
        self._steps: dict[tuple[CallState, CallEvent], tuple[CallState, list[Listener]]] = {
            step: (state, []) for step, state in TRANSITIONS.items()
        }
        #: Numbers rise from ``first``. Each gateway starts elsewhere, so that a number of an
        #: earlier gateway never means a call of this one.
        self._last = first
        #: (moment, number, id). Ids and not calls, so that a timer keeps no call alive.
        self._timers: list[tuple[float, int, bytes]] = []

    def listen(self, listener: Listener, events: Iterable[CallEvent]) -> None:
        """Have ``listener`` called with every call to which one of these events happens."""
        heard = frozenset(events)
        for (_, event), (_, listeners) in self._steps.items():
            if event in heard:
                listeners.append(listener)

    def add(
        self, call_id: bytes, owner: str, target: Target, state: CallState, now: float
    ) -> GatewayCall:
        """Make a call with an id that is not in the table."""
        self._last += 1
        is_code = is_builtin(target[1])
        call = GatewayCall(self._last, call_id, owner, target, state, created=now, is_code=is_code)
        if self._returned and (place := self._returned.pop(call_id, None)) is not None:
            call.turn, call.created = place
        self.by_id[call_id] = call
        return call

    # -- changes -----------------------------------------------------------------------------------

    def advance(self, call: GatewayCall, event: CallEvent, now: float) -> None:
        """The one door by which a call changes its state."""
        step = self._steps.get((call.state, event))
        if step is None:
            raise InternalError(
                f"{call.title} is {call.state.value} and can't be {event.name}. "
                f"{self.story(call)} Please report this."
            )
        call.state, listeners = step
        story = call.story
        if len(story) < STORY:
            story.append((event, now))
        for tell in listeners:
            tell(call, event, now)

    def story(self, call: GatewayCall) -> str:
        """What happened to a call, for people who look for a mistake."""
        told = [f"{event.name} after {moment - call.created:.3f} s" for event, moment in call.story]
        return f"Its story: {', '.join(told) or 'nothing yet'}."

    def for_each(
        self, calls: Iterable[GatewayCall], step: Callable[[GatewayCall], None], now: float
    ) -> None:
        """Call ``step`` with each of these calls; an exception ends the call that it is about."""
        for call in calls:
            try:
                step(call)
            except Exception:
                self.broke(call, now)

    def broke(self, call: GatewayCall, now: float) -> None:
        """Log the exception that is being handled, and end the call that it is about."""
        _log.exception(
            "A mistake of the gateway ends %s (%s). %s",
            *(call.title, call.state.value, self.story(call)),
            extra=about(call=call.call_id),
        )
        error = InternalError(
            f"The gateway made a mistake with {call.title}, and ended it. {self.story(call)} "
            "Please report this, with the gateway's log."
        )
        try:
            if call.state in TERMINAL:
                self.forget(call)
            else:
                self.end(call, CallEvent.GIVEN_UP, error, now=now)
        except Exception:
            _log.exception("%s could not be ended in order", call.title)
            self.forget(call)
            if call.client is not None:
                call.client.link.send(failed(call.client_number, error, may_have_run=True))

    # -- endings -----------------------------------------------------------------------------------

    def end(
        self, call: GatewayCall, event: CallEvent, error: EasyRemoteError, *, now: float
    ) -> None:
        """End a call with an error of the gateway; it is kept until its client has it."""
        if call.state in WAITING:
            self.queues.remove(call)
        call.code, call.seconds = error.code, now - call.began if call.began else 0.0
        retry = call.retry
        self.advance(call, event, now)
        call.leave_node()
        call.drop_arguments()
        call.suspect_until = 0.0
        may_have_run = event is CallEvent.GIVEN_UP
        call.outcome = failed(call.client_number, error, may_have_run=may_have_run)
        call.outcome.retry = retry
        if call.client is not None:
            call.client.link.send(call.outcome)
        elif call.hold < 0:
            self.forget(call)  # it has no hold timer: it would be kept for ever
            return
        self.arm(call)

    def give_up(self, call: GatewayCall, why: str, *, now: float) -> None:
        """End a call of which nobody can know whether it ran."""
        text = (
            f"{why}: {call.title} may have run, and its result is lost. "
            "Call it again if that does no harm."
        )
        self.end(call, CallEvent.GIVEN_UP, CallLost(text), now=now)

    def hand_back(self, call: GatewayCall, now: float) -> None:
        """Give a call that did not start back to its client, which sends it again."""
        self.advance(call, CallEvent.HANDED_BACK, now)
        if call.node is not None:
            self.queues.came_back(call, call.node)
        client, number = call.client, call.client_number
        self.forget(call, remember=False)
        if client is not None:
            self._returned[call.call_id] = call.turn or call.number, call.created
            if len(self._returned) > MOST_RETURNED:
                del self._returned[next(iter(self._returned))]
            client.link.send(HandBack((number,)))

    def abandon(self, call: GatewayCall, now: float) -> None:
        """Remove a call that nobody waits for any more; one that is not over ends as cancelled."""
        if not call.is_over:
            if call.state in WAITING:
                self.queues.remove(call)
            call.code, call.seconds = CallCancelled.code, now - call.began if call.began else 0.0
            self.advance(call, CallEvent.GIVEN_UP, now)
        self.forget(call)

    def forget(self, call: GatewayCall, *, remember: bool = True) -> None:
        """Remove a call everywhere."""
        if call.state in WAITING:
            self.queues.remove(call)
        call.leave_node()
        call.drop_arguments()
        if call.client is not None:
            call.client.calls.pop(call.client_number, None)
        self.by_id.pop(call.call_id, None)
        if remember:
            self.tombstones.add(call.call_id)

    # -- time --------------------------------------------------------------------------------------

    def arm(self, call: GatewayCall) -> None:
        """Set the timer of a call; to be called after each change of its limits."""
        when = call.next_deadline()
        if when and when != call.timer:
            call.timer = when
            heapq.heappush(self._timers, (when, call.number, call.call_id))
            if len(self._timers) > 2 * len(self.by_id) + SPENT_TIMERS:
                self._sweep()

    def due(self, now: float) -> Iterator[GatewayCall]:
        """Yield the calls for which a limit has passed; set the timers of the others again."""
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
        """Remove the timers of calls that are over."""
        self._timers = [timer for timer in self._timers if self._is_set(timer)]
        heapq.heapify(self._timers)

    def _is_set(self, timer: tuple[float, int, bytes]) -> bool:
        when, number, call_id = timer
        call = self.by_id.get(call_id)
        return call is not None and call.number == number and call.timer == when

    # -- what always holds -------------------------------------------------------------------------

    def check_invariants(self) -> None:
        """Raise AssertionError where a call stands in one place and not in another.

        For tests: it looks at everything.
        """
        self.queues.check_invariants()
        self.nodes.check_invariants()
        timers = {(number, when) for when, number, _ in self._timers}
        targets = self.queues.targets()
        waiting = {id(call) for target in targets for call in self.queues.waiting.calls(target)}
        for call_id, call in self.by_id.items():
            assert call.call_id == call_id
            self._check_places(call, is_queued=id(call) in waiting)
            due = call.next_deadline()
            assert not due or (call.timer <= due and (call.number, call.timer) in timers), call
        known = {id(call) for call in self.by_id.values()}
        assert waiting <= known, "a call that is not there waits"
        for node in self.nodes:
            assert {id(call) for call in node.calls.values()} <= known, node.node_id

    @staticmethod
    def _check_places(call: GatewayCall, *, is_queued: bool) -> None:
        state, node, client = call.state, call.node, call.client
        on_node = state not in WAITING and state not in TERMINAL
        assert on_node == (node is not None), call
        assert node is None or node.calls[call.number] is call, call
        assert client is None or client.calls[call.client_number] is call, call
        assert not is_queued or (state in WAITING and call.submit is not None), call
        assert is_queued or state is not CallState.QUEUED, call
        assert call.submit is None or state in WAITING, call
        assert call.arguments is None or state not in TERMINAL, call
        assert bool(call.suspect_until) == (state in (CallState.SUSPECT, CallState.EXPECTED)), call
        assert (call.outcome is not None) == (state in TERMINAL), call
        is_arriving = node is not None and call in node.arriving
        assert not (call.occupies and is_arriving), call
        assert bool(call.arguments_by) == is_arriving, call


def failed(number: int, error: EasyRemoteError, *, may_have_run: bool) -> Finished:
    """An outcome that the gateway makes."""
    code, text, details = to_wire(error)
    body = pack_error(code, text[:TEXT_LIMIT], **{**details, "may_have_run": may_have_run})
    return Finished(number, Payload("msgpack", len(body), body), code, may_have_run)
