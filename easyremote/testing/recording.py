"""`record` and `replay`: the answers of real calls, kept in a file and given again from it.

A recording is JSON. Each call has the name of its function, a digest of its arguments, and its
outcome as it came over the wire: values are pickles, which only this client opens.
``tests/testing/test_recording.py`` proves it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from easyremote.client.client import Client, connect, standing_in
from easyremote.client.connection import GatewayConnection, Line, Waiting
from easyremote.config import Settings
from easyremote.errors import UsageError
from easyremote.options.retries import Retry
from easyremote.protocol.answers import OutstandingCall
from easyremote.protocol.builtins import CALL, is_builtin
from easyremote.protocol.messages import Submit
from easyremote.protocol.streams import Buffer
from easyremote.serialize.values import split, unpickle

__all__ = ["record", "replay"]

#: What a client shows as its gateway while it replays.
_SETTINGS = Settings("a recording", "", "easyremote.testing", "easyremote.testing")


class Call(msgspec.Struct, omit_defaults=True):
    """One call of a recording.

    ``function``: the name of a registered one, or where a sent one is defined. ``arguments``: their
    digest. ``code`` of the error, empty for a value. ``items``: what it showed or yielded before.
    """

    function: str
    arguments: str
    node: str = ""
    code: str = ""
    encoding: str = ""
    body: bytes = b""
    items: list[tuple[str, bytes]] = []
    is_over: bool = False


class Recording(msgspec.Struct):
    """A file of calls, in the order in which they were made."""

    easyremote: int
    calls: list[Call]


@contextlib.contextmanager
def record(path: str | os.PathLike[str]) -> Iterator[Client]:
    """Keep the answers to all calls that this process makes in the block, for `replay`.

    The calls go where they go without it: to the gateway that is configured, or that of the fixture
    ``easyremote_client``. The file is written at the end of the block, if the block does not raise.

    Parameters
    ----------
    path
        The file.

    Yields
    ------
    Client
        One whose calls are kept, as those of all ``@remote`` functions are.

    Examples
    --------
    >>> with record("calls.json"):                    # doctest: +SKIP
    ...     train(10)
    0.97
    >>> with replay("calls.json"):                    # doctest: +SKIP
    ...     train(10)                                 # nothing runs, no gateway is needed
    0.97
    """
    recording = Recording(1, [])
    with standing_in(Client.over(_RecordingConnection(connect(), recording))) as client:
        yield client
    recording.calls = [call for call in recording.calls if call.is_over]
    Path(path).write_bytes(msgspec.json.format(msgspec.json.encode(recording), indent=1))


@contextlib.contextmanager
def replay(path: str | os.PathLike[str]) -> Iterator[Client]:
    """Answer all calls that this process makes in the block from a file that `record` wrote.

    A call is answered as the recorded one of the same function with the same arguments was; of
    several, in their order. A function that is sent is known by its name: its body may change.
    Replay only files that you have recorded: values are pickles, and a pickle can run code.

    Parameters
    ----------
    path
        The file.

    Yields
    ------
    Client
        One that is answered from the file, as all ``@remote`` functions are.

    Raises
    ------
    UsageError
        In the block: a call was made that is not in the file. At its begin: it is no recording.
    """
    try:
        recording = msgspec.json.decode(Path(path).read_bytes(), type=Recording)
    except msgspec.MsgspecError as error:
        raise UsageError(f"{path} is no recording of easyremote.testing.record: {error}.") from None
    with standing_in(Client.over(_ReplayingConnection(recording, str(path)))) as client:
        yield client


# -- recording -------------------------------------------------------------------------------------


class _RecordingConnection(GatewayConnection):
    """Another client's connection; what is submitted by it is noted. It is not closed here."""

    def __init__(self, client: Client, recording: Recording) -> None:
        super().__init__(client.settings)
        self._of = client._connection
        self._recording = recording

    @property
    def number(self) -> int:
        return self._of.number

    def line(self) -> Line:
        return cast(Line, _RecordingLine(self._of.line(), self._recording))

    def close(self) -> None:
        self.is_closed = True


class _RecordingLine:
    """A line; it notes what is submitted."""

    def __init__(self, line: Line, recording: Recording) -> None:
        self._line, self._recording = line, recording

    def __getattr__(self, name: str) -> Any:
        return getattr(self._line, name)

    def submit(
        self,
        job: Waiting,
        submit: Submit,
        parts: Sequence[Buffer],
        size: int,
        retry: Retry | None = None,
    ) -> None:
        call = Call(*_named(submit.function, parts), node=submit.node)
        self._recording.calls.append(call)
        self._line.submit(_Noted(job, call), submit, parts, size, retry)


class _Noted:
    """Who waits for a call, and notes what comes."""

    def __init__(self, job: Waiting, call: Call) -> None:
        self._job, self._call = job, call
        self.encoding = job.encoding

    @property
    def outstanding(self) -> OutstandingCall | None:
        return self._job.outstanding

    @outstanding.setter
    def outstanding(self, outstanding: OutstandingCall | None) -> None:
        self._job.outstanding = outstanding

    def started(self, node: str) -> None:
        self._call.node = node
        self._job.started(node)

    def event(self, encoding: str, body: Buffer) -> None:
        self._call.items.append((encoding, bytes(body)))
        self._job.event(encoding, body)

    def finish(self, code: str, encoding: str, body: Buffer) -> None:
        call = self._call
        call.code, call.encoding, call.body, call.is_over = code, encoding, bytes(body), True
        self._job.finish(code, encoding, body)


# -- replaying -------------------------------------------------------------------------------------


class _ReplayingConnection(GatewayConnection):
    """A connection whose one line answers from a recording."""

    def __init__(self, recording: Recording, path: str) -> None:
        super().__init__(_SETTINGS)
        self._replaying = _ReplayingLine(recording, path)

    @property
    def number(self) -> int:
        return 1

    def line(self) -> Line:
        return self._replaying


class _ReplayingLine(Line):
    """Answers each call at once, from the thread that makes it."""

    def __init__(self, recording: Recording, path: str) -> None:
        super().__init__(_SETTINGS)
        self.is_open = True
        self._path = path
        self._left: dict[tuple[str, str], deque[Call]] = defaultdict(deque)
        for call in recording.calls:
            self._left[call.function, call.arguments].append(call)

    def submit(
        self,
        job: Waiting,
        submit: Submit,
        parts: Sequence[Buffer],
        size: int,
        retry: Retry | None = None,
    ) -> None:
        key = _named(submit.function, parts)
        left = self._left[key]
        if not left:
            if not is_builtin(submit.function) or submit.function == CALL:
                raise UsageError(
                    f"{self._path} has no answer of {key[0]}() for these arguments, or not so many "
                    "of them. Record it anew: easyremote.testing.record."
                )
            return  # news of nodes that come and go: none comes
        # What EasyRemote itself asks, it may ask more often than before.
        call = left[0] if is_builtin(submit.function) and len(left) == 1 else left.popleft()
        if call.node:
            job.started(call.node)
        for encoding, body in call.items:
            job.event(encoding, body)
        job.finish(call.code, call.encoding, call.body)

    def cancel(self, job: Waiting, *, kill: bool) -> None:
        """It is over already."""

    def seen(self, job: Waiting, count: int) -> None:
        """All that it shows is here already."""


# -- both ------------------------------------------------------------------------------------------


def _named(function: str, parts: Sequence[Buffer]) -> tuple[str, str]:
    """What a call is known by: its function's name, and the digest of its arguments."""
    pieces: list[Buffer] = list(parts)
    if function == CALL:
        function, pieces = _sent(b"".join(parts))
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return function, digest.hexdigest()[:32]


def _sent(payload: bytes) -> tuple[str, list[Buffer]]:
    """The name of a function that is sent, and its arguments, of blobs their hashes."""
    body, buffers = split(payload)
    request = unpickle(body, buffers)
    if type(request) is list:
        (_, first), *pieces = request
        buffers = [hash_ or piece for hash_, piece in pieces]
        request = unpickle(first, [])
    _, packed, arguments, _ = request
    if not packed:  # it is packed together with its arguments, and known by its content
        return "a function", [arguments, *buffers]
    made = unpickle(*split(packed))
    return f"{made.__module__}.{made.__qualname__}", [arguments, *buffers]
