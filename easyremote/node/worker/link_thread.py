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

from easyremote.errors import ProtocolError
from easyremote.node.worker.file_calls import FILE_CALLS, FileCalls
from easyremote.node.worker.main_thread import MainThread
from easyremote.node.worker.showing import Showing, Work
from easyremote.protocol.builtins import BUILTINS, INPUT, OUTPUT, open_request
from easyremote.protocol.callee import Callee, LocalCall
from easyremote.protocol.held import failure, plain_outcome
from easyremote.protocol.link import Link
from easyremote.protocol.messages import Message
from easyremote.protocol.streams import Buffer
from easyremote.transport.connection import Connection
from easyremote.transport.loop import new_event_loop
from easyremote.transport.pipe import PipeChannel

__all__ = ["LinkThread"]

#: Seconds after which a call that has not ended is said to have started: most have ended by then,
#: and a message of its own for that would wake every process on the way.
STARTED_AFTER = 0.005


class LinkThread:
    """Talks to the supervisor; ``main`` is what runs calls."""

    def __init__(self) -> None:
        self._loop = new_event_loop()
        self._callee = Callee(self)
        self._showing = Showing(self._callee, self._loop)
        on_link = self._loop.call_soon_threadsafe
        self.main = MainThread(self._callee, self._showing, on_link)
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
            work = Work(held, arguments)
            self._loop.call_later(STARTED_AFTER, self._showing.begin, work)
            self.main.submit(work)

    def cancel(self, held: LocalCall, *, kill: bool) -> None:
        """Nobody follows any more; what runs is interrupted by signals."""
        self._showing.stop_following(held)

    def window_opened(self, held: LocalCall) -> None:
        self.main.room.set()
        self._showing.window_opened(held)
