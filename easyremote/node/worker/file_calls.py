"""The calls about files, in a process for shipped code: in a thread of their own, one by one.

So a file comes, and an output is fetched, while a cell runs, and neither keeps the link waiting.
``$send`` brings files into the owner's store, ``$files`` is about the session's folder. Requests
and answers are msgpack. ``tests/client/test_files.py`` proves it with real processes.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from easyremote.node.outcomes import error_outcome
from easyremote.node.worker import workplace
from easyremote.node.worker.file_store import FileStore
from easyremote.protocol.builtins import FILES, SEND, open_request
from easyremote.protocol.callee import LocalCall
from easyremote.protocol.held import Outcome, plain_outcome
from easyremote.protocol.requests import (
    AskForFiles,
    DescribeFile,
    FileDescription,
    FileList,
    FilePiece,
    FilesAnswer,
    FilesRequest,
    FileStates,
    ListFiles,
    ReadPiece,
    SendRequest,
    WritePiece,
)
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
                request = open_request(held.function, arguments)
                outcome = plain_outcome(_answer(request, held.owner))
            except Exception as error:  # it goes to who asked
                outcome = error_outcome(error)
            del arguments  # it is large
            self._finish(held, outcome)


def _answer(request: SendRequest | FilesRequest, owner: str) -> FileStates | FilesAnswer:
    match request:
        case AskForFiles(contents):
            return FileStates(tuple(FileStore(owner).have([Content(*each) for each in contents])))
        case WritePiece(content, offset, data):
            return FileStates((FileStore(owner).write(Content(*content), offset, data),))
        case ListFiles():
            return FileList(workplace.listing())
        case DescribeFile(name):
            return FileDescription(workplace.describe(name))
        case ReadPiece(name, offset, size):
            return FilePiece(workplace.read(name, offset, size))
