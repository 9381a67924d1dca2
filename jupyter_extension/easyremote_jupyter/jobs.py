"""The jobs of this notebook: each cell that was sent to a node, its state and its end.

`Jobs` lists them; a `CellJob` is a job in the background. The variables that a background cell
assigns are bound on the main thread, between two cells or when its result is asked for: never while
another cell runs here. ``tests/jupyter_extension/test_jobs.py`` proves it in real kernels.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from easyremote.errors import CallCancelled, UsageError
from easyremote.times import check_seconds
from easyremote_jupyter.output.header import elapsed
from easyremote_jupyter.output.tables import html_table, text_table

if TYPE_CHECKING:
    from easyremote.client.client import Client
    from easyremote.protocol.requests import DetachedCall

__all__ = ["CellJob", "Entry", "JobTable", "Jobs", "missing", "stop"]

#: Jobs that are over and still listed, at the most.
KEPT = 100


@dataclass(eq=False)
class Entry:
    """One job of this notebook."""

    #: A `RemoteJob`.
    job: Any
    node_id: str
    #: The cell's label, or the name that the job was given.
    title: str
    background: CellJob | None = None
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    is_cancelling: bool = False

    @property
    def call_id(self) -> str:
        return str(self.job.call_id)

    @property
    def state(self) -> str:
        """``queued``, ``running``, ``cancelling``, ``done``, ``cancelled`` or ``failed``."""
        if self.job.done():
            error = self.job.exception(0)
            if error is None:
                return "done"
            is_interrupt = getattr(error, "type_name", "") == "KeyboardInterrupt"
            return "cancelled" if is_interrupt or isinstance(error, CallCancelled) else "failed"
        if self.is_cancelling:
            return "cancelling"
        return "running" if self.job.running() else "queued"

    @property
    def seconds(self) -> float:
        if self.ended is None and self.job.done():
            self.ended = time.monotonic()
        return (self.ended or time.monotonic()) - self.began


class Jobs:
    """All jobs of one notebook, the newest last."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def add(self, entry: Entry) -> None:
        """List a job; the oldest job that is over makes room."""
        entry.job.add_done_callback(lambda job: setattr(entry, "ended", time.monotonic()))
        if entry.background is not None:  # the same cell was sent again, because its session is new
            again = [k for k, e in self._entries.items() if e.background is entry.background]
            for key in again:
                del self._entries[key]
        self._entries[entry.call_id] = entry
        over = (key for key, each in self._entries.items() if each.job.done())
        for key in list(islice(over, max(len(self._entries) - KEPT, 0))):
            del self._entries[key]

    def find(self, what: str) -> Entry | None:
        """The newest job with this name, or whose id begins with this text."""
        for entry in reversed(self._entries.values()):
            name = entry.background.name if entry.background is not None else ""
            if entry.call_id.startswith(what) or what == name:
                return entry
        return None

    def settle(self, info: object = None) -> None:
        """Bind the results that have come; called on the main thread, between two cells."""
        for entry in list(self._entries.values()):
            if entry.background is not None and entry.background.done():
                entry.background.settle()


class CellJob(Future[Any]):
    """A cell in the background: a `concurrent.futures.Future` that can be awaited.

    `result` is the value of the cell's last expression. The variables that the cell assigns are
    bound here when the result is asked for, else before the first cell that begins after its end.
    """

    def __init__(self, name: str, node_id: str) -> None:
        super().__init__()
        #: The variable that holds the job; "" if there is none.
        self.name = name
        self.node_id = node_id
        self._settle: Callable[[], Any] = lambda: None
        self._tell_end: Callable[[], None] = lambda: None
        self._job: Any = None
        self._sent = threading.Event()
        #: It was interrupted before it was sent.
        self.is_unwanted = False
        self._is_told = False
        self._settled: tuple[Any] | None = None

    def start(
        self,
        run: Callable[[], Any],
        settle: Callable[[], Any],
        tell_end: Callable[[], None],
    ) -> None:
        """Send the cell; returns when everything that the cell needs is on its way.

        Parameters
        ----------
        run
            Runs the cell to its end; called in a thread of its own.
        settle
            Binds the variables that came back, also those of a cell that failed, and returns the
            value; called on the main thread.
        tell_end
            Shows how the cell ended; called on the main thread.

        Raises
        ------
        EasyRemoteError
            The cell can't be sent.
        KeyboardInterrupt
            The user interrupted it; the cell is not sent.
        """
        self._settle, self._tell_end = settle, tell_end
        self.set_running_or_notify_cancel()
        threading.Thread(
            target=self._work, args=(run,), name="easyremote-background", daemon=True
        ).start()
        try:
            self._sent.wait()
        except KeyboardInterrupt:
            self.is_unwanted = True
            self._sent.wait()
            if self._job is not None:
                self._job.cancel()
                raise
        if self._job is None:
            super().result()  # why not

    def sent(self, job: Any) -> None:
        """Note that the cell is on its way, as this job."""
        self._job = job
        self._sent.set()

    @property
    def call_id(self) -> str:
        return str(self._job.call_id) if self._job is not None else ""

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the value of the cell's last expression, and bind its variables.

        Raises
        ------
        CallCancelled
            It was cancelled.
        CallError
            It ended without a value for another reason.
        TimeoutError
            It isn't done yet.
        """
        if timeout is not None:
            check_seconds(timeout, "timeout", zero=True)
        super().exception(timeout)
        if threading.current_thread() is threading.main_thread():
            self.settle()
            super().result(0)  # raises what the cell raised
            assert self._settled is not None, "it was settled here, or before"
            return self._settled[0]
        raise UsageError("The result of a background cell is for the notebook's main thread.")

    def settle(self) -> None:
        """Show how the cell ended, and bind its variables. It does so once."""
        if self._is_told or not self.done():
            return
        self._is_told = True
        self._tell_end()
        self._settled = (self._settle(),)

    def cancel(self) -> bool:
        """Interrupt the cell, as the stop button does. Safe to repeat."""
        if self.done():
            return False
        return bool(self._job.cancel())

    def explain(self) -> str:
        """How the cell stands at this moment, in one sentence: why it waits, and how long yet."""
        return str(self._job.explain())

    def kill(self) -> None:
        """End the cell together with its session, whose variables are lost."""
        self._job.kill()

    def __await__(self) -> Generator[Any, None, Any]:
        import asyncio

        return asyncio.wrap_future(self).__await__()

    def __repr__(self) -> str:
        state = "done" if self.done() else "running"
        return f"<RemoteJob {self.name or 'cell'} {self.call_id[:8]} on {self.node_id} {state}>"

    def _work(self, run: Callable[[], Any]) -> None:
        try:
            self.set_result(run())
        except KeyboardInterrupt as interrupt:  # of the cell there; here nobody interrupts a thread
            self.set_exception(interrupt if self._job is None else self._cancelled())
        except BaseException as error:  # noqa: B036 - `result` raises it, whatever it is
            self.set_exception(error)
        finally:
            self._sent.set()

    def _cancelled(self) -> CallCancelled:
        text = f"Job {self.call_id[:8]} was cancelled: %remote_job {self.call_id[:8]} shows where."
        error = CallCancelled(text)
        error._render_traceback_ = lambda: [f"CallCancelled: {text}"]  # type: ignore[attr-defined]  # IPython looks for it
        return error


class JobTable(list[tuple[str, ...]]):
    """Jobs as a table: text in a terminal, HTML in a notebook."""

    HEADINGS = ("Job", "Cell", "Node", "State", "Time")

    def __init__(
        self,
        entries: Iterable[Entry],
        others: Iterable[dict[str, Any]] = (),
        kept: Iterable[DetachedCall] = (),
    ) -> None:
        rows = [(e.call_id[:8], e.title, e.node_id, e.state, elapsed(e.seconds)) for e in entries]
        rows += [
            (j["call_id"][:8], "elsewhere", j["node_id"], j["state"], elapsed(j["seconds"]))
            for j in others
        ]
        listed = {row[0] for row in rows}
        rows += [
            (call.call_id[:8], "kept", call.node_id or "any node", call.state, _ago(call.since))
            for call in kept
            if call.call_id[:8] not in listed
        ]
        super().__init__(rows)

    def __repr__(self) -> str:
        if not self:
            return "No jobs."
        return text_table(self.HEADINGS, self)

    def _repr_html_(self) -> str:
        if not self:
            return "No jobs."
        return html_table(self.HEADINGS, self)


def _ago(moment: float) -> str:
    """How long ago a moment of the wall clock was."""
    return elapsed(max(time.time() - moment, 0.0))


def stop(client: Client, jobs: Jobs, call_id: str, *, kill: bool = False) -> bool:
    """Stop a job of this key, also of another notebook; whether there was one to stop."""
    entry = jobs.find(call_id)
    if entry is not None:
        entry.is_cancelling = True
    return client.stop(call_id, kill=kill)


def missing(what: str) -> UsageError:
    """The error for a job that is not known here or on a node."""
    return UsageError(f"There is no job {what!r}, here or on a node. %remote_jobs lists them.")
