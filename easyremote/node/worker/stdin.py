"""``input`` and ``getpass`` in a session: the question is shown where the cell came from.

The question travels as an event of the cell, the answer as a ``$input`` call; the thread that asked
waits, and an interrupt ends its waiting. Where nobody can be asked, it fails at once and says why.
``tests/node/worker/test_stdin.py`` proves it.
"""

from __future__ import annotations

import builtins
import getpass
import itertools
import os
import queue
import sys
from collections.abc import Callable

from easyremote.events import InputRequest
from easyremote.protocol.requests import InputReply

__all__ = ["NOBODY", "Stdin"]

#: Why a cell can't ask, unless its sender says that it can.
NOBODY = "nobody is there to answer"
_HINT = "Ask in a cell of your own, and use the answer in this one."


class Stdin:
    """Takes over what a process asks its user.

    Parameters
    ----------
    emit
        Takes the question.
    """

    def __init__(self, emit: Callable[[InputRequest], None]) -> None:
        self._emit = emit
        self._numbers = itertools.count(1)
        self._waiting: dict[int, queue.SimpleQueue[InputReply]] = {}
        #: Why nobody can be asked; empty where somebody can.
        self.refusal = NOBODY

    def install(self) -> None:
        """Replace ``input``, ``getpass.getpass`` and ``sys.stdin``, for good."""
        builtins.input = self.input
        getpass.getpass = self.getpass
        sys.stdin = open(os.devnull)

    def input(self, prompt: object = "", /) -> str:
        return self._ask(str(prompt), is_secret=False)

    def getpass(self, prompt: str = "Password: ", stream: object = None, **how: object) -> str:
        return self._ask(str(prompt), is_secret=True)

    def answer(self, reply: InputReply) -> bool:
        """Give the answer to a question, or say why there is none; False if nobody waits for it.

        Called on any thread.
        """
        waiting = self._waiting.pop(reply.number, None)
        if waiting is not None:
            waiting.put(reply)
        return waiting is not None

    def _ask(self, prompt: str, *, is_secret: bool) -> str:
        if self.refusal:
            raise EOFError(f"A cell on a node can't ask for input: {self.refusal}. {_HINT}")
        number = next(self._numbers)
        waiting = self._waiting[number] = queue.SimpleQueue()
        try:
            self._emit(InputRequest(number, prompt, is_secret))
            reply = waiting.get()  # an interrupt of the cell ends it
        finally:
            self._waiting.pop(number, None)
        if reply.error:
            raise EOFError(f"A cell on a node can't ask for input: {reply.error}. {_HINT}")
        return reply.text
