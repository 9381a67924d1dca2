"""The calls that a node passes on to its processes, and what the processes say back. Pure.

A process holds the call as well (its `Callee`), with the events and the outcome that nobody has
seen yet. So nothing is kept here that can be asked for again: what a process says while a call has
no number on the link to the gateway is dropped, and after RESUMED the process says it once more.
Which process a call goes to, and when, is decided by a `Keeper`.
``tests/node/processes/test_relay.py`` and ``tests/protocol/test_machine.py`` prove it.
"""

from __future__ import annotations

from typing import Protocol

from easyremote.node.processes.process import Process, RelayedCall
from easyremote.protocol.call import CallEvent, advance
from easyremote.protocol.held import HeldCalls, Outcome
from easyremote.protocol.messages import (
    Attach,
    Delivered,
    Dispatch,
    Event,
    Finished,
    Message,
    Seen,
    Started,
)
from easyremote.protocol.streams import Buffer


class Keeper(Protocol):
    """What decides which process has a call. All methods are called on the node's loop."""

    def place(self, call: RelayedCall) -> None:
        """Give a call to a process, or let it wait: its arguments are whole."""

    def stop(self, call: RelayedCall, *, kill: bool) -> None:
        """Stop a call that has no outcome yet."""

    def left(self, call: RelayedCall) -> None:
        """A call waits and runs no more; its process is free for the next one."""


class RelayedCalls(HeldCalls[RelayedCall]):
    """All calls that a node passes on."""

    def __init__(self, keeper: Keeper) -> None:
        super().__init__(RelayedCall)
        self._keeper = keeper
        self._last = 0

    # -- to a process ------------------------------------------------------------------------------

    def pass_to(self, process: Process, call: RelayedCall) -> None:
        """Send a call to a process; it runs there as soon as it is whole there."""
        self._last += 1
        call.state = advance(call.state, CallEvent.STARTED)
        call.process, call.inner = process, self._last
        process.calls[call.inner] = call
        arguments, call.arguments = call.arguments, b""  # the process has them now
        payload = process.link.offer((arguments,), len(arguments), call.encoding)
        process.link.send(
            Dispatch(
                call.inner, call.call_id, 0, call.function, payload, call.session, 0.0, call.owner
            )
        )

    def finish(self, held: RelayedCall, outcome: Outcome) -> None:
        """End a call with an outcome of the node's own. A second outcome is dropped."""
        super().finish(held, outcome)
        held.arguments = b""
        if held.process is None or not held.inner:
            self._keeper.left(held)

    def lost(self, process: Process, call: RelayedCall, outcome: Outcome) -> None:
        """A process has ended and took this call, or its outcome, with it."""
        process.calls.pop(call.inner, None)
        call.process = None
        if call.is_finished and call.outcome is None:
            # A client that has the whole value drops this; a client that has a part of it needs it.
            call.outcome, call.last_event = outcome, 0
            self._send_outcome(call, outcome)
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

    def _finished(self, process: Process, call: RelayedCall, message: Finished) -> None:
        is_news = not call.is_finished
        call.is_done = True
        if is_news:
            call.state = advance(call.state, CallEvent.FINISHED)
            call.last_event = message.events
            if call.stopping is not None and message.code:
                # The process reports an interrupt; its caller is told why it was interrupted.
                call.outcome = call.stopping
        link = self.link_for(call)
        if call.outcome is None and link is not None:
            payload = process.link.pass_on(message.payload, link)
            link.send(
                Finished(
                    call.call,
                    payload,
                    message.code,
                    message.may_have_run,
                    message.seconds,
                    call.fence,
                    call.last_event,
                )
            )
        else:
            process.link.drop(message.payload)
            if is_news and call.outcome is not None:
                self._send_outcome(call, call.outcome)
        if self._by_id.get(call.call_id) is not call:  # nobody wants it any more
            self._released(call)
        self._keeper.left(call)

    # -- what the gateway says ---------------------------------------------------------------------

    def _start(self, held: RelayedCall, encoding: str, arguments: Buffer) -> None:
        held.encoding, held.arguments = encoding, arguments
        self._keeper.place(held)

    def _stop(self, held: RelayedCall, *, kill: bool) -> None:
        self._keeper.stop(held, kill=kill)

    def _seen(self, held: RelayedCall, seq: int) -> None:
        if held.process is not None and held.inner:
            held.process.link.send(Seen(held.inner, seq))

    def _say_again(self, held: RelayedCall) -> None:
        if held.outcome is not None:
            self._send_outcome(held, held.outcome)
        elif held.process is not None and held.inner:
            held.process.link.send(Attach(held.inner))

    def _released(self, held: RelayedCall) -> None:
        # A process that still runs the call stays busy until it says FINISHED.
        if held.process is not None and held.is_done:
            held.process.link.send(Delivered((held.inner,)))
            held.process.calls.pop(held.inner, None)
