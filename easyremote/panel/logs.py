"""What jobs have shown, as text with numbers: what a log viewer asks for piece by piece.

A `Log` follows its job once, for all tabs, from the start to the end, and is kept for a while after
the last reader. Pieces are numbered, so that a reader can continue where it stopped; a log that
was started again has another ``epoch``. Figures are named and not kept.
``tests/panel/test_logs.py`` proves it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import uuid4

from easyremote.errors import EasyRemoteError, GatewayUnreachable, RemoteError, from_wire
from easyremote.events import Display, Event, InputRequest, Stream, Value
from easyremote.panel.following import Shown
from easyremote.panel.messages import LogPage, Piece
from easyremote.protocol.requests import CallStatus
from easyremote.terminal_text import without_escapes

#: How many logs are kept.
MAX_LOGS = 8
#: Characters in one answer.
PAGE_LENGTH = 200_000
#: Seconds between two questions for a job that waits for its turn.
POLL = 1.0


class Log:
    """The log of one job.

    Parameters
    ----------
    follow
        Starts to follow the job.
    """

    def __init__(self, follow: Callable[[], Awaitable[Shown]]) -> None:
        self._follow = follow
        self._epoch = uuid4().hex
        self._pieces: list[Piece] = []
        self._state = "running"
        self._grown = asyncio.Event()
        #: The error that broke the connection to the gateway.
        self.broken: GatewayUnreachable | None = None
        self._task = asyncio.create_task(self._run(), name="easyremote-log")

    async def page(self, epoch: str, start: int, patience: float) -> LogPage:
        """Wait for the pieces from a number on; after a while return without any.

        Raises
        ------
        GatewayUnreachable
            The connection broke, so nobody knows whether there are more; ask a new `Log` later.
        """
        if epoch != self._epoch:
            start = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while start >= len(self._pieces) and not self.is_over:
                    if self.broken is not None:
                        raise self.broken
                    await self._grown.wait()
        pieces, size = [], 0
        for piece in self._pieces[start:]:
            pieces.append(piece)
            size += len(piece.text)
            if size >= PAGE_LENGTH:
                break
        end = start + len(pieces)
        state = self._state if end == len(self._pieces) else "running"
        return LogPage(self._epoch, start, pieces, state)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self._state in ("done", "failed", "lost")

    async def aclose(self) -> None:
        """Stop following the job."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while (answer := await self._replay()).state == "queued":
                self._now("queued")
                await asyncio.sleep(POLL)
        except GatewayUnreachable as error:
            self.broken = error
            self._grow()
            return
        except EasyRemoteError as error:
            self._add("error", str(error))
            self._now("lost")
            return
        if answer.error is not None:
            self._add("error", error_text(answer.error))
        self._now("failed" if answer.error is not None else "done")

    async def _replay(self) -> CallStatus:
        shown = await self._follow()
        try:
            async for event in shown.events_async():
                self._now("running")
                for kind, text in texts(event):
                    self._add(kind, text)
            answer: CallStatus = await shown
        finally:
            shown.cancel()
        return answer

    def _add(self, kind: str, text: str) -> None:
        self._pieces.append(Piece(kind, without_escapes(text)))
        self._grow()

    def _now(self, state: str) -> None:
        if state != self._state:
            self._state = state
            self._grow()

    def _grow(self) -> None:
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()


class Logs:
    """The logs that were read lately, by call id."""

    def __init__(self) -> None:
        self._logs: OrderedDict[tuple[int, str], Log] = OrderedDict()

    def get(self, owner: object, call_id: str, follow: Callable[[], Awaitable[Shown]]) -> Log:
        """The log of a job as this client (``owner``) sees it."""
        key = id(owner), call_id
        log = self._logs.get(key)
        if log is None or log.broken is not None:
            log = self._logs[key] = Log(follow)
        self._logs.move_to_end(key)
        return log

    async def trim(self) -> None:
        """Drop the oldest logs."""
        while len(self._logs) > MAX_LOGS:
            await self._logs.popitem(last=False)[1].aclose()

    async def aclose(self) -> None:
        """Stop following all jobs."""
        logs, self._logs = list(self._logs.values()), OrderedDict()
        await asyncio.gather(*(log.aclose() for log in logs))


def texts(event: Event) -> list[tuple[str, str]]:
    """What the log keeps of an event: kinds and texts."""
    match event:
        case Stream():
            return [(event.name, event.text)]
        case Display() | Value():
            text = event.data.get("text/plain", "")
            return [("display", f"{text}\n")]
        case InputRequest():
            return [("display", f"{event.prompt}\n")]
        case _:
            return []


def error_text(error: tuple[str, str, Mapping[str, Any]]) -> str:
    """An error as people read it: the node's traceback, where it has one."""
    told = from_wire(*error)
    text = told.remote_traceback if isinstance(told, RemoteError) else ""
    return without_escapes(text.rstrip() or f"{type(told).__name__}: {told}")
