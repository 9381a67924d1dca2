"""The calls about files, in a process for shipped code: in a thread of their own, one by one.

So a file comes, and an output is fetched, while a cell runs, and neither keeps the link waiting.
``$send`` brings files into the owner's store, ``$files`` is about the session's folder. Requests
and answers are msgpack. ``tests/client/test_files.py`` proves it with real processes.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from easyremote.node.outcomes import error_outcome
from easyremote.node.worker import workplace
from easyremote.node.worker.file_store import FileStore
from easyremote.protocol.builtins import FILES, SEND
from easyremote.protocol.callee import LocalCall
from easyremote.protocol.held import Outcome, plain_outcome
from easyremote.protocol.streams import Buffer
from easyremote.serialize.files import Content

__all__ = ["FILE_CALLS", "FileCalls"]

FILE_CALLS = (SEND, FILES)


class FileCalls:
    """See the module.

    Parameters
    ----------
    finish
        Takes the outcome of a call; called from the thread.
    """

    def __init__(self, finish: Callable[[LocalCall, Outcome], object]) -> None:
        self._finish = finish
        self._queue: queue.SimpleQueue[tuple[LocalCall, Buffer]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, held: LocalCall, arguments: Buffer) -> None:
        """Serve a call, after those that came before."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="files", daemon=True)
            self._thread.start()
        self._queue.put((held, arguments))

    def _work(self) -> None:
        while True:
            held, arguments = self._queue.get()
            try:
                operation, *args = msgspec.msgpack.decode(arguments)
                serve = _sending(held.owner) if held.function == SEND else _OF_A_SESSION
                outcome = plain_outcome(serve[operation](*args))
            except Exception as error:  # it goes to who asked
                outcome = error_outcome(error)
            del arguments  # it is large
            self._finish(held, outcome)


def _sending(owner: str) -> dict[str, Callable[..., Any]]:
    store = FileStore(owner)
    return {
        "have": lambda contents: store.have([Content(*each) for each in contents]),
        "write": lambda digest, size, *piece: store.write(Content(digest, size), *piece),
    }


_OF_A_SESSION: dict[str, Callable[..., Any]] = {
    "list": workplace.listing,
    "describe": workplace.describe,
    "read": workplace.read,
}
