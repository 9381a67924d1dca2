"""The link's thread of a process: serves the link to the supervisor, and what must not wait.

A call goes to the main thread; a question about what runs (its output once more, the answer to what
it asks) is answered here at once; a call about files goes to a thread of its own
(``file_calls.py``). ``tests/node/worker/test_link_thread.py`` proves it.
"""

from __future__ import annotations

import os
import socket
import sys
import time
import traceback
from collections import deque

from easyremote.errors import ProtocolError
from easyremote.node.ledger import Ledger
from easyremote.node.worker.file_calls import FILE_CALLS, FileCalls
from easyremote.node.worker.main_thread import Ended, MainThread
from easyremote.node.worker.showing import Showing, Work
from easyremote.protocol.builtins import BUILTINS, INPUT, OUTPUT, is_builtin, open_request
from easyremote.protocol.callee import Callee, LocalCall
from easyremote.protocol.held import Outcome, failure, plain_outcome
from easyremote.protocol.link import Link
from easyremote.protocol.messages import Message
from easyremote.protocol.streams import Buffer
from easyremote.transport.connection import Connection, turn
from easyremote.transport.loop import new_event_loop
from easyremote.transport.pipe import PipeChannel

__all__ = ["LinkThread"]

#: Seconds after which a call that has not ended is said to have started: most have ended by then,
#: and a message of its own for that would wake every process on the way.
STARTED_AFTER = 0.005


class LinkThread:
    """Talks to the supervisor; ``main`` is what runs calls.

    Parameters
    ----------
    ledger
        Where functions are noted that begin and end.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._loop = new_event_loop()
        self._callee = Callee(self)
        self._showing = Showing(self._callee, self._loop)
        on_link = self._loop.call_soon_threadsafe
        self.main = MainThread(self._callee, self._showing, ledger, on_link, self._post)
        #: How many calls the main thread has; whether somebody looks, soon, what has run for long.
        self._open = 0
        self._is_watching = False
        #: What the main thread has ended; one wake-up of the loop serves all of it.
        self._over: deque[Ended] = deque()
        self._is_scheduled = False
        self._files = FileCalls(lambda held, outcome: on_link(self._callee.finish, held, outcome))

    def serve(self, sock: socket.socket) -> None:
        """Serve the link until the supervisor is gone."""
        try:
            self._loop.run_until_complete(self._serve(sock))
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
            raise
        finally:
            # Nobody is there to hear of anything; user code may never end by itself.
            os._exit(0)

    async def _serve(self, sock: socket.socket) -> None:
        link = Link(time.monotonic())
        link.open(time.monotonic())
        self._callee.attach(link)
        channel = await PipeChannel.open(sock)
        await Connection(link, channel, self.receive).run()

    def receive(self, message: Message, now: float) -> None:
        """Handle a message of the supervisor; an exception ends the call that it is about."""
        try:
            self._callee.receive(message)
        except Exception as error:  # a mistake of ours
            traceback.print_exc(file=sys.__stderr__)
            text = f"Its process can't handle a {type(message).__name__}: {error!r}."
            self._callee.fail(message, text)

    # -- what the callee asks ----------------------------------------------------------------------

    def start(self, held: LocalCall, encoding: str, arguments: Buffer) -> None:
        try:
            self._start(held, encoding, arguments)
        except ProtocolError:
            raise  # the arguments can't be read: the callee ends the call
        except Exception as error:  # a mistake of ours
            traceback.print_exc(file=sys.__stderr__)
            text = f"Its process can't start {held.function}(): {error!r}."
            self._callee.finish(held, failure("internal", text))

    def _start(self, held: LocalCall, encoding: str, arguments: Buffer) -> None:
        if self.main.functions is not None and not is_builtin(held.function):
            self._submit(Work(held, arguments, encoding))
            return
        builtin = BUILTINS.get(held.function)
        if builtin is None or encoding != builtin.encoding:
            text = f"A process runs no {held.function[:80]!r} with arguments in {encoding[:80]!r}."
            self._callee.finish(held, failure("protocol", text, may_have_run=False))
        elif held.function == OUTPUT:
            self._showing.replay(held, open_request(OUTPUT, arguments))
        elif held.function == INPUT:
            answered = self.main.answer(open_request(INPUT, arguments))
            self._callee.finish(held, plain_outcome(answered))
        elif held.function in FILE_CALLS:
            self._files.submit(held, arguments)
        else:
            self._submit(Work(held, arguments, encoding))

    def _submit(self, work: Work) -> None:
        self._open += 1
        self._watch()
        self.main.submit(work)

    # -- what the main thread says -----------------------------------------------------------------

    def _post(self, ended: Ended) -> None:
        """Take the end of a call; on the main thread."""
        self._over.append(ended)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self._is_scheduled = False
        told = []
        try:
            with turn:
                while self._over:
                    work, outcome, then = self._over.popleft()
                    told.append(then)
                    if not work.is_over:  # else an interrupt came while the main thread told of it
                        work.is_over = True
                        self._open -= 1
                        self._end(work, outcome)
        finally:
            # The outcomes have left, or the writer's turn comes before that of these. So an outcome
            # has left when the next call begins, which may end this process at once.
            for then in told:
                self._loop.call_soon(then)

    def _end(self, work: Work, outcome: Outcome | None) -> None:
        try:
            if outcome is None:
                if self._callee.not_run(work.held, work.number):
                    self._submit(Work(work.held, work.arguments, work.encoding))
            else:
                self._showing.end(work, outcome)
        except Exception as error:  # a mistake of ours: its caller hears of it
            traceback.print_exc(file=sys.__stderr__)
            text = f"What {work.held.function}() showed can't be sent: {error!r}."
            self._callee.finish(work.held, failure("internal", text))

    def _watch(self) -> None:
        if not self._is_watching:
            self._is_watching = True
            self._loop.call_later(STARTED_AFTER, self._look)

    def _look(self) -> None:
        """Say of the call that runs that it has started, if it runs for long enough."""
        self._is_watching = False
        work = self.main.running
        if work is not None and time.monotonic() - work.began >= STARTED_AFTER:
            self._showing.begin(work)
        if self._open:
            self._watch()

    def cancel(self, held: LocalCall, *, kill: bool) -> None:
        """Nobody follows any more; what runs is interrupted by signals."""
        self._showing.stop_following(held)

    def window_opened(self, held: LocalCall) -> None:
        self.main.room.set()
        self._showing.window_opened(held)
