"""The calls that a node passes on to its processes, and what the processes say back. Pure.

A process holds the call as well (its `Callee`), with the events and the outcome that nobody has
seen yet. So nothing is kept here that can be asked for again: what a process says while a call has
no number on the link to the gateway is dropped, and after RESUMED the process says it once more.
Which process a call goes to, and when, is decided by a `Keeper`.
``tests/node/processes/test_relay.py`` and ``tests/protocol/test_machine.py`` prove it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Protocol

import msgspec

from easyremote.node.processes.process import Process, RelayedCall
from easyremote.protocol.builtins import BUILTINS, FILES, Answerer
from easyremote.protocol.call import NO_SPOOL, CallEvent, CallState, Spool, advance
from easyremote.protocol.held import HeldCalls, Outcome, failure
from easyremote.protocol.link import Link
from easyremote.protocol.messages import (
    INLINE_LIMIT,
    Attach,
    Delivered,
    Dispatch,
    Event,
    Finished,
    HandBack,
    Message,
    Seen,
    Started,
    decode,
)
from easyremote.protocol.streams import Buffer, TooLarge

#: Calls of these wait for the calls of their session that came before them.
_IN_ORDER = {name for name, row in BUILTINS.items() if row.answered_by is Answerer.SESSION} - {
    FILES
}


class Keeper(Protocol):
    """What decides which process has a call. All methods are called on the node's loop."""

    def place(self, call: RelayedCall) -> None:
        """Give a call to a process, or let it wait: its arguments are whole."""

    def stop(self, call: RelayedCall, *, kill: bool) -> None:
        """Stop a call that has no outcome yet."""

    def left(self, call: RelayedCall) -> None:
        """A call waits and runs no more; its process is free for the next one."""

    def freed(self, process: Process) -> None:
        """A call came back from a process, or is over; the process may be free for the next one."""


class RelayedCalls(HeldCalls[RelayedCall]):
    """All calls that a node passes on."""

    def __init__(self, keeper: Keeper, spool: Spool = NO_SPOOL) -> None:
        super().__init__(RelayedCall, spool=spool)
        self._keeper = keeper
        #: By owner and session: the calls from the first whose arguments are not whole yet on.
        self._in_order: dict[tuple[str, str], deque[RelayedCall]] = {}

    # -- to a process ------------------------------------------------------------------------------

    def pass_to(self, process: Process, call: RelayedCall) -> None:
        """Send a call to a process; it runs there as soon as it is whole there."""
        self.send_ahead(process, call)
        self.begins(call)

    def send_ahead(self, process: Process, call: RelayedCall) -> None:
        """Send a call to a process that runs another one; it runs after that."""
        process.last += 1
        call.process, call.inner = process, process.last
        process.calls[call.inner] = call
        payload = process.link.offer((call.arguments,), len(call.arguments), call.encoding)
        process.link.send(
            Dispatch(
                *(call.inner, call.call_id, 0, call.function, payload, call.session, 0.0),
                owner=call.owner,
                trace=call.trace,
                needs=call.needs,
                gpus=call.gpus,
            )
        )

    def begins(self, call: RelayedCall) -> None:
        """A call that was sent is the one that its process runs now."""
        call.state = advance(call.state, CallEvent.STARTED)
        if len(call.arguments) > INLINE_LIMIT:
            call.arguments = b""  # the process has them; small ones may have to be sent once more

    def take_back(self, call: RelayedCall) -> bool:
        """Take a call that was sent ahead back; False where its process may have begun it."""
        process = call.process
        assert process is not None and process.ledger is not None, "it was sent to a live process"
        if call.is_finished or not process.ledger.withdraw(call.inner):
            return False
        process.withdrawn.add(call.inner)
        self._came_back(process, call)
        return True

    def _came_back(self, process: Process, call: RelayedCall) -> None:
        del process.calls[call.inner]
        process.queue.remove(call)
        call.process, call.inner = None, 0
        if call.state is CallState.RUNNING:
            call.state = advance(advance(call.state, CallEvent.HANDED_BACK), CallEvent.DISPATCHED)

    def finish(self, held: RelayedCall, outcome: Outcome) -> None:
        """End a call with an outcome of the node's own. A second outcome is dropped."""
        super().finish(held, outcome)
        held.arguments = b""
        if held.process is None or not held.inner:
            self._keeper.left(held)
        self._place_in_order(held)

    def lost(self, process: Process, call: RelayedCall, outcome: Outcome) -> None:
        """A process has ended and took this call, or its outcome, with it."""
        process.calls.pop(call.inner, None)
        call.process = None
        if call.is_finished:
            call.last_event = 0  # the events that were not seen went with it
        if call.is_finished and call.outcome is None:
            # A client that has the whole value drops this; a client that has a part of it needs it.
            self._keep(call, outcome)
        self.finish(call, outcome)

    # -- from a process ----------------------------------------------------------------------------

    def receive_from(self, process: Process, message: Message) -> None:
        """Handle a message of a process."""
        call = process.calls.get(getattr(message, "call", 0))
        match message:
            case Started() if call is not None:
                link = self.link_for(call)
                if link is not None:
                    link.send(Started(call.call))
            case Event():
                link = self.link_for(call) if call is not None and call.outcome is None else None
                if call is None or link is None:
                    process.link.drop(message.payload)
                else:
                    payload = process.link.pass_on(message.payload, link)
                    link.send(Event(call.call, message.seq, payload))
            case Finished() if call is not None:
                self._finished(process, call, message)
            case Finished():
                process.link.drop(message.payload)
                process.link.send(Delivered((message.call,)))
            case HandBack():
                for number in message.calls:
                    self._did_not_run(process, number)

    def _did_not_run(self, process: Process, number: int) -> None:
        """A process has come upon a call that was taken back from it."""
        if number in process.withdrawn:
            process.withdrawn.remove(number)
            self._keeper.freed(process)
        elif (call := process.calls.get(number)) is not None:
            self._handed_back(process, call)  # it was to begin in the moment when it was taken back

    def _handed_back(self, process: Process, call: RelayedCall) -> None:
        if call.is_finished:  # by an outcome of the node's own
            call.is_done = True
            self._keeper.left(call)
            return
        self._came_back(process, call)
        self._keeper.freed(process)
        if call.stopping is not None:
            self.finish(call, call.stopping)
        else:
            self._keeper.place(call)

    def _finished(self, process: Process, call: RelayedCall, message: Finished) -> None:
        is_news = not call.is_finished
        call.is_done, call.seconds = True, message.seconds
        call.arguments = b""
        if is_news:
            call.state = advance(call.state, CallEvent.FINISHED)
            call.last_event = message.events
            if call.stopping is not None and message.code:
                # The process reports an interrupt; its caller is told why it was interrupted.
                call.outcome = call.stopping
        if call.is_durable and call.outcome is None:
            self._collect(process, call, message)
        else:
            self._pass_on(process, call, message, is_news=is_news)
        if self._by_id.get(call.call_id) is not call:  # nobody wants it any more
            self._released([call])
        self._keeper.left(call)

    def _pass_on(
        self, process: Process, call: RelayedCall, message: Finished, *, is_news: bool
    ) -> None:
        """Pass an outcome on, or say the node's own instead of it."""
        link = self.link_for(call)
        if call.outcome is None and link is not None:
            payload = process.link.pass_on(message.payload, link)
            how = message.code, message.may_have_run, message.seconds
            link.send(Finished(call.call, payload, *how, call.fence, call.last_event))
        else:
            process.link.drop(message.payload)
            if is_news and call.outcome is not None:
                self._keep(call, call.outcome)

    def _collect(self, process: Process, call: RelayedCall, message: Finished) -> None:
        """Take the whole outcome of a durable call: it is said when it is on the disk."""

        def came(body: Buffer) -> None:
            if call.outcome is None:
                how = message.code, message.may_have_run, message.seconds
                self._keep(call, Outcome((body,), len(body), message.payload.encoding, *how))

        try:
            # If the process dies meanwhile, `lost` says how the call ended.
            process.link.collect(message.payload, came, lambda: None)
        except TooLarge as error:
            self._keep(call, failure("cannot-return", f"What it returned can't be kept: {error}."))

    def hear_last(self, process: Process) -> None:
        """Take the outcomes that a process which has died had no time to send."""
        if process.ledger is None:
            return
        for number, call in list(process.calls.items()):
            written = process.ledger.outcome(number)
            if not written or not call.is_function or call.is_done:
                continue
            try:
                message = decode(written)
            except msgspec.DecodeError:  # the user's code wrote into our memory
                continue
            if isinstance(message, Finished) and not message.payload.stream:
                self._finished(process, call, message)

    # -- what the gateway says ---------------------------------------------------------------------

    def attach(self, link: Link) -> list[RelayedCall]:
        """As of `HeldCalls`; calls that waited behind lost arguments have their turn."""
        named = super().attach(link)
        for queue in list(self._in_order.values()):
            self._place_in_order(queue[0])
        return named

    def _dispatch(self, message: Dispatch) -> None:
        super()._dispatch(message)
        held = self._by_id.get(message.call_id)
        if held is not None and not held.has_arguments and held.function in _IN_ORDER:
            queue = self._in_order.setdefault((held.owner, held.session), deque())
            if held not in queue:
                queue.append(held)

    def _start(self, held: RelayedCall, encoding: str, arguments: Buffer) -> None:
        held.encoding, held.arguments = encoding, arguments
        queue = self._in_order.get((held.owner, held.session))
        if queue is None or held.function not in _IN_ORDER:
            self._keeper.place(held)
            return
        # The cells of a session run in the order in which they were sent, whatever they carry.
        if held not in queue:
            queue.append(held)
        self._place_in_order(held)

    def _place_in_order(self, held: RelayedCall) -> None:
        """Place the calls of a session up to the first whose arguments are not whole yet."""
        queue = self._in_order.get((held.owner, held.session))
        while queue:
            first = queue[0]
            is_here = self._by_id.get(first.call_id) is first and not first.is_finished
            if is_here and not first.has_arguments:
                return
            queue.popleft()
            if is_here:
                self._keeper.place(first)
        self._in_order.pop((held.owner, held.session), None)

    def _drop(self, held: RelayedCall) -> None:
        super()._drop(held)
        self._place_in_order(held)

    def _stop(self, held: RelayedCall, *, kill: bool) -> None:
        self._keeper.stop(held, kill=kill)

    def _seen(self, held: RelayedCall, seq: int) -> None:
        if held.process is not None and held.inner:
            held.process.link.send(Seen(held.inner, seq))

    def _say_again(self, held: RelayedCall) -> None:
        if held.process is not None and held.inner and (held.outcome is None or held.is_durable):
            held.process.link.send(Attach(held.inner))  # it has the events, too
        if held.outcome is not None:
            self._send_outcome(held, held.outcome)

    def _released(self, calls: Sequence[RelayedCall]) -> None:
        confirmed: dict[Process, list[int]] = {}
        for held in calls:
            # A process that still runs the call stays busy until it says FINISHED.
            if held.process is not None and held.is_done:
                held.process.calls.pop(held.inner, None)
                confirmed.setdefault(held.process, []).append(held.inner)
        for process, numbers in confirmed.items():
            process.link.send(Delivered(tuple(numbers)))
            if process.is_retired:
                self._keeper.freed(process)
